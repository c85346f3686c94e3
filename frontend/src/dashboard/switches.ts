// Switches that act at once. What is said beside them follows; where it fails, all goes back.
import { ApiError, api } from "../api";
import { t } from "../i18n";
import { toast } from "../toast";

const NEWS: Record<string, [string, string]> = {
  isActive: [t("“{name}” is on offer."), t("“{name}” is hidden.")],
  isFeatured: [t("“{name}” is featured."), t("“{name}” is not featured any more.")],
};

for (const control of document.querySelectorAll<HTMLInputElement>("input[data-toggle]")) {
  control.addEventListener("change", async () => {
    const name = control.dataset["toggle"]!;
    const isOn = control.checked;
    show(control, name, isOn);
    control.disabled = true;
    try {
      await api("PATCH", control.dataset["url"]!, { [name]: isOn });
      const [on, off] = NEWS[name]!;
      toast("success", (isOn ? on : off).replace("{name}", control.dataset["name"]!));
    } catch (error) {
      control.checked = !isOn;
      show(control, name, !isOn);
      toast("danger", error instanceof ApiError ? error.message : String(error));
    } finally {
      control.disabled = false;
      control.focus();
    }
  });
}

function show(control: Element, name: string, isOn: boolean): void {
  for (const badge of control.closest("[data-row]")?.querySelectorAll<HTMLElement>("[data-badge]") ?? []) {
    const [shown, state] = badge.dataset["badge"]!.split("-");
    if (shown === name) badge.hidden = (state === "on") !== isOn;
  }
}
