// Our own catalog page as a tree of elements, to be drawn by React on every request.
// A node is a string, or [name, attributes, children]; the file is named by TREE.
import { readFileSync } from "node:fs";
import { createElement } from "react";

const NAMES = { class: "className", for: "htmlFor", tabindex: "tabIndex", srcset: "srcSet" };
const VOID = new Set(["img", "input", "link", "meta", "br", "hr", "source"]);

let read;

export function page() {
  read ??= JSON.parse(readFileSync(process.env.TREE, "utf8"));
  return read;
}

export const htmlAttributes = () => attributes(page().html);
export const bodyAttributes = () => attributes(page().bodyAttributes);

export function drawn(node, key) {
  if (typeof node === "string") return node;
  const [name, given, children] = node;
  const props = { ...attributes(given), key };
  if (VOID.has(name)) return createElement(name, props);
  if (name === "script" || name === "template") {
    return createElement(name, { ...props, dangerouslySetInnerHTML: { __html: children.join("") } });
  }
  return createElement(name, props, ...children.map(drawn));
}

function attributes(given) {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [NAMES[name] ?? name, value === "" ? true : value]),
  );
}
