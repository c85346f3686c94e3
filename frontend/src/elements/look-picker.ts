// Theme and accent: shown on the page as soon as they are chosen, kept with the account at once.
import { type ApiError, api } from "../api";
import { t } from "../i18n";
import { toast } from "../toast";

interface Look {
  theme?: string;
  accent?: string;
}

export class LookPicker extends HTMLElement {
  connectedCallback(): void {
    this.addEventListener("change", (event) => {
      const radio = event.target as HTMLInputElement;
      void this.#choose({ [radio.name]: radio.value });
    });
    addEventListener("fm-look", (event) => this.#check((event as CustomEvent<Look>).detail));
  }

  async #choose(look: Look): Promise<void> {
    const { theme, accent } = document.documentElement.dataset;
    const before: Look = look.theme ? { theme: theme! } : { accent: accent! };
    show(look);
    try {
      await api("PATCH", "/api/me", look);
    } catch (error) {
      show(before);
      toast("danger", t("This was not saved"), (error as ApiError).message);
    }
  }

  // The header's menu chooses the theme too.
  #check(look: Look): void {
    for (const [name, value] of Object.entries(look)) {
      const radio = this.querySelector<HTMLInputElement>(`input[name="${name}"][value="${value}"]`);
      if (radio) radio.checked = true;
    }
  }
}

function show(look: Look): void {
  dispatchEvent(new CustomEvent("fm-look", { detail: look }));
}

customElements.define("look-picker", LookPicker);
