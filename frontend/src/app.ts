// On every page: menus, colour scheme, sign-in, sign-out, the way back from a deletion, times in the
// reader's own time zone.
import { type ApiError, api } from "./api";
import { awaitPictures } from "./awaited";
import "./elements/before-after";
import "./elements/password-box";
import { SignInDialog } from "./elements/sign-in-dialog";
import { inDigits } from "./i18n";
import { forgetAll } from "./kept-photo";
import { showLocalTimes } from "./local-times";
import { toast } from "./toast";

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

const isSignedIn = document.documentElement.hasAttribute("data-own-look");
const themes = document.querySelectorAll<HTMLButtonElement>("button[data-set-theme]");
function showTheme(): void {
  const chosen = document.documentElement.dataset["theme"] ?? "system";
  for (const button of themes) button.setAttribute("aria-pressed", String(button.dataset["setTheme"] === chosen));
}
for (const button of themes) {
  button.addEventListener("click", () => {
    const theme = button.dataset["setTheme"]!;
    dispatchEvent(new CustomEvent("fm-look", { detail: { theme } }));
    // Here it holds at once; the account hears of it, for the person's other browsers.
    if (isSignedIn) api("PATCH", "/api/me", { theme }).catch(() => undefined);
    const menu = button.closest("details");
    if (menu) menu.open = false;
    menu?.querySelector("summary")?.focus();
  });
}
addEventListener("fm-look", showTheme);
showTheme();

// The language of one's account, which its mails are in, is the one chosen last.
document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[lang][hreflang]");
  if (!isSignedIn || !link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  api("PATCH", "/api/me", { locale: link.hreflang })
    .catch(() => undefined)
    .finally(() => location.assign(link.href));
});

for (const link of document.querySelectorAll<HTMLAnchorElement>("a[data-sign-in]")) {
  link.addEventListener("click", (event) => {
    const dialog = document.querySelector("sign-in-dialog");
    if (!(dialog instanceof SignInDialog) || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    document.dispatchEvent(new Event("fm-leaving")); // what was chosen on this page is to be kept
    dialog.open(location.pathname + location.search);
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-sign-out]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    await api("POST", "/api/auth/logout").catch(() => undefined);
    await forgetAll();
    location.assign(button.dataset["signOut"]!);
  });
}

for (const button of document.querySelectorAll<HTMLButtonElement>("button[data-keep-account]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await api("POST", "/api/me/restoration");
      location.reload();
    } catch (error) {
      button.disabled = false;
      toast("danger", (error as ApiError).message);
    }
  });
}

showLocalTimes(document);
awaitPictures(document);

document.addEventListener("fm-credits", (event) => {
  const available = (event as CustomEvent<number>).detail;
  for (const place of document.querySelectorAll("[data-available]")) {
    place.textContent = inDigits(available);
  }
});
