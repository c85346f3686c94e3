// On every page: menus, colour scheme, sign-in, sign-out, times in the reader's own time zone.
import { api } from "./api";
import "./elements/before-after";
import { SignInDialog } from "./elements/sign-in-dialog";
import { locale } from "./i18n";
import { showLocalTimes } from "./local-times";

for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu")) {
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target as Node)) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary")?.focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget as Node)) menu.open = false;
  });
}

const themes = document.querySelectorAll<HTMLButtonElement>("button[data-set-theme]");
function showTheme(): void {
  const chosen = document.documentElement.dataset["theme"] ?? "system";
  for (const button of themes) button.setAttribute("aria-pressed", String(button.dataset["setTheme"] === chosen));
}
for (const button of themes) {
  button.addEventListener("click", () => {
    try {
      localStorage.setItem("fm-theme", button.dataset["setTheme"]!);
    } catch {
      // A browser that keeps nothing still shows the system's scheme.
    }
    dispatchEvent(new Event("fm-theme"));
    showTheme();
    const menu = button.closest("details");
    if (menu) menu.open = false;
    menu?.querySelector("summary")?.focus();
  });
}
showTheme();

for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-sign-in]")) {
  link.addEventListener("click", (event) => {
    const dialog = document.querySelector("sign-in-dialog");
    if (!(dialog instanceof SignInDialog) || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    dialog.open(location.pathname + location.search);
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-sign-out]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    await api("POST", "/api/auth/logout").catch(() => undefined);
    location.assign(button.dataset["signOut"]!);
  });
}

showLocalTimes(document);

document.addEventListener("fm-credits", (event) => {
  const available = (event as CustomEvent<number>).detail;
  for (const place of document.querySelectorAll("[data-available]")) {
    place.textContent = available.toLocaleString(locale);
  }
});
