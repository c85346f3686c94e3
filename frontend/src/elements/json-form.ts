// A form whose fields become JSON for one call of the API. What is wrong is said beside its field;
// where proof of who one is is asked for, the call goes on by itself once it is given.
//
// data-method, data-url   the call; {names} of the address are filled from fields
// data-then               reload, go (to the chosen option's data-path, the answer's `next`, or
//                         data-next), sent (shows the part
//                         [data-stage=sent] in place of [data-stage=ask]), redraw (the page's parts
//                         as the server draws them now), or nothing: others hear `json-done`
// data-said               what is said in the corner when it has worked
// data-auto               does it at once, when the page opens
// data-ask, data-ask-text, data-ask-action   asks before
import { type ApiError, api } from "../api";
import { confirmed } from "../dashboard/confirm";
import { t } from "../i18n";
import { redraw } from "../redraw";
import { toast } from "../toast";

type Method = "POST" | "PUT" | "PATCH" | "DELETE";

export class JsonForm extends HTMLElement {
  #busy = false;

  connectedCallback(): void {
    this.form.noValidate = true;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send(event.submitter as HTMLButtonElement | null);
    });
    if (this.hasAttribute("data-auto")) void this.#send(null);
  }

  get form(): HTMLFormElement {
    return this.querySelector("form")!;
  }

  async #send(submitter: HTMLButtonElement | null): Promise<void> {
    if (this.#busy) return;
    const { ask, askText, askAction } = this.dataset;
    if (ask && !(await confirmed(ask, askText ?? "", askAction ?? ""))) return;
    this.#busy = true;
    this.#complain({}, "");
    const button = submitter ?? this.form.querySelector<HTMLButtonElement>("button[type=submit]");
    button?.setAttribute("aria-disabled", "true");
    try {
      const values = valuesOf(this.form, submitter);
      const url = this.dataset["url"]!.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values[name])));
      const body = this.dataset["method"] === "DELETE" && Object.keys(values).length === 0 ? undefined : values;
      const answer = await api<Record<string, unknown> | undefined>(this.dataset["method"] as Method, url, body);
      await this.#done(answer ?? {}, values);
    } catch (error) {
      this.#failed(error as ApiError);
    } finally {
      this.#busy = false;
      button?.removeAttribute("aria-disabled");
    }
  }

  async #done(answer: Record<string, unknown>, values: Record<string, unknown>): Promise<void> {
    this.dispatchEvent(new CustomEvent("json-done", { detail: answer, bubbles: true }));
    const { then, said } = this.dataset;
    if (then === "go") return location.assign(this.#next(answer));
    if (then === "reload") return location.reload();
    if (then === "sent") this.#showSent(values);
    if (then === "redraw") await redraw();
    if (said) toast("success", said);
  }

  #next(answer: Record<string, unknown>): string {
    const chosen = this.form.querySelector<HTMLOptionElement>("option[data-path]:checked")?.dataset["path"];
    return chosen ?? (typeof answer["next"] === "string" ? answer["next"] : this.dataset["next"]!);
  }

  #showSent(values: Record<string, unknown>): void {
    for (const part of this.querySelectorAll<HTMLElement>("[data-stage]")) part.hidden = part.dataset["stage"] !== "sent";
    const place = this.querySelector("[data-sent-to]");
    if (place) place.textContent = String(values["email"] ?? "");
    this.querySelector<HTMLElement>("[data-stage=sent] [tabindex]")?.focus();
  }

  #failed(error: ApiError): void {
    if (error.type === "reauthentication_required") return; // the person did not want to
    const fields = { ...error.fields };
    for (const name of Object.keys(fields)) if (!this.#placeOf(name)) delete fields[name];
    const wait =
      error.status === 429 && error.retryAfterS
        ? t("Too many tries. Please wait {seconds} seconds.", { seconds: error.retryAfterS })
        : error.message;
    const rest = Object.keys(fields).length > 0 ? "" : (Object.values(error.fields)[0] ?? wait);
    this.dispatchEvent(new CustomEvent("json-failed", { detail: error, bubbles: true }));
    if (!this.#complain(fields, rest)) toast("danger", rest);
  }

  // Shows what is wrong; answers False where there is no place for what belongs to no field.
  #complain(fields: Record<string, string>, rest: string): boolean {
    let first: HTMLElement | null = null;
    for (const input of this.form.querySelectorAll<HTMLInputElement>("input, textarea, select")) {
      const place = this.#placeOf(input.name);
      if (!place) continue;
      const text = fields[input.name] ?? "";
      place.textContent = text;
      place.hidden = !text;
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      if (text) first ??= input;
    }
    first?.focus();
    const general = this.form.querySelector<HTMLElement>("[data-complaint]");
    if (!general) return !rest;
    general.querySelector("[data-text]")!.textContent = rest;
    general.hidden = !rest;
    return true;
  }

  #placeOf(name: string): HTMLElement | null {
    return name ? this.form.querySelector<HTMLElement>(`[data-complaint-of="${CSS.escape(name)}"]`) : null;
  }
}

// What was filled in, by name: one text each, boxes of one name a list, numbers as such; what is
// left empty and may be is left out.
function valuesOf(form: HTMLFormElement, submitter: HTMLButtonElement | null): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const input of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>("input[name], select[name]")) {
    const { name, value } = input;
    if (input instanceof HTMLInputElement && input.type === "checkbox") {
      const list = (values[name] ??= []) as string[];
      if (input.checked) list.push(value);
    } else if (input instanceof HTMLInputElement && input.type === "radio") {
      if (input.checked) values[name] = value;
    } else if (value !== "" || input.required || input.hasAttribute("data-may-be-empty")) {
      const text = input.type === "password" ? value : value.trim();
      values[name] = input.hasAttribute("data-number") ? Number(text) : text;
    }
  }
  if (submitter?.name) values[submitter.name] = submitter.value === "true" ? true : submitter.value;
  return values;
}

customElements.define("json-form", JsonForm);
