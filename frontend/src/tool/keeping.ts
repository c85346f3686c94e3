// "Save" keeps a result among one's own files; the same button, or the message's, takes it back.
import { type ApiError, api } from "../api";
import { t } from "../i18n";
import { toast } from "../toast";

export async function toggleSaved(button: HTMLButtonElement): Promise<void> {
  if (button.disabled) return;
  const isSaved = button.getAttribute("aria-pressed") === "true";
  button.disabled = true;
  try {
    await api(isSaved ? "DELETE" : "POST", `/api/assets/${button.dataset["asset"]}/save`);
    show(button, !isSaved);
    if (isSaved) toast("success", t("Not saved any more"), t("Results that are not saved are kept for a while only."));
    else {
      toast("success", t("Saved"), t("It is kept among your files."), {
        label: t("Undo"),
        act: () => void toggleSaved(button),
      });
    }
  } catch (error) {
    toast("danger", t("This was not saved"), (error as ApiError).message);
  } finally {
    button.disabled = false;
  }
}

function show(button: HTMLButtonElement, isSaved: boolean): void {
  button.setAttribute("aria-pressed", String(isSaved));
  const label = button.querySelector<HTMLElement>("[data-label]")!;
  label.textContent = label.dataset[isSaved ? "on" : "off"]!;
}
