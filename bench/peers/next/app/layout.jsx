import { bodyAttributes, drawn, htmlAttributes, page } from "./tree.js";

export const dynamic = "force-dynamic";

export default function Layout({ children }) {
  return (
    <html {...htmlAttributes()}>
      <head>{page().head.map(drawn)}</head>
      <body {...bodyAttributes()}>{children}</body>
    </html>
  );
}
