// The ways in on one card: a mailed link or a password, as two tabs of one form. Without this script
// the tabs are links to the sign-in page, and the form works as it is.
export class WaysIn extends HTMLElement {
  connectedCallback(): void {
    this.querySelector("[data-tabs]")!.setAttribute("role", "tablist");
    this.#panel.setAttribute("role", "tabpanel");
    for (const tab of this.#tabs) {
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", this.#panel.id);
      tab.removeAttribute("aria-current");
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        this.show(tab.dataset["way"]!);
      });
      tab.addEventListener("keydown", (event) => {
        if (event.key === " ") {
          event.preventDefault();
          tab.click();
        }
        if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
        const other = this.#tabs.find((each) => each !== tab)!;
        this.show(other.dataset["way"]!);
        other.focus();
      });
    }
    this.show(this.way);
  }

  get way(): string {
    return this.dataset["way"]!;
  }

  get form(): HTMLFormElement {
    return this.querySelector("form")!;
  }

  get #panel(): HTMLElement {
    return this.querySelector<HTMLElement>("[data-panel]")!;
  }

  get #tabs(): HTMLElement[] {
    return [...this.querySelectorAll<HTMLElement>("[data-tabs] > a")];
  }

  show(way: string): void {
    this.dataset["way"] = way;
    this.querySelector<HTMLInputElement>("input[name=way]")!.value = way;
    for (const part of this.querySelectorAll<HTMLElement>("[data-only]")) part.hidden = part.dataset["only"] !== way;
    for (const tab of this.#tabs) {
      const isShown = tab.dataset["way"] === way;
      tab.setAttribute("aria-selected", String(isShown));
      tab.tabIndex = isShown ? 0 : -1;
      if (isShown) this.#panel.setAttribute("aria-labelledby", tab.id);
    }
  }

  // Where the person goes when they are in.
  leadTo(next: string): void {
    for (const link of this.querySelectorAll<HTMLAnchorElement>("a[data-next]")) {
      const url = new URL(link.href);
      url.searchParams.set("next", next);
      link.href = url.href;
    }
    for (const input of this.querySelectorAll<HTMLInputElement>("input[name=next]")) input.value = next;
  }
}

customElements.define("ways-in", WaysIn);
