// A step's providers: the models follow the provider, the options follow the model. What was typed
// for one model is there again when one comes back to it.
import { controlOf } from "./values";
import { fresh } from "./lists";

interface Model {
  id: string;
  options: string;
  warning: string | null;
}
type Models = Record<string, Model[]>;

const kept = new WeakMap<Element, { shown: string; nodes: Map<string, Element[]> }>();

export function followChoices(form: HTMLFormElement): void {
  form.addEventListener("change", (event) => {
    const field = (event.target as Element).closest<HTMLElement>("[data-field=provider],[data-field=model]");
    const choice = field?.closest<HTMLElement>("[data-choice]");
    if (!field || !choice) return;
    const models = JSON.parse(choice.closest<HTMLElement>("[data-models]")!.dataset["models"]!) as Models;
    const offered = models[selected(choice, "provider").value] ?? [];
    if (field.dataset["field"] === "provider") listModels(choice, offered);
    showOptions(form, choice, offered.find((model) => model.id === selected(choice, "model").value));
  });
}

function selected(choice: Element, name: string): HTMLSelectElement {
  return controlOf(choice.querySelector(`[data-field=${name}]`)!) as HTMLSelectElement;
}

function listModels(choice: Element, offered: Model[]): void {
  selected(choice, "model").replaceChildren(...offered.map((model) => new Option(model.id, model.id)));
}

function showOptions(form: Element, choice: HTMLElement, model: Model | undefined): void {
  const warning = choice.querySelector<HTMLElement>("[data-warning]")!;
  warning.textContent = model?.warning ?? "";
  warning.hidden = !model?.warning;
  const place = choice.querySelector("[data-place]")!;
  const name = `${selected(choice, "provider").value} ${model?.id ?? ""}`;
  const memory = kept.get(choice) ?? { shown: "", nodes: new Map<string, Element[]>() };
  memory.nodes.set(memory.shown, [...place.children]);
  const before = memory.nodes.get(name);
  if (before) place.replaceChildren(...before);
  else {
    const template = form.querySelector<HTMLTemplateElement>(`template[data-options="${CSS.escape(model?.options ?? "")}"]`);
    place.replaceChildren(...(template ? [fresh(template)] : []));
  }
  memory.shown = name;
  kept.set(choice, memory);
}

// Call once for every choice drawn by the server, so that its options are found again.
export function rememberShown(form: Element): void {
  for (const choice of form.querySelectorAll<HTMLElement>("[data-choice]")) {
    if (kept.has(choice)) continue;
    const name = `${selected(choice, "provider").value} ${selected(choice, "model").value}`;
    kept.set(choice, { shown: name, nodes: new Map() });
  }
}
