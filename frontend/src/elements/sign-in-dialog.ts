// The sign-in dialog: asks for an e-mail address, sends the link, then waits for this browser to
// become signed in (the link opens in another tab) and carries on from there.
import { ApiError, api } from "../api";
import { t } from "../i18n";

interface Session {
  user: { email: string } | null;
}

export class SignInDialog extends HTMLElement {
  #next = "";

  connectedCallback(): void {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.querySelector("[data-again]")?.addEventListener("click", () => this.#show("ask"));
    document.addEventListener("visibilitychange", () => void this.#lookForSession());
    addEventListener("focus", () => void this.#lookForSession());
  }

  get dialog(): HTMLDialogElement {
    return this.querySelector("dialog")!;
  }

  get form(): HTMLFormElement {
    return this.querySelector("form[data-ask]")!;
  }

  get email(): HTMLInputElement {
    return this.querySelector("input[name=email]")!;
  }

  open(next: string, reason = ""): void {
    this.#next = next;
    this.querySelector("[data-reason]")!.textContent = reason || this.dataset["reason"]!;
    this.#show("ask");
    this.dialog.showModal();
    this.email.focus();
  }

  async #send(): Promise<void> {
    const button = this.form.querySelector("button")!;
    if (button.disabled) return;
    this.#complain("");
    button.disabled = true;
    try {
      await api("POST", "/api/auth/magic-link", { email: this.email.value.trim(), next: this.#next });
      this.querySelector("[data-sent-to]")!.textContent = this.email.value.trim();
      this.#show("sent");
      this.querySelector<HTMLElement>("[data-sent] h2")!.focus();
    } catch (error) {
      this.#complain(this.#words(error as ApiError));
      this.email.focus();
    } finally {
      button.disabled = false;
    }
  }

  #words(error: ApiError): string {
    if (error.status === 429 && error.retryAfterS) {
      return t("Too many sign-in links were asked for. Please wait {seconds} seconds.", { seconds: error.retryAfterS });
    }
    return error.fields["email"] ?? error.message;
  }

  #complain(text: string): void {
    const place = this.querySelector("[data-complaint]")!;
    place.textContent = text;
    place.toggleAttribute("hidden", !text);
    this.email.setAttribute("aria-invalid", String(Boolean(text)));
  }

  #show(stage: "ask" | "sent"): void {
    this.querySelector("[data-ask-stage]")!.toggleAttribute("hidden", stage !== "ask");
    this.querySelector("[data-sent]")!.toggleAttribute("hidden", stage !== "sent");
  }

  async #lookForSession(): Promise<void> {
    const isWaiting = this.dialog.open && !this.querySelector("[data-sent]")!.hasAttribute("hidden");
    if (document.hidden || !isWaiting) return;
    const session = await api<Session>("GET", "/api/auth/session").catch(() => null);
    if (session?.user) location.reload();
  }
}

customElements.define("sign-in-dialog", SignInDialog);
