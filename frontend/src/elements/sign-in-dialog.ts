// The sign-in dialog on any page. A password signs in here and now; a mailed link opens in another
// tab, so this one waits until the browser is signed in; another company's page is gone to and come
// back from.
import { ApiError, api } from "../api";
import { t } from "../i18n";
import "./ways-in"; // defined first: this one is made of it
import type { WaysIn } from "./ways-in";

interface Session {
  user: { email: string } | null;
}

export class SignInDialog extends HTMLElement {
  #next = "";

  connectedCallback(): void {
    this.#ways.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.querySelector("[data-again]")?.addEventListener("click", () => {
      this.#show("ask");
      this.#email.focus();
    });
    document.addEventListener("visibilitychange", () => void this.#lookForSession());
    addEventListener("focus", () => void this.#lookForSession());
  }

  get dialog(): HTMLDialogElement {
    return this.querySelector("dialog")!;
  }

  get #ways(): WaysIn {
    return this.querySelector<WaysIn>("ways-in")!;
  }

  get #email(): HTMLInputElement {
    return this.querySelector<HTMLInputElement>("input[name=email]")!;
  }

  open(next: string, reason = ""): void {
    this.#next = next;
    this.#ways.leadTo(next);
    this.querySelector("[data-reason]")!.textContent = reason || this.dataset["reason"]!;
    this.#show("ask");
    this.dialog.showModal();
    this.#email.focus();
  }

  async #send(): Promise<void> {
    const { form, way } = this.#ways;
    const button = form.querySelector<HTMLButtonElement>("button[type=submit]")!;
    if (button.disabled) return;
    this.#complain({});
    button.disabled = true;
    const typed = Object.fromEntries(new FormData(form)) as Record<string, string>;
    const email = typed["email"]!.trim();
    try {
      if (way === "password") {
        await api("POST", "/api/auth/login", { email, password: typed["password"] });
        location.assign(this.#next);
        return;
      }
      await api("POST", "/api/auth/magic-link", { email, next: this.#next });
      this.querySelector("[data-sent-to]")!.textContent = email;
      this.#show("sent");
      this.querySelector<HTMLElement>("[data-sent] h2")!.focus();
    } catch (error) {
      this.#complain(complaints(way, error as ApiError));
    }
    button.disabled = false;
  }

  // Shows each message beside its field, and leads to the first.
  #complain(fields: Record<string, string>): void {
    let first: HTMLElement | null = null;
    for (const input of this.#ways.form.querySelectorAll<HTMLInputElement>("input:not([type=hidden])")) {
      const text = fields[input.name] ?? "";
      const place = this.querySelector(`#${input.id}-complaint`)!;
      place.textContent = text;
      place.toggleAttribute("hidden", !text);
      input.setAttribute("aria-invalid", String(Boolean(text)));
      if (text) first ??= input;
    }
    first?.focus();
  }

  #show(stage: "ask" | "sent"): void {
    this.querySelector("[data-ask-stage]")!.toggleAttribute("hidden", stage !== "ask");
    this.querySelector("[data-sent]")!.toggleAttribute("hidden", stage !== "sent");
  }

  async #lookForSession(): Promise<void> {
    const isWaiting = this.dialog.open && !this.querySelector("[data-sent]")!.hasAttribute("hidden");
    if (document.hidden || !isWaiting) return;
    const session = await api<Session>("GET", "/api/auth/session").catch(() => null);
    if (session?.user) location.assign(this.#next);
  }
}

// What to say beside which field.
function complaints(way: string, error: ApiError): Record<string, string> {
  const { email, password } = error.fields;
  if (email || password) return error.fields;
  const wait =
    error.status === 429 && error.retryAfterS
      ? t("Too many tries. Please wait {seconds} seconds.", { seconds: error.retryAfterS })
      : error.message;
  return { [way === "password" ? "password" : "email"]: wait };
}

customElements.define("sign-in-dialog", SignInDialog);
