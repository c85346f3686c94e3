// The pages of ways in and of one's own account.
import "./elements/avatar-picker";
import "./elements/json-form";
import "./elements/live-part";
import "./elements/look-picker";
import "./elements/new-key";
import { CHANNEL, proveAgain } from "./reauthentication";

for (const button of document.querySelectorAll<HTMLElement>("[data-opens]")) {
  const dialog = document.getElementById(button.dataset["opens"]!) as HTMLDialogElement;
  button.addEventListener("click", () => dialog.showModal());
  dialog.querySelector("[data-closes]")?.addEventListener("click", () => dialog.close());
}

// Links to what wants a proof of who one is: asked for first, once the last one is too old.
const opened = Date.now();
document.addEventListener("click", (event) => {
  const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-needs-proof]");
  if (!link || Date.now() - opened < 1000 * Number(link.dataset["needsProof"])) return;
  event.preventDefault();
  void proveAgain().then((isProved) => isProved && location.assign(link.href));
});

// The tab that asked for proof goes on; this one has done its part.
if (document.querySelector("[data-proved-again]")) new BroadcastChannel(CHANNEL).postMessage("proved");
