// Proof of who one is, asked for in the middle of an act: by password here, by a mailed link or at
// another company in a tab of its own, so that nothing of this page is lost. The server draws the
// dialog, with the ways this person has.
import { ApiError, api } from "./api";
import { t } from "./i18n";

export const CHANNEL = "fm-proved-again";

let asking: Promise<boolean> | null = null;

// Answers whether the proof was given; acts that ask at the same time share one dialog.
export function proveAgain(): Promise<boolean> {
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

async function ask(): Promise<boolean> {
  const dialog = await drawn();
  document.body.append(dialog);
  const channel = new BroadcastChannel(CHANNEL);
  try {
    dialog.showModal();
    return await new Promise((resolve) => {
      channel.addEventListener("message", () => resolve(true));
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "proved"));
      open(dialog);
    });
  } finally {
    channel.close();
    dialog.close();
    dialog.remove();
  }
}

async function drawn(): Promise<HTMLDialogElement> {
  const answer = await fetch(`/${document.documentElement.lang}/reauthentication`, { credentials: "same-origin" });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const dialog = page.querySelector<HTMLDialogElement>("dialog[data-prove]");
  if (!dialog) throw new ApiError("unauthenticated", t("Please sign in first."), 401, undefined, {});
  return document.importNode(dialog, true);
}

function open(dialog: HTMLDialogElement): void {
  const form = dialog.querySelector<HTMLFormElement>("form[data-password]");
  const complaint = dialog.querySelector<HTMLElement>("[data-prove-complaint]")!;
  const input = form?.querySelector<HTMLInputElement>("input[name=password]");
  const say = (text: string): void => {
    complaint.textContent = text;
    complaint.hidden = !text;
    input?.setAttribute("aria-invalid", String(Boolean(text)));
  };
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(form.querySelector("button[type=submit]")!, say, async () => {
      await api("POST", "/api/auth/reauthenticate", { password: input!.value });
      dialog.close("proved");
    }).then(() => input!.focus());
  });
  const link = dialog.querySelector<HTMLButtonElement>("button[data-mail]");
  link?.addEventListener("click", () => {
    void attempt(link, say, async () => {
      await api("POST", "/api/auth/reauthenticate/link", { next: dialog.dataset["next"] });
      wait(dialog, "mail");
    });
  });
  for (const way of dialog.querySelectorAll("a[data-elsewhere]")) {
    way.addEventListener("click", () => wait(dialog, "elsewhere"));
  }
  (input ?? link)?.focus();
}

function wait(dialog: HTMLDialogElement, what: "mail" | "elsewhere"): void {
  dialog.querySelector<HTMLElement>("[data-prove-ask]")!.hidden = true;
  const place = dialog.querySelector<HTMLElement>(`[data-prove-wait=${what}]`)!;
  place.hidden = false;
  place.querySelector<HTMLElement>("h2")!.focus();
}

async function attempt(button: HTMLButtonElement, say: (text: string) => void, act: () => Promise<void>): Promise<void> {
  if (button.disabled) return;
  button.disabled = true;
  say("");
  try {
    await act();
  } catch (error) {
    const { retryAfterS, message, status, fields } = error as ApiError;
    const wait = t("Too many tries. Please wait {seconds} seconds.", { seconds: retryAfterS ?? 0 });
    say(status === 429 && retryAfterS ? wait : (fields["password"] ?? message));
  } finally {
    button.disabled = false;
  }
}
