// Lists of a form: add, remove, move by button or by drag. Nodes move, so nothing typed is lost.
import { t } from "../i18n";
import { confirmed } from "./confirm";
import { itemsOf, owner } from "./values";

let made = 0;

export function openLists(form: HTMLFormElement, onChange: () => void): void {
  form.addEventListener("click", (event) => {
    const button = (event.target as Element).closest<HTMLButtonElement>("button[data-add],button[data-act]");
    const list = button?.closest<HTMLElement>("[data-kind=list]");
    if (!button || !list) return;
    void act(button, list).then(onChange);
  });
  form.addEventListener("input", () => numberAll(form));
  openDrag(form, onChange);
  numberAll(form);
}

// A copy of a template's content, its ids made unique.
export function fresh(template: HTMLTemplateElement): DocumentFragment {
  const copy = template.content.cloneNode(true) as DocumentFragment;
  rename(copy, `n${++made}`);
  return copy;
}

// Counts and names the items of every list, and says where nothing more can be added.
export function numberAll(form: Element): void {
  for (const list of form.querySelectorAll<HTMLElement>("[data-kind=list]")) number(list);
}

function number(list: HTMLElement): void {
  const items = itemsOf(list);
  const most = Number(list.dataset["max"] ?? Infinity);
  const least = Number(list.dataset["min"] ?? 0);
  items.forEach((item, index) => {
    item.querySelector("[data-number]")!.textContent = String(index + 1);
    item.querySelector("[data-title]")!.textContent = titleOf(item);
    showPicture(item);
    actOf(item, "up").disabled = index === 0;
    actOf(item, "down").disabled = index === items.length - 1;
    actOf(item, "remove").disabled = items.length <= least;
  });
  const own = (selector: string): HTMLElement =>
    [...list.querySelectorAll<HTMLElement>(selector)].find((node) => owner(node) === list)!;
  const isFull = items.length >= most;
  own("[data-count]").textContent = most === Infinity ? String(items.length) : t("{number} of {most}", { number: items.length, most });
  own("[data-full]").textContent = isFull ? t("{most} is the most. Remove one to add another.", { most }) : "";
  (own("[data-add]") as HTMLButtonElement).disabled = isFull;
}

// Opens or closes an item; closed, it shows its name alone.
export function unfold(item: Element, isOpen: boolean): void {
  item.toggleAttribute("data-open", isOpen);
  actOf(item, "toggle").setAttribute("aria-expanded", String(isOpen));
}

function titleOf(item: Element): string {
  const words = [...item.querySelectorAll<HTMLInputElement | HTMLSelectElement>("[data-field=name] input,[data-field=provider] select,[data-field=model] :is(input,select)")];
  return words
    .map((control) => (control instanceof HTMLSelectElement ? (control.selectedOptions[0]?.text ?? "") : control.value))
    .filter((word) => word !== "")
    .join(" · ");
}

function showPicture(item: Element): void {
  const shown = item.querySelector<HTMLImageElement>("[data-picture]");
  const head = item.querySelector<HTMLImageElement>("[data-head-picture]")!;
  head.hidden = !shown || shown.hidden;
  if (!head.hidden) head.src = shown!.src;
}

async function act(button: HTMLButtonElement, list: HTMLElement): Promise<void> {
  if (button.hasAttribute("data-add")) add(list);
  const item = button.closest<HTMLElement>("[data-item]");
  if (!item || owner(item) !== list) return;
  const items = itemsOf(list);
  const index = items.indexOf(item);
  if (button.dataset["act"] === "toggle") unfold(item, !item.hasAttribute("data-open"));
  if (button.dataset["act"] === "up") items[index - 1]?.before(item);
  if (button.dataset["act"] === "down") items[index + 1]?.after(item);
  if (button.dataset["act"] === "remove") {
    const name = titleOf(item) || `${index + 1}`;
    if (!(await confirmed(t("Remove “{name}”?", { name }), t("What was typed in it goes with it."), t("Remove")))) return;
    item.remove();
    const next = itemsOf(list)[Math.min(index, items.length - 2)];
    (next ? actOf(next, "toggle") : list.querySelector<HTMLElement>("[data-add]"))?.focus();
    return;
  }
  if (!button.disabled) button.focus();
}

function add(list: HTMLElement): void {
  const template = [...list.querySelectorAll<HTMLTemplateElement>("template[data-new-item]")].find((each) => owner(each) === list)!;
  const copy = fresh(template);
  const item = copy.firstElementChild as HTMLElement;
  item.toggleAttribute("data-new", true);
  list.querySelector("[data-items]")!.append(copy);
  item.querySelector<HTMLElement>("input:not([type=file]),select,textarea")?.focus();
}

function actOf(item: Element, name: string): HTMLButtonElement {
  return item.querySelector<HTMLButtonElement>(`[data-act=${name}]`)!;
}

function rename(root: ParentNode, unique: string): void {
  for (const node of root.querySelectorAll("*")) {
    for (const name of ["id", "for", "aria-describedby", "aria-labelledby", "aria-controls"]) {
      const value = node.getAttribute(name);
      if (!value) continue;
      node.setAttribute(name, value.split(" ").map((each) => each.replace("__item__", unique)).join(" "));
    }
    if (node instanceof HTMLTemplateElement) rename(node.content, unique);
  }
}

function openDrag(form: HTMLFormElement, onChange: () => void): void {
  let dragged: HTMLElement | null = null;
  form.addEventListener("dragstart", (event) => {
    const handle = event.target instanceof Element ? event.target.closest("[data-drag]") : null;
    dragged = handle?.closest<HTMLElement>("[data-item]") ?? null;
    if (!dragged || !event.dataTransfer) return;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setDragImage(dragged, 12, 12);
    dragged.toggleAttribute("data-dragged", true);
  });
  form.addEventListener("dragover", (event) => {
    const over = (event.target as Element).closest<HTMLElement>("[data-item]");
    if (!dragged || !over || over === dragged || over.parentElement !== dragged.parentElement) return;
    event.preventDefault();
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged);
    else over.after(dragged);
  });
  form.addEventListener("drop", (event) => dragged && event.preventDefault());
  form.addEventListener("dragend", () => {
    dragged?.removeAttribute("data-dragged");
    if (dragged) onChange();
    dragged = null;
  });
}
