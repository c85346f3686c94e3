// Chooses one image by click, keyboard, drop or paste and shows it. Nothing leaves the browser here.
import { t } from "../i18n";

const HEADS: [string, (bytes: Uint8Array) => boolean][] = [
  ["image/png", (b) => starts(b, [0x89, 0x50, 0x4e, 0x47])],
  ["image/jpeg", (b) => starts(b, [0xff, 0xd8, 0xff])],
  ["image/gif", (b) => starts(b, [0x47, 0x49, 0x46, 0x38])],
  ["image/webp", (b) => starts(b, [0x52, 0x49, 0x46, 0x46]) && starts(b.subarray(8), [0x57, 0x45, 0x42, 0x50])],
];

// Fires `image-chosen` with `file` set, or `image-refused` with the reason as `detail`. With a file
// it carries `data-filled`, and shows its preview.
export class ImagePicker extends HTMLElement {
  file: File | null = null;
  #url = "";

  connectedCallback(): void {
    this.input.addEventListener("change", () => this.#take());
    for (const type of ["dragenter", "dragover"]) {
      this.addEventListener(type, (event) => {
        event.preventDefault();
        this.toggleAttribute("data-over", true);
      });
    }
    for (const type of ["dragleave", "drop"]) {
      this.addEventListener(type, () => this.toggleAttribute("data-over", false));
    }
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      void this.choose(event.dataTransfer?.files[0]);
    });
    // What was chosen on a slow line, before this code was there.
    if (this.input.files?.length) this.#take();
  }

  get input(): HTMLInputElement {
    return this.querySelector("input[type=file]")!;
  }

  get maxBytes(): number {
    return Number(this.dataset["maxBytes"]);
  }

  open(): void {
    this.input.click();
  }

  clear(): void {
    this.file = null;
    URL.revokeObjectURL(this.#url);
    this.#url = "";
    this.toggleAttribute("data-filled", false);
  }

  // The local preview, valid until the next choice.
  get previewUrl(): string {
    return this.#url;
  }

  async choose(file: File | undefined): Promise<void> {
    if (!file) return;
    const reason = await this.#reasonAgainst(file);
    if (reason) {
      this.dispatchEvent(new CustomEvent("image-refused", { detail: reason, bubbles: true }));
      return;
    }
    this.clear();
    this.file = file;
    this.#url = URL.createObjectURL(file);
    this.querySelector<HTMLImageElement>("img[data-preview]")!.src = this.#url;
    this.querySelector('[data-ref="file-name"]')!.textContent = file.name;
    this.querySelector('[data-ref="file-size"]')!.textContent = megabytes(file.size);
    this.toggleAttribute("data-filled", true);
    this.dispatchEvent(new CustomEvent("image-chosen", { bubbles: true }));
  }

  #take(): void {
    void this.choose(this.input.files?.[0]);
    this.input.value = "";
  }

  async #reasonAgainst(file: File): Promise<string> {
    if (file.size > this.maxBytes) {
      return t("This file is {size}. The largest we take is {limit}.", {
        size: megabytes(file.size),
        limit: megabytes(this.maxBytes),
      });
    }
    const head = new Uint8Array(await file.slice(0, 16).arrayBuffer());
    const type = HEADS.find(([, matches]) => matches(head))?.[0];
    if (!type) return t("This is not an image we can read. Choose a PNG, JPEG, WebP or GIF file.");
    if (!(await decodes(file))) return t("This image is damaged and cannot be opened. Please choose another one.");
    return "";
  }
}

// The same bytes under the type they really have, so that storage is told the truth about them.
export async function withTrueType(file: File): Promise<File> {
  const head = new Uint8Array(await file.slice(0, 16).arrayBuffer());
  const type = HEADS.find(([, matches]) => matches(head))?.[0] ?? file.type;
  return type === file.type ? file : new File([file], file.name, { type });
}

export function megabytes(bytes: number): string {
  const unit = bytes < 1_048_576 ? "KB" : "MB";
  const value = bytes / (unit === "KB" ? 1024 : 1_048_576);
  return `${value.toLocaleString(document.documentElement.lang, { maximumFractionDigits: value < 10 ? 1 : 0 })} ${unit}`;
}

// Off the page's own frames: an image element's decode() waits for a frame, which a page in the
// background does not get.
async function decodes(file: File): Promise<boolean> {
  try {
    (await createImageBitmap(file)).close();
    return true;
  } catch {
    return false;
  }
}

function starts(bytes: Uint8Array, head: number[]): boolean {
  return head.every((byte, index) => bytes[index] === byte);
}

customElements.define("image-picker", ImagePicker);
