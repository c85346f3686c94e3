// Starting a run: the photos go to storage, then the task is made. One press of the button is one
// `Press`: repeated after a lost answer it neither uploads nor pays twice.
import { api } from "../api";
import { withTrueType } from "../elements/image-picker";
import { submitUpload } from "../submit-upload";
import type { Photo } from "./form";

export interface Created {
  taskId: string;
  credits: number;
}

export class Press {
  readonly #key = newKey();
  readonly #assetIds = new Map<string, string>();

  constructor(
    readonly tool: string,
    readonly step: string,
    readonly values: Record<string, unknown>,
    readonly photos: Photo[],
    readonly parentTaskId: string | null,
  ) {}

  // Whether this press asks for the same as another: then its uploads and its key still serve.
  isLike(other: Press): boolean {
    return (
      this.step === other.step &&
      this.parentTaskId === other.parentTaskId &&
      JSON.stringify(this.values) === JSON.stringify(other.values) &&
      this.photos.length === other.photos.length &&
      this.photos.every((photo, index) => photo.file === other.photos[index]!.file)
    );
  }

  get hasUploads(): boolean {
    return this.photos.some((photo) => !this.#assetIds.has(photo.field));
  }

  // `onProgress` hears 0…1 over all photos.
  async upload(onProgress: (share: number) => void, signal: AbortSignal): Promise<void> {
    for (const [index, photo] of this.photos.entries()) {
      if (this.#assetIds.has(photo.field)) continue;
      const file = await withTrueType(photo.file);
      const report = (share: number): void => onProgress((index + share) / this.photos.length);
      this.#assetIds.set(photo.field, await submitUpload(file, photo.route, report, signal));
    }
  }

  create(expectedCredits: number): Promise<Created> {
    return api(
      "POST",
      "/api/tasks",
      {
        tool: this.tool,
        step: this.step,
        input: { ...this.values, ...Object.fromEntries(this.#assetIds) },
        expectedCredits,
        ...(this.parentTaskId ? { parentTaskId: this.parentTaskId } : {}),
      },
      { "Idempotency-Key": this.#key },
    );
  }
}

// The same again, from what the server keeps of an ended task. `key` is one press of the button.
export function runAgain(taskId: string, expectedCredits: number, key: string): Promise<Created> {
  return api("POST", `/api/tasks/${taskId}/retry`, { expectedCredits }, { "Idempotency-Key": key });
}

// Random in any context: crypto.randomUUID is missing on plain http.
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
