// A step's form as the server drew it: reads it, checks it, says what is wrong beside each control.
import { ImagePicker } from "../elements/image-picker";
import { t } from "../i18n";
import type { Kept } from "../kept-photo";

export interface Photo {
  field: string;
  file: File;
  route: string;
}

export class StepForm {
  constructor(readonly element: HTMLElement) {}

  get step(): string {
    return this.element.dataset["form"]!;
  }

  get working(): string {
    return this.element.dataset["working"]!;
  }

  get pickers(): ImagePicker[] {
    return [...this.element.querySelectorAll<ImagePicker>("image-picker")];
  }

  // Whether every photo that must be there is.
  get hasPhotos(): boolean {
    return this.pickers.every((picker) => picker.file || !picker.hasAttribute("data-required"));
  }

  photos(): Photo[] {
    return this.pickers
      .filter((picker) => picker.file)
      .map((picker) => ({ field: picker.dataset["control"]!, file: picker.file!, route: picker.dataset["route"]! }));
  }

  // Everything but the photos, by field; what is left empty is left out.
  values(): Record<string, unknown> {
    const found = this.#controls()
      .map((control) => [control.dataset["control"]!, valueOf(control)] as const)
      .filter(([, value]) => value !== undefined);
    return Object.fromEntries(found);
  }

  kept(): Kept {
    return { files: Object.fromEntries(this.photos().map(({ field, file }) => [field, file])), values: this.values() };
  }

  async restore(kept: Kept): Promise<void> {
    for (const control of this.#controls()) {
      const value = kept.values[control.dataset["control"]!];
      if (value !== undefined) setValue(control, value);
    }
    for (const picker of this.pickers) await picker.choose(kept.files[picker.dataset["control"]!]);
  }

  clearPhotos(): void {
    for (const picker of this.pickers) picker.clear();
  }

  // Says what is missing, and leads there. Answers whether nothing is.
  check(): boolean {
    const missing: Record<string, string> = {};
    for (const control of this.#all()) {
      const isEmpty = control instanceof ImagePicker ? !control.file : valueOf(control) === undefined;
      if (!control.hasAttribute("data-required") || !isEmpty) continue;
      missing[control.dataset["control"]!] =
        control.dataset["kind"] === "pick"
          ? t("Please choose one.")
          : control.dataset["kind"] === "image"
            ? t("Please choose a photo.")
            : t("This is required.");
    }
    this.complain(missing);
    return Object.keys(missing).length === 0;
  }

  // Shows each message beside its control and answers those that have none ("input.style" → "style").
  complain(fields: Record<string, string>): string[] {
    const left = { ...fields };
    let first: HTMLElement | null = null;
    for (const control of this.#all()) {
      const name = control.dataset["control"]!;
      const key = [`input.${name}`, name].find((each) => each in left) ?? "";
      if (say(control, left[key] ?? "") && !first) first = control;
      delete left[key];
    }
    if (first) {
      first.scrollIntoView({ block: "nearest" });
      focusable(first)?.focus({ preventScroll: true });
    }
    return Object.values(left);
  }

  #all(): HTMLElement[] {
    return [...this.element.querySelectorAll<HTMLElement>("[data-control]")];
  }

  #controls(): HTMLElement[] {
    return this.#all().filter((control) => !(control instanceof ImagePicker));
  }
}

// While a person writes: the counter counts, and what was complained about is taken back.
export function follow(event: Event): void {
  const control = (event.target as Element).closest<HTMLElement>("[data-control]");
  if (!control) return;
  say(control, "");
  const counter = control.querySelector("[data-counter]");
  const box = event.target as HTMLTextAreaElement;
  if (counter) counter.textContent = `${[...box.value].length} / ${box.maxLength}`;
}

function valueOf(control: HTMLElement): unknown {
  if (control.dataset["kind"] === "pick") {
    return control.querySelector<HTMLInputElement>("input:checked")?.value;
  }
  const box = control.querySelector<HTMLInputElement>("input, textarea, select")!;
  if (control.dataset["kind"] === "switch") return box.checked;
  const text = box.value.trim();
  if (!text) return undefined;
  return control.dataset["kind"] === "number" ? Number(text) : text;
}

function setValue(control: HTMLElement, value: unknown): void {
  if (control.dataset["kind"] === "pick") {
    for (const radio of control.querySelectorAll<HTMLInputElement>("input")) radio.checked = radio.value === value;
    return;
  }
  const box = control.querySelector<HTMLInputElement>("input, textarea, select")!;
  if (control.dataset["kind"] === "switch") box.checked = value === true;
  else box.value = String(value);
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

function say(control: HTMLElement, text: string): boolean {
  const place = control.querySelector("[data-complaint]");
  if (!place) return false;
  place.textContent = text;
  place.toggleAttribute("hidden", !text);
  for (const box of control.querySelectorAll("input, textarea, select")) {
    if (text) box.setAttribute("aria-invalid", "true");
    else box.removeAttribute("aria-invalid");
  }
  return Boolean(text);
}

function focusable(control: HTMLElement): HTMLElement | null {
  return control.querySelector<HTMLElement>("input:not([disabled]), textarea, select");
}
