// Sets the colour scheme before the first paint: the choice kept in this browser, else the system's.
export {};

const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function choice(): string {
  try {
    return localStorage.getItem("fm-theme") ?? "system";
  } catch {
    return "system";
  }
}

function apply(): void {
  const chosen = choice();
  const dark = chosen === "dark" || (chosen !== "light" && system.matches);
  root.classList.toggle("dark", dark);
  root.dataset["theme"] = chosen;
}

apply();
system.addEventListener("change", apply);
addEventListener("fm-theme", apply);
addEventListener("storage", apply);
