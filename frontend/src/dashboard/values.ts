// A form's tree of fields: every `data-field` says its name and, in `data-kind`, how it becomes JSON.
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

// The field, item or form that a node belongs to.
export function owner(node: Element): Element | null {
  return node.parentElement?.closest("[data-field],[data-item],form") ?? null;
}

export function fieldsOf(node: Element): HTMLElement[] {
  return [...node.querySelectorAll<HTMLElement>("[data-field]")].filter((field) => owner(field) === node);
}

export function itemsOf(list: Element): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>("[data-item]")].filter((item) => owner(item) === list);
}

export function controlOf(field: Element): HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement {
  return field.querySelector("input,select,textarea")!;
}

// What is filled in below `node`. A field left empty that has a default of its own is left out.
export function collect(node: Element): { [name: string]: Json } {
  const found: { [name: string]: Json } = {};
  for (const field of fieldsOf(node)) {
    const value = valueOf(field);
    if (value !== undefined) found[field.dataset["field"]!] = value;
  }
  return found;
}

function valueOf(field: HTMLElement): Json | undefined {
  switch (field.dataset["kind"]) {
    case "group":
      return collect(field);
    case "list":
      return itemsOf(field).map(collect);
    case "media":
      return field.dataset["value"] || null;
    case "switch":
      return (controlOf(field) as HTMLInputElement).checked;
    case "number":
      return numberIn(field);
    case "texts":
      return controlOf(field)
        .value.split("\n")
        .map((line) => line.trim())
        .filter((line) => line !== "");
    case "secret":
      return controlOf(field).value || undefined;
    case "json":
      return jsonIn(field);
    default:
      return controlOf(field).value || (field.hasAttribute("data-nullable") ? null : "");
  }
}

function numberIn(field: HTMLElement): Json | undefined {
  const control = controlOf(field) as HTMLInputElement;
  // What is no number reaches the server as it is, which says so.
  if (control.validity.badInput) return "";
  if (control.value === "") return field.hasAttribute("data-nullable") ? null : undefined;
  return Number(control.value);
}

function jsonIn(field: HTMLElement): Json {
  const text = controlOf(field).value;
  try {
    return JSON.parse(text || "{}") as Json;
  } catch {
    return text;
  }
}

// The field at a path such as `steps.image-gen.providers.0.model`, or the last one on the way there.
export function fieldAt(form: Element, path: string): Element {
  let node = form;
  for (const part of path.split(".")) {
    const below =
      node instanceof HTMLElement && node.dataset["kind"] === "list"
        ? itemsOf(node)[Number(part)]
        : fieldsOf(node).find((field) => field.dataset["field"] === part);
    if (!below) break;
    node = below;
  }
  return node;
}

export function complain(node: Element, message: string): boolean {
  const place = [...node.querySelectorAll<HTMLElement>("[data-complaint]")].find((each) => owner(each) === node);
  if (!place) return false;
  place.textContent = message;
  place.hidden = false;
  if (isSimple(node)) controlOf(node).setAttribute("aria-invalid", "true");
  return true;
}

export function withdrawComplaints(root: Element): void {
  for (const place of root.querySelectorAll<HTMLElement>("[data-complaint]")) {
    place.hidden = true;
    place.textContent = "";
  }
  for (const control of root.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function isSimple(node: Element): boolean {
  return node instanceof HTMLElement && !["group", "list", undefined].includes(node.dataset["kind"]);
}
