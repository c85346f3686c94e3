// A new thing's slug follows its name until somebody writes one. A slug that is stored stays.
import { controlOf, fieldsOf, itemsOf, owner } from "./values";

const touched = new WeakSet<Element>();

export function followNames(form: HTMLFormElement): void {
  form.addEventListener("input", (event) => {
    const field = (event.target as Element).closest<HTMLElement>("[data-field]");
    const whole = field && owner(field);
    if (!field || !whole?.hasAttribute("data-new")) return;
    const slug = fieldsOf(whole).find((each) => each.dataset["field"] === "slug");
    if (!slug) return;
    if (field === slug) touched.add(slug);
    else if (["name", "title"].includes(field.dataset["field"]!) && !touched.has(slug)) {
      const control = controlOf(slug) as HTMLInputElement;
      const most = control.maxLength > 0 ? control.maxLength : 40;
      control.value = unique(slugOf(controlOf(field).value, most), whole, most);
      control.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
}

function slugOf(name: string, most: number): string {
  const plain = name.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, most).replace(/-+$/, "");
}

// Two items of a list differ; a name without a Latin letter gets a slug by its number.
function unique(slug: string, whole: Element, most: number): string {
  const list = owner(whole);
  if (!list) return slug;
  const items = itemsOf(list);
  const taken = new Set(
    items.filter((item) => item !== whole).map((item) => item.querySelector<HTMLInputElement>("[data-field=slug] input")?.value),
  );
  const first = slug || `item-${items.indexOf(whole as HTMLElement) + 1}`;
  for (let number = 1; ; number++) {
    const ending = number === 1 ? "" : `-${number}`;
    const candidate = first.slice(0, most - ending.length) + ending;
    if (!taken.has(candidate)) return candidate;
  }
}
