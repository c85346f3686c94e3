// "Share": the browser's own sheet where there is one, else the address is copied; where neither can
// be, it is shown.
import { t } from "../i18n";
import { toast } from "../toast";

export class ShareButton extends HTMLElement {
  connectedCallback(): void {
    const button = this.querySelector("button")!;
    button.hidden = false;
    button.addEventListener("click", () => void this.share());
  }

  async share(): Promise<void> {
    const url = new URL(this.dataset["path"]!, location.href).href;
    const what = { title: this.dataset["title"]!, url };
    if (navigator.canShare?.(what)) {
      try {
        return await navigator.share(what);
      } catch (error) {
        if ((error as DOMException).name === "AbortError") return; // thought better of it
      }
    }
    try {
      await navigator.clipboard.writeText(url);
      toast("success", t("The address is copied"), url);
    } catch {
      toast("success", t("This is the address"), url);
    }
  }
}

customElements.define("share-button", ShareButton);
