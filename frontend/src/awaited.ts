// Pictures on their way: each is marked until it is there or cannot come. What its place looks like
// meanwhile is the style sheet's.
export function awaitPictures(root: ParentNode): void {
  for (const image of root.querySelectorAll("img")) {
    if (image.complete) continue;
    image.dataset["awaited"] = "";
    for (const end of ["load", "error"]) image.addEventListener(end, () => delete image.dataset["awaited"], { once: true });
  }
}
