// A password's field: a button that shows what was typed, and, for a new one, how far it is yet.
import { t, tn } from "../i18n";

export class PasswordBox extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button")!;
    button.hidden = false;
    button.addEventListener("click", () => {
      const isShown = this.input.type === "text";
      this.input.type = isShown ? "password" : "text";
      button.setAttribute("aria-pressed", String(!isShown));
    });
    // Nothing that was shown is sent as text: browsers would offer it in other fields.
    this.closest("form")?.addEventListener("submit", () => {
      this.input.type = "password";
      button.setAttribute("aria-pressed", "false");
    });
    if (this.dataset["least"]) this.input.addEventListener("input", () => this.#tell());
  }

  get input(): HTMLInputElement {
    return this.querySelector("input")!;
  }

  #tell(): void {
    const place = this.parentElement!.querySelector<HTMLElement>("[data-hint]")!;
    place.dataset["hint"] ||= place.textContent!;
    const length = [...this.input.value.normalize("NFC")].length;
    const missing = Number(this.dataset["least"]) - length;
    place.parentElement!.toggleAttribute("data-enough", missing <= 0);
    if (length === 0) place.textContent = place.dataset["hint"];
    else if (missing > 0) place.textContent = tn("{number} more character", "{number} more characters", missing);
    else place.textContent = length < 14 ? t("Long enough. A few words in a row are stronger still.") : t("Long and strong.");
  }
}

customElements.define("password-box", PasswordBox);
