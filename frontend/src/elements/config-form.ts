// A form drawn from a model: collects its JSON, sends it, shows what the server says beside the
// fields. `data-method`, `data-url` and, where the JSON is only a part of the body, `data-wrap` say
// how; `data-updated-at` is what was read; `data-then` is where to go afterwards.
import { ApiError, api } from "../api";
import { followChoices, rememberShown } from "../dashboard/choices";
import { confirmed } from "../dashboard/confirm";
import { numberAll, openLists, unfold } from "../dashboard/lists";
import { isUploading, openMedia } from "../dashboard/media";
import { followNames } from "../dashboard/slugs";
import { type Json, collect, complain, fieldAt, withdrawComplaints } from "../dashboard/values";
import { t } from "../i18n";
import { showLocalTimes } from "../local-times";
import { toast } from "../toast";

interface Saved {
  id?: string;
  updatedAt?: string;
}
interface Health {
  ok: boolean | null;
  message: string;
  warnings: string[];
}

export class ConfigForm extends HTMLElement {
  #saved = "";
  #isBusy = false;
  #isLeaving = false;

  connectedCallback(): void {
    const { form } = this;
    followNames(form);
    openLists(form, () => this.#changed());
    openMedia(form, () => this.#changed());
    rememberShown(form);
    followChoices(form);
    for (const type of ["input", "change"]) {
      form.addEventListener(type, (event) => {
        const field = (event.target as Element).closest("[data-field]");
        if (field) withdrawComplaints(field);
        this.#changed();
      });
    }
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#save();
    });
    form.querySelector("button[data-check]")?.addEventListener("click", () => void this.#check());
    form.querySelector("button[data-reload]")?.addEventListener("click", () => location.reload());
    addEventListener("beforeunload", (event) => {
      if (this.isDirty && !this.#isLeaving) event.preventDefault();
    });
    this.#saved = this.#written();
    this.#say(this.dataset["then"] ? "" : t("Nothing to save."));
  }

  get form(): HTMLFormElement {
    return this.querySelector("form")!;
  }

  get isDirty(): boolean {
    return this.#written() !== this.#saved;
  }

  #written(): string {
    return JSON.stringify(collect(this.form));
  }

  #changed(): void {
    rememberShown(this.form);
    numberAll(this.form);
    this.#general("");
    if (!this.dataset["then"]) this.#say(this.isDirty ? t("There are unsaved changes.") : t("Nothing to save."));
  }

  async #save(): Promise<void> {
    if (this.#isBusy) return;
    if (isUploading(this.form)) {
      this.#general(t("A picture is still being uploaded. Please wait a moment."));
      return;
    }
    withdrawComplaints(this);
    if (!(await this.#mayReplace())) return;
    this.#busy(true);
    this.#say(t("Saving…"));
    const written = this.#written();
    try {
      const saved = await api<Saved>(this.dataset["method"] as "PUT", this.dataset["url"]!, this.#body());
      this.#saved = written;
      if (saved.updatedAt) this.#share(saved.updatedAt);
      for (const secret of this.querySelectorAll<HTMLInputElement>("[data-kind=secret] input")) secret.value = "";
      for (const field of this.querySelectorAll("[data-final] :is(input,textarea)")) note(field as HTMLInputElement);
      this.#saved = this.#written();
      toast("success", t("Saved."));
      this.#say(t("All changes are saved."));
      this.#goOn(saved);
      await this.#refresh();
    } catch (error) {
      this.#say(t("There are unsaved changes."));
      this.#explain(error);
    } finally {
      this.#busy(false);
    }
  }

  #body(): Json {
    const values = collect(this.form);
    const { wrap, updatedAt, method } = this.dataset;
    const body: { [name: string]: Json } = wrap ? { [wrap]: values } : values;
    if (method !== "POST") body["updatedAt"] = updatedAt ?? null;
    return body;
  }

  // Both forms of a page may be of one thing: what one saved, the other has read.
  #share(updatedAt: string): void {
    for (const other of document.querySelectorAll<HTMLElement>("config-form[data-updated-at]")) other.dataset["updatedAt"] = updatedAt;
    this.dataset["updatedAt"] = updatedAt;
  }

  #goOn(saved: Saved): void {
    if (!this.dataset["then"]) return;
    this.#isLeaving = true;
    location.assign(this.dataset["then"].replace("{id}", saved.id ?? ""));
  }

