// The catalog without whole page loads. Its links and its search form work by themselves; here the page
// they lead to is fetched, and its parts take the places of the old ones. The address stays the truth.
import { awaitPictures } from "../awaited";

const PAUSE_MS = 250; // of somebody who types

export class CatalogFilters extends HTMLElement {
  #asking: AbortController | undefined;
  #typing = 0;
  #path = location.pathname + location.search; // of what is shown
  #isTyped = false; // whether that came by typing, which may go on: one entry of the history for all of it

  connectedCallback(): void {
    this.addEventListener("click", (event) => this.#onClick(event));
    const form = this.querySelector("form");
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#search(form, false);
    });
    form?.addEventListener("input", () => {
      clearTimeout(this.#typing);
      this.#typing = window.setTimeout(() => void this.#search(form, true), PAUSE_MS);
    });
    addEventListener("popstate", () => {
      const path = location.pathname + location.search;
      if (path !== this.#path) void this.#go(path, "none"); // else only a place on this page
    });
  }

  async #search(form: HTMLFormElement, isTyping: boolean): Promise<void> {
    const [path, wasTyped] = [this.#path, this.#isTyped];
    const isShown = await this.#go(addressOf(form), wasTyped ? "replace" : "push");
    if (isShown) this.#isTyped = isTyping && (wasTyped || this.#path !== path);
  }

  #onClick(event: MouseEvent): void {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-swap]");
    if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    void this.#go(link.href, "push", link.dataset["swap"] === "page");
  }

  // Shows what is at the address; whether it does.
  async #go(address: string, history_: "push" | "replace" | "none", isPage = false): Promise<boolean> {
    clearTimeout(this.#typing);
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    this.#wait(true);
    const fresh = await fetched(address, asking.signal);
    if (asking.signal.aborted) return false;
    if (!fresh) {
      this.#wait(false); // for who comes back to this page
      location.assign(address); // the browser says better than we do what is wrong
      return false;
    }
    const { pathname, search } = new URL(address, location.href);
    const isOther = pathname + search !== this.#path;
    if (history_ === "push" && isOther) history.pushState(null, "", address);
    else if (history_ === "replace" && isOther) history.replaceState(history.state, "", address);
    this.#path = pathname + search;
    this.#isTyped = false;
    this.#take(fresh, history_ === "none");
    if (isPage) {
      document.getElementById("catalog-title")?.focus({ preventScroll: true });
      this.scrollIntoView({ block: "start" });
    }
    return true;
  }

  #wait(isOn: boolean): void {
    this.querySelector("[data-results]")?.setAttribute("aria-busy", String(isOn));
  }

  // The parts of the fresh page; the keyboard stays where it is, and what is being typed stays.
  #take(fresh: Document, isBack: boolean): void {
    const focused = document.activeElement?.id;
    for (const part of document.querySelectorAll<HTMLElement>("[data-shop-part]")) {
      const next = fresh.querySelector(`[data-shop-part="${part.dataset["shopPart"]!}"]`);
      if (next) part.replaceChildren(...[...next.childNodes].map((node) => document.importNode(node, true)));
      awaitPictures(part);
    }
    this.#wait(false);
    document.title = fresh.title;
    this.#takeForm(fresh, isBack);
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }

  #takeForm(fresh: Document, isBack: boolean): void {
    const form = this.querySelector("form");
    const next = fresh.querySelector<HTMLFormElement>("catalog-filters form");
    if (!form || !next) return;
    for (const hidden of form.querySelectorAll("input[type=hidden]")) hidden.remove();
    for (const hidden of next.querySelectorAll("input[type=hidden]")) form.append(document.importNode(hidden));
    const typed = form.querySelector<HTMLInputElement>("[name=q]");
    const said = next.querySelector<HTMLInputElement>("[name=q]")?.value ?? "";
    if (typed && (isBack || document.activeElement !== typed)) typed.value = said;
  }
}

// The form's own address, without what is left empty.
function addressOf(form: HTMLFormElement): string {
  const said = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && value.trim()) said.set(name, value.trim());
  }
  const query = said.toString();
  return form.action + (query && `?${query}`);
}

async function fetched(address: string, signal: AbortSignal): Promise<Document | null> {
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" }, signal });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

customElements.define("catalog-filters", CatalogFilters);
