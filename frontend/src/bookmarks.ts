// The page of one's bookmarks: what is taken off is gone at once, and back at once when it is undone.
import "./elements/bookmark-button";

const list = document.querySelector<HTMLElement>("[data-bookmarks]");

list?.addEventListener("bookmark-changed", (event) => {
  const card = (event.target as Element).closest<HTMLElement>("[data-bookmark]");
  if (!card) return;
  const isOn = (event as CustomEvent<boolean>).detail;
  const hadFocus = card.contains(document.activeElement);
  const cards = (): HTMLElement[] => [...list.querySelectorAll<HTMLElement>("[data-bookmark]:not([hidden])")];
  const place = cards().indexOf(card);
  card.hidden = !isOn;
  const left = cards();
  document.querySelector("[data-no-bookmarks]")?.toggleAttribute("hidden", left.length > 0);
  if (isOn) card.querySelector("button")?.focus();
  else if (hadFocus) (left[Math.min(place, left.length - 1)]?.querySelector("button") ?? document.querySelector<HTMLElement>("h1"))?.focus();
});
