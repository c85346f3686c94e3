// Asks before what cannot be undone.
export function confirmed(title: string, text: string, action: string): Promise<boolean> {
  const dialog = document.getElementById("confirm") as HTMLDialogElement;
  const [no, yes] = ["no", "yes"].map((answer) => dialog.querySelector<HTMLButtonElement>(`[data-answer=${answer}]`)!);
  dialog.querySelector("h2")!.textContent = title;
  dialog.querySelector("p")!.textContent = text;
  yes!.querySelector("span")!.textContent = action;
  no!.onclick = () => dialog.close("no");
  yes!.onclick = () => dialog.close("yes");
  dialog.returnValue = "no";
  dialog.showModal();
  no!.focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
