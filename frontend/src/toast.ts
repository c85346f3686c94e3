// Short news in the corner. The page holds the pattern, so that icons and styles stay in templates.
export function toast(
  tone: "success" | "danger",
  title: string,
  text = "",
  action: { label: string; act(): void } | null = null,
): void {
  const pattern = document.getElementById(`toast-${tone}`);
  const toaster = document.getElementById("toaster");
  if (!(pattern instanceof HTMLTemplateElement) || !toaster) return;
  const node = pattern.content.firstElementChild?.cloneNode(true) as HTMLElement;
  node.querySelector("[data-title]")!.textContent = title;
  node.querySelector("[data-text]")!.textContent = text;
  const button = node.querySelector("button")!;
  if (action) {
    button.textContent = action.label;
    button.addEventListener("click", () => {
      node.remove();
      action.act();
    });
  } else button.remove();
  toaster.append(node);
  const leave = (): void => {
    node.setAttribute("aria-hidden", "true");
    node.inert = true;
    setTimeout(() => node.remove(), 400);
  };
  // It waits for whoever reads it or is about to press its button.
  let leaving = setTimeout(leave, 6000);
  for (const kind of ["pointerenter", "focusin"]) node.addEventListener(kind, () => clearTimeout(leaving));
  for (const kind of ["pointerleave", "focusout"]) {
    node.addEventListener(kind, () => {
      clearTimeout(leaving);
      leaving = setTimeout(leave, 6000);
    });
  }
}
