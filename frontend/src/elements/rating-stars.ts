// One's own rating: a press on a star gives it, another one changes it, and it can be taken back. The
// message undoes whatever was done last.
import { type ApiError, api } from "../api";
import { t } from "../i18n";
import { redrawIslands } from "../islands";
import { toast } from "../toast";

export class RatingStars extends HTMLElement {
  #wanted = 0;
  #isSending = false;

  connectedCallback(): void {
    this.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLButtonElement>("button");
      if (!button) return;
      const stars = Number(button.dataset["stars"]);
      if (stars !== this.stars) void this.rate(stars);
    });
    for (const button of this.#buttons) {
      button.addEventListener("pointerenter", () => this.#light(Number(button.dataset["stars"])));
      button.addEventListener("pointerleave", () => this.#light(this.stars));
    }
    this.#light(this.stars);
  }

  // 0 where there is no rating.
  get stars(): number {
    return Number(this.dataset["given"]);
  }

  // Gives so many stars; 0 takes the rating back. A press while an earlier one is on its way is not
  // lost: what was wanted last is what is kept.
  async rate(stars: number): Promise<void> {
    const before = this.stars;
    this.#show(stars);
    this.#wanted = stars;
    if (this.#isSending) return;
    this.#isSending = true;
    let kept = before;
    try {
      const place = `/api/tools/${this.dataset["tool"]}/rating`;
      while (kept !== this.#wanted) {
        const sent = this.#wanted;
        await (sent ? api("PUT", place, { stars: sent }) : api("DELETE", place));
        kept = sent;
      }
      const news = kept ? t("Thank you for your rating") : t("Your rating is taken back");
      toast("success", news, "", { label: t("Undo"), act: () => void this.rate(before) });
      await redrawIslands();
    } catch (error) {
      this.#show(kept);
      toast("danger", t("This was not saved"), (error as ApiError).message);
    } finally {
      this.#isSending = false;
    }
  }

  get #buttons(): HTMLButtonElement[] {
    return [...this.querySelectorAll<HTMLButtonElement>("[data-row] > button")];
  }

  #show(stars: number): void {
    this.dataset["given"] = String(stars);
    for (const button of this.#buttons) button.setAttribute("aria-pressed", String(button.dataset["stars"] === String(stars)));
    const back = this.querySelector<HTMLElement>("[data-back]");
    if (back) {
      // The keyboard must not be left on what is not there any more.
      if (!stars && back === document.activeElement) this.#buttons[0]?.focus();
      back.hidden = !stars;
    }
    this.#light(stars);
  }

  #light(stars: number): void {
    this.dataset["lit"] = String(stars);
  }
}

customElements.define("rating-stars", RatingStars);
