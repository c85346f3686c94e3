// Sets colour scheme and accent before the first paint. Who is signed in gets them from the server,
// written on <html>; they are kept in this browser too, for pages that do not know who asks.
export {};

const root = document.documentElement;
root.dataset["scripted"] = ""; // what does nothing without scripts may be seen
const system = matchMedia("(prefers-color-scheme: dark)");

function kept(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing still shows what is chosen on this page.
  }
}

function apply(): void {
  const dark = root.dataset["theme"] === "dark" || (root.dataset["theme"] !== "light" && system.matches);
  root.classList.toggle("dark", dark);
  const bar = document.querySelector<HTMLMetaElement>("meta[name=theme-color]"); // around the page
  if (bar) bar.content = bar.dataset[dark ? "dark" : "light"]!;
}

function choose(theme: string | null | undefined, accent: string | null | undefined): void {
  if (theme) root.dataset["theme"] = theme;
  if (accent) root.dataset["accent"] = accent;
  apply();
}

function remember(theme?: string, accent?: string): void {
  if (theme) keep("fm-theme", theme);
  if (accent) keep("fm-accent", accent);
  choose(theme, accent);
}

if (root.hasAttribute("data-own-look")) remember(root.dataset["theme"], root.dataset["accent"]);
else choose(kept("fm-theme"), kept("fm-accent"));
system.addEventListener("change", apply);
addEventListener("fm-look", (event) => {
  const { theme, accent } = (event as CustomEvent<{ theme?: string; accent?: string }>).detail;
  remember(theme, accent);
});
addEventListener("storage", () => choose(kept("fm-theme"), kept("fm-accent")));
