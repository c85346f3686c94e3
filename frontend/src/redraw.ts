// The page's parts as the server draws them now, put in place of what is shown.
import { showLocalTimes } from "./local-times";

export async function redraw(): Promise<void> {
  const answer = await fetch(location.href, { credentials: "same-origin", headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return location.reload();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll<HTMLElement>("[data-part]")) {
    const next = fresh.querySelector<HTMLElement>(`[data-part="${CSS.escape(part.dataset["part"]!)}"]`);
    if (!next) continue;
    const hadFocus = part.contains(document.activeElement);
    const taken = document.importNode(next, true);
    part.replaceWith(taken);
    showLocalTimes(taken);
    if (hadFocus) taken.querySelector<HTMLElement>("[tabindex='-1']")?.focus();
  }
}
