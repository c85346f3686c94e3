// What steps cost, as the buttons and the list beside them say it: every label carries its price.
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
  for (const line of document.querySelectorAll(`[data-price-of="${step}"]`)) {
    line.textContent = tn("{number} credit", "{number} credits", credits);
  }
}

// The prices as another drawing of the page tells them.
export function takePrices(root: HTMLElement, fresh: HTMLElement): void {
  const seen = new Set<string>();
  for (const { dataset } of fresh.querySelectorAll<HTMLElement>("[data-price-label]")) {
    if (!seen.has(dataset["step"]!)) setPrice(root, dataset["step"]!, Number(dataset["price"]));
    seen.add(dataset["step"]!);
  }
  for (const { dataset, textContent } of fresh.ownerDocument.querySelectorAll<HTMLElement>("[data-price-of]")) {
    const line = document.querySelector(`[data-price-of="${dataset["priceOf"]!}"]`);
    if (line) line.textContent = textContent;
  }
}

function labels(root: HTMLElement, step: string): NodeListOf<HTMLElement> {
  return root.querySelectorAll<HTMLElement>(`[data-price-label][data-step="${step}"]`);
}
