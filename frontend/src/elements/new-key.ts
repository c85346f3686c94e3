// A key just made: the only time it can be seen. It is copied by a button, and gone with the page.
import { t } from "../i18n";
import { redraw } from "../redraw";
import { toast } from "../toast";

export class NewKey extends HTMLElement {
  connectedCallback(): void {
    document.addEventListener("json-done", (event) => {
      const { key } = (event as CustomEvent<{ key?: string }>).detail;
      if (typeof key === "string") void this.#show(key);
    });
    this.querySelector("[data-copy]")!.addEventListener("click", () => void this.#copy());
    this.querySelector("[data-done]")!.addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => (this.#input.value = ""));
  }

  get #dialog(): HTMLDialogElement {
    return this.querySelector("dialog")!;
  }

  get #input(): HTMLInputElement {
    return this.querySelector("input")!;
  }

  async #show(key: string): Promise<void> {
    await redraw();
    this.#input.value = key;
    this.#dialog.showModal();
    this.#input.focus();
    this.#input.select();
  }

  async #copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#input.value);
      toast("success", t("Copied"));
      this.querySelector<HTMLElement>("[data-copied]")!.textContent = t("Copied");
    } catch {
      this.#input.focus();
      this.#input.select();
      this.querySelector<HTMLElement>("[data-copied]")!.textContent = t("Press Ctrl+C, or ⌘C, to copy.");
    }
  }
}

customElements.define("new-key", NewKey);
