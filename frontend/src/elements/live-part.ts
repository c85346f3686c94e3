// A part of the page that is asked for again while something in it is still being made
// (`data-pending`), less and less often, for a quarter of an hour at most.
import { redraw } from "../redraw";

const FIRST_S = 2;
const MOST_S = 20;
const LIFETIME_S = 900;

let waited_s = 0;

export class LivePart extends HTMLElement {
  #timer = 0;

  connectedCallback(): void {
    if (!this.querySelector("[data-pending]")) {
      waited_s = 0;
      return;
    }
    if (waited_s > LIFETIME_S) return;
    const pause_s = Math.min(MOST_S, FIRST_S + waited_s / 10);
    waited_s += pause_s;
    this.#timer = setTimeout(() => void redraw(), pause_s * 1000);
  }

  disconnectedCallback(): void {
    clearTimeout(this.#timer);
  }
}

customElements.define("live-part", LivePart);
