// The pages of ways in and of one's own account.
import "./elements/avatar-picker";
import "./elements/json-form";
import "./elements/live-part";
import "./elements/look-picker";
import "./elements/new-key";
import { CHANNEL } from "./reauthentication";

for (const button of document.querySelectorAll<HTMLElement>("[data-opens]")) {
  const dialog = document.getElementById(button.dataset["opens"]!) as HTMLDialogElement;
  button.addEventListener("click", () => dialog.showModal());
  dialog.querySelector("[data-closes]")?.addEventListener("click", () => dialog.close());
}

// The tab that asked for proof goes on; this one has done its part.
if (document.querySelector("[data-proved-again]")) new BroadcastChannel(CHANNEL).postMessage("proved");
