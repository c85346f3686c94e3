// The banners of the home page. Their track scrolls by itself: it is swiped, and moved by links, without
// this script. Here it moves on by itself, until somebody takes it in hand or wants less motion.
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

export class BannerCarousel extends HTMLElement {
  readonly #track = this.querySelector<HTMLElement>("[data-track]")!;
  readonly #slides = [...this.querySelectorAll<HTMLElement>("[data-slide]")];
  readonly #dots = [...this.querySelectorAll<HTMLElement>("[data-dot]")];
  readonly #pause = this.querySelector<HTMLButtonElement>("[data-pause]");
  #current = -1; // not looked yet

  connectedCallback(): void {
    if (this.#slides.length < 2) return;
    this.#watch();
    for (const button of this.querySelectorAll<HTMLButtonElement>("[data-move]")) {
      button.hidden = false;
      button.addEventListener("click", () => this.#take(this.#current + Number(button.dataset["move"])));
    }
    for (const [index, dot] of this.#dots.entries()) {
      dot.addEventListener("click", (event) => {
        event.preventDefault();
        this.#take(index);
      });
    }
    this.#pause?.addEventListener("click", () => this.#setMoving(!this.hasAttribute("data-moving")));
    this.#track.addEventListener("pointerdown", () => this.#setMoving(false));
    this.addEventListener("keydown", (event) => this.#onKey(event));
    // The current dot fills while its slide is shown; it stands still under a pointer or the keyboard.
    this.addEventListener("animationend", (event) => {
      if (event.animationName === "slide-time") this.#show(this.#current + 1);
    });
    CALM.addEventListener("change", () => this.#setMoving(!CALM.matches));
    this.#setMoving(!CALM.matches);
  }

  // Which slide is in sight, by how far the track is scrolled; and whether the track itself is.
  #watch(): void {
    const look = (): void => {
      const index = Math.round(this.#track.scrollLeft / (this.#track.clientWidth || 1));
      this.#mark(Math.min(index, this.#slides.length - 1));
    };
    this.#track.addEventListener("scroll", look, { passive: true });
    look();
    new IntersectionObserver(([entry]) => this.toggleAttribute("data-away", !entry?.isIntersecting)).observe(this);
  }

  // Those out of sight are out of the keyboard's way, too: it would drag them into sight.
  #mark(index: number): void {
    if (index === this.#current) return;
    this.#current = index;
    for (const [place, slide] of this.#slides.entries()) slide.inert = place !== index;
    for (const [place, dot] of this.#dots.entries()) {
      if (place === index) dot.setAttribute("aria-current", "true");
      else dot.removeAttribute("aria-current");
    }
  }

  // Somebody moves it by hand: from now on it is theirs, and what comes is said.
  #take(index: number): void {
    this.#setMoving(false);
    const slide = this.#show(index);
    const news = this.querySelector("[data-news]");
    if (news) news.textContent = slide.querySelector("h2")?.textContent ?? "";
  }

  #show(index: number): HTMLElement {
    const count = this.#slides.length;
    const slide = this.#slides[(index + count) % count]!;
    const behavior = CALM.matches ? "instant" : "smooth";
    this.#track.scrollTo({ left: slide.offsetLeft - this.#slides[0]!.offsetLeft, behavior });
    return slide;
  }

  #onKey(event: KeyboardEvent): void {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.#take(this.#current + step);
  }

  #setMoving(isMoving: boolean): void {
    this.toggleAttribute("data-moving", isMoving);
    this.toggleAttribute("data-stopped", !isMoving);
    if (!this.#pause) return;
    this.#pause.hidden = CALM.matches;
    this.#pause.setAttribute("aria-label", this.#pause.dataset[isMoving ? "on" : "off"]!);
  }
}

customElements.define("banner-carousel", BannerCarousel);
