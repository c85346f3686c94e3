// What steps cost, as the buttons say it: every label of a step carries its price.
import { tn } from "../i18n";

export function priceOf(root: HTMLElement, step: string): number {
  return Number(labels(root, step)[0]?.dataset["price"]);
}

export function setPrice(root: HTMLElement, step: string, credits: number): void {
  for (const label of labels(root, step)) {
    label.dataset["price"] = String(credits);
    label.textContent = tn("{action} ({number} credit)", "{action} ({number} credits)", credits, {
      action: label.dataset["action"]!,
    });
  }
}

// The prices as another drawing of the page tells them.
export function takePrices(root: HTMLElement, fresh: HTMLElement): void {
  const seen = new Set<string>();
  for (const { dataset } of fresh.querySelectorAll<HTMLElement>("[data-price-label]")) {
    if (!seen.has(dataset["step"]!)) setPrice(root, dataset["step"]!, Number(dataset["price"]));
    seen.add(dataset["step"]!);
  }
}

function labels(root: HTMLElement, step: string): NodeListOf<HTMLElement> {
  return root.querySelectorAll<HTMLElement>(`[data-price-label][data-step="${step}"]`);
}
