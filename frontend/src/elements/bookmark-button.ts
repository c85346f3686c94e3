// "Bookmark": keeps a tool among one's own; the same button, or the message's, takes it back. Who has
// to sign in first finds the tool bookmarked when they come back.
import { type ApiError, api } from "../api";
import { t } from "../i18n";
import { toast } from "../toast";

const WISH = "fm-bookmark";

export class BookmarkButton extends HTMLElement {
  #wanted = false;
  #isSending = false;

  connectedCallback(): void {
    const link = this.querySelector("a");
    link?.addEventListener("click", () => wish(this.tool));
    this.#button?.addEventListener("click", () => void this.choose(!this.isOn));
    if (this.#button && wished() === this.tool) {
      wish(null);
      if (!this.isOn) void this.choose(true);
    }
  }

  get tool(): string {
    return this.dataset["tool"]!;
  }

  get isOn(): boolean {
    return this.#button?.getAttribute("aria-pressed") === "true";
  }

  // A press while an earlier one is on its way is not lost: what was wanted last is what is kept.
  async choose(isOn: boolean): Promise<void> {
    this.#show(isOn);
    this.#wanted = isOn;
    if (this.#isSending) return;
    this.#isSending = true;
    let kept = !isOn;
    try {
      while (kept !== this.#wanted) {
        const sent = this.#wanted;
        await api(sent ? "PUT" : "DELETE", `/api/tools/${this.tool}/bookmark`);
        kept = sent;
      }
      this.dispatchEvent(new CustomEvent("bookmark-changed", { detail: kept, bubbles: true }));
      const undo = { label: t("Undo"), act: () => void this.choose(!kept) };
      if (kept) toast("success", t("Bookmarked"), t("You find it among your bookmarks."), undo);
      else toast("success", t("Not bookmarked any more"), "", undo);
    } catch (error) {
      this.#show(kept);
      toast("danger", t("This was not saved"), (error as ApiError).message);
    } finally {
      this.#isSending = false;
    }
  }

  get #button(): HTMLButtonElement | null {
    return this.querySelector("button");
  }

  #show(isOn: boolean): void {
    this.#button!.setAttribute("aria-pressed", String(isOn));
    const label = this.querySelector<HTMLElement>("[data-label]");
    if (label) label.textContent = label.dataset[isOn ? "on" : "off"]!;
  }
}

// In this tab only: it is over when the tab is closed.
function wish(tool: string | null): void {
  try {
    if (tool) sessionStorage.setItem(WISH, tool);
    else sessionStorage.removeItem(WISH);
  } catch {
    // A browser that keeps nothing: the button is still there after signing in.
  }
}

function wished(): string | null {
  try {
    return sessionStorage.getItem(WISH);
  } catch {
    return null;
  }
}

customElements.define("bookmark-button", BookmarkButton);
