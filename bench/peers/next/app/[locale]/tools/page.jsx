import { headers } from "next/headers";
import { drawn, page } from "../../tree.js";

export const dynamic = "force-dynamic";

export default async function Page() {
  await headers(); // what makes a page dynamic: something of the request is read
  return page().body.map(drawn);
}
