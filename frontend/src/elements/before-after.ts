// Two pictures on one spot and a line between them, moved by pointer, touch or arrow keys.
import { t } from "../i18n";

export class BeforeAfter extends HTMLElement {
  connectedCallback(): void {
    const range = this.querySelector("input");
    if (!range) return;
    const show = (): void => {
      this.style.setProperty("--split", `${range.value}%`);
      range.setAttribute("aria-valuetext", t("{percent} % before", { percent: range.value }));
    };
    range.addEventListener("input", show);
    show();
  }

  reset(): void {
    const range = this.querySelector("input");
    if (!range) return;
    range.value = "50";
    range.dispatchEvent(new Event("input"));
  }
}

customElements.define("before-after", BeforeAfter);
