// Pictures of tools: uploaded when chosen, shown at once; the form keeps the stored file's id.
import { ApiError } from "../api";
import { megabytes, withTrueType } from "../elements/image-picker";
import { t } from "../i18n";
import { submitUpload } from "../submit-upload";
import { complain, withdrawComplaints } from "./values";

const LIMIT_BYTES = 10 * 1_048_576;
const uploads = new WeakMap<Element, AbortController>();

export function openMedia(form: HTMLFormElement, onChange: () => void): void {
  form.addEventListener("change", (event) => {
    const input = event.target as HTMLInputElement;
    const field = input.type === "file" ? input.closest<HTMLElement>("[data-kind=media]") : null;
    const file = input.files?.[0];
    if (!field || !file) return;
    input.value = "";
    void take(field, file).then(onChange);
  });
  form.addEventListener("click", (event) => {
    const field = (event.target as Element).closest("button[data-clear]")?.closest<HTMLElement>("[data-kind=media]");
    if (!field) return;
    uploads.get(field)?.abort();
    show(field, "", "");
    field.querySelector<HTMLInputElement>("input[type=file]")!.focus();
    onChange();
  });
}

// Whether an upload is under way below `form`.
export function isUploading(form: Element): boolean {
  return form.querySelector("[data-kind=media][data-busy]") !== null;
}

async function take(field: HTMLElement, chosen: File): Promise<void> {
  withdrawComplaints(field);
  if (chosen.size > LIMIT_BYTES) {
    complain(field, t("This file is {size}. The largest we take is {limit}.", { size: megabytes(chosen.size), limit: megabytes(LIMIT_BYTES) }));
    return;
  }
  uploads.get(field)?.abort();
  const upload = new AbortController();
  uploads.set(field, upload);
  const bar = field.querySelector<HTMLProgressElement>("[data-bar]")!;
  bar.hidden = false;
  bar.value = 0;
  field.toggleAttribute("data-busy", true);
  try {
    const file = await withTrueType(chosen);
    const id = await submitUpload(file, "tool-media", (share) => (bar.value = share * 100), upload.signal);
    show(field, id, `/media/${id}`);
  } catch (error) {
    if (!upload.signal.aborted) complain(field, error instanceof ApiError ? error.message : String(error));
  } finally {
    if (uploads.get(field) === upload) {
      bar.hidden = true;
      field.removeAttribute("data-busy");
    }
  }
}

function show(field: HTMLElement, id: string, url: string): void {
  const picture = field.querySelector<HTMLImageElement>("[data-picture]")!;
  const shown = url || picture.dataset["fallback"] || "";
  field.dataset["value"] = id;
  picture.hidden = !shown;
  if (shown) picture.src = shown;
  field.querySelector<HTMLElement>("[data-none]")!.hidden = Boolean(shown);
  field.querySelector<HTMLElement>("[data-clear]")!.hidden = !id;
}