  // What the page says beside its forms, as the server says it now; away for a moment, it stays.
  async #refresh(): Promise<void> {
    if (this.#isLeaving) return;
    const answer = await fetch(location.href, { credentials: "same-origin" }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      part.replaceChildren(...(page.getElementById(part.id)?.childNodes ?? []));
      showLocalTimes(part);
    }
  }

  async #mayReplace(): Promise<boolean> {
    for (const part of this.querySelectorAll<HTMLElement>("[data-final]")) {
      const text = part.dataset["final"]!;
      const isChanged = [...part.querySelectorAll<HTMLInputElement>("input,textarea")].some((each) => each.value !== each.defaultValue);
      if (text && isChanged && !(await confirmed(t("Are you sure?"), text, t("Save")))) return false;
    }
    return true;
  }

  #explain(error: unknown): void {
    if (!(error instanceof ApiError)) {
      this.#general(String(error));
      return;
    }
    let first: Element | null = null;
    const elsewhere: string[] = [];
    for (const [path, message] of Object.entries(error.fields)) {
      const inner = this.dataset["wrap"] && path.startsWith(`${this.dataset["wrap"]}.`) ? path.slice(this.dataset["wrap"].length + 1) : path;
      const field = fieldAt(this.form, inner);
      if (field === this.form || !complain(field, message)) elsewhere.push(message);
      else if (!first || field.compareDocumentPosition(first) & Node.DOCUMENT_POSITION_FOLLOWING) first = field;
    }
    const isLate = error.type === "conflict";
    this.querySelector<HTMLElement>("[data-reload]")!.hidden = !isLate;
    const message = isLate ? t("Somebody else has changed this since you opened it. Reload to see it as it is now; your changes are not saved.") : error.message;
    this.#general([...new Set([message, ...elsewhere])].join(" "));
    for (let item = first?.closest("[data-item]"); item; item = item.parentElement?.closest("[data-item]")) unfold(item, true);
    first?.closest("details")?.setAttribute("open", "");
    const control = first?.querySelector<HTMLElement>("input:not([type=file]),select,textarea,button") ?? null;
    control?.scrollIntoView({ block: "center" });
    control?.focus();
  }

  async #check(): Promise<void> {
    if (this.#isBusy) return;
    withdrawComplaints(this);
    this.#busy(true);
    this.#say(t("Asking the vendor…"));
    try {
      const { baseUrl, config, credentials } = collect(this.form) as Record<string, Json>;
      const draft = this.isDirty ? { baseUrl: baseUrl ?? null, config: config ?? {}, credentials: credentials ?? {} } : {};
      this.#showHealth(await api<Health>("POST", this.dataset["check"]!, draft));
      await this.#refresh();
    } catch (error) {
      this.#explain(error);
    } finally {
      this.#busy(false);
      this.#say(this.isDirty ? t("There are unsaved changes.") : t("Nothing to save."));
    }
  }

  #showHealth(health: Health): void {
    const box = this.querySelector<HTMLElement>("[data-checked]")!;
    box.classList.remove("tone-success", "tone-danger", "tone-info");
    box.classList.add(health.ok === null ? "tone-info" : health.ok ? "tone-success" : "tone-danger");
    box.querySelector("[data-checked-text]")!.textContent = [health.message, ...health.warnings].join(" ");
    box.hidden = false;
  }

  #say(text: string): void {
    this.querySelector("[data-state]")!.textContent = text;
  }

  #general(text: string): void {
    const place = this.querySelector<HTMLElement>("[data-general]")!;
    place.textContent = text;
    place.hidden = !text;
    this.querySelector<HTMLElement>("[data-state]")!.hidden = Boolean(text);
  }

  #busy(isBusy: boolean): void {
    this.#isBusy = isBusy;
    if (isBusy) this.#general("");
    for (const button of this.querySelectorAll<HTMLButtonElement>(".save-bar button")) button.disabled = isBusy;
  }
}

function note(control: HTMLInputElement): void {
  control.defaultValue = control.value;
}

customElements.define("config-form", ConfigForm);
