// Words for people. The page carries the messages these scripts use, in its language.
type Catalog = Record<string, string[]>;

const catalog: Catalog = JSON.parse(document.getElementById("messages")?.textContent || "{}");
export const locale = document.documentElement.lang || "en";
const plural = new Intl.PluralRules(locale);

type Params = Record<string, string | number>;

export function t(message: string, params: Params = {}): string {
  return fill(catalog[message]?.[0] ?? message, params);
}

export function tn(singular: string, other: string, number: number, params: Params = {}): string {
  const forms = catalog[singular] ?? [singular, other];
  const form = plural.select(number) === "one" ? 0 : forms.length - 1;
  return fill(forms[form] ?? other, { number: inDigits(number), ...params });
}

/** A number as the server writes it: with its thousands marked off, however few there are. */
export function inDigits(number: number): string {
  return number.toLocaleString(locale, { useGrouping: "always" });
}

function fill(text: string, params: Params): string {
  return text.replace(/\{(\w+)\}/g, (all, name: string) => String(params[name] ?? all));
}
