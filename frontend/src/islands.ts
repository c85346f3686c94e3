// The parts of a tool's page that are drawn anew without touching the rest: what people think of the
// tool, and what the viewer may say about it.
export async function redrawIslands(): Promise<void> {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok) return; // what is shown is still true enough
  takeIslands(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

// Puts the islands of another drawing of the page in their places; the keyboard stays where it is.
export function takeIslands(fresh: Document): void {
  for (const island of document.querySelectorAll<HTMLElement>("[data-island]")) {
    const next = fresh.querySelector<HTMLElement>(`[data-island="${island.dataset["island"]!}"]`);
    if (!next) continue;
    const focused = island.contains(document.activeElement) ? document.activeElement?.id : "";
    island.replaceWith(document.importNode(next, true));
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
}
