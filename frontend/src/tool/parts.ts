// The parts of the page that depend on a task are drawn by the server alone: this fetches them and
// puts them in their places.
import { awaitPictures } from "../awaited";
import { takeIslands } from "../islands";
import { showLocalTimes } from "../local-times";
import { takePrices } from "./prices";

export class Fresh {
  private constructor(private readonly page: Document) {}

  // The page at an address, as the server draws it now; null where it cannot be had.
  static async at(address: string): Promise<Fresh | null> {
    const answer = await fetch(address, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer?.ok) return null;
    return new Fresh(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }

  get executor(): HTMLElement {
    return this.page.querySelector<HTMLElement>("tool-executor")!;
  }

  part(name: string): HTMLElement | null {
    return this.executor.querySelector<HTMLElement>(`[data-part="${name}"]`);
  }

  // Waits until the result's picture can be painted, so that it does not appear piece by piece.
  async paintable(): Promise<void> {
    const source = this.part("result")?.querySelector<HTMLImageElement>("img[data-after], img[data-main]")?.src;
    if (!source) return;
    const image = new Image();
    image.src = source;
    await Promise.race([image.decode().catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 4000))]);
  }

  into(executor: HTMLElement): void {
    for (const place of executor.querySelectorAll<HTMLElement>("[data-part]")) {
      const part = this.part(place.dataset["part"]!);
      if (part) place.replaceChildren(...part.childNodes);
      awaitPictures(place);
    }
    for (const name of ["task", "step", "tool"]) {
      const value = this.executor.dataset[name];
      if (value) executor.dataset[name] = value;
      else delete executor.dataset[name];
    }
    takePrices(executor, this.executor);
    takeIslands(this.page);
    this.runs();
  }

  runs(): void {
    const runs = this.page.querySelector("[data-runs]");
    if (!runs) return;
    showLocalTimes(runs);
    document.querySelector("[data-runs]")?.replaceWith(runs);
    awaitPictures(runs);
  }

  // Older runs, below those that are shown.
  moreRuns(): void {
    const shown = document.querySelector("[data-runs]");
    const older = this.page.querySelector("[data-runs]");
    const first = older?.querySelector<HTMLElement>("li a");
    if (!shown || !older) return;
    showLocalTimes(older);
    shown.querySelector("ul")!.append(...older.querySelectorAll("li"));
    awaitPictures(shown);
    const link = older.querySelector("[data-more]");
    const place = shown.querySelector("[data-more]");
    if (link) place?.replaceWith(link);
    else place?.parentElement?.remove();
    first?.focus({ preventScroll: true });
  }
}

export function addressOf(task: string | null): string {
  const address = new URL(location.href);
  address.searchParams.delete("runs");
  if (task) address.searchParams.set("task", task);
  else address.searchParams.delete("task");
  return address.toString();
}
