"""Whether a page can be used by everybody, as far as a machine can tell."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from playwright.sync_api import Page

AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


Scheme = Literal["light", "dark"]
LOOKS: tuple[tuple[int, int, Scheme], ...] = ((360, 740, "light"), (1280, 860, "dark"))
# What fades is judged when it has faded.
SETTLED = """() => Promise.race([
  Promise.all(
    document.getAnimations()
      .filter((each) => each instanceof CSSTransition)
      .map((each) => each.finished.catch(() => null)),
  ),
  new Promise((resolve) => setTimeout(resolve, 5000)),
])"""


def check(page: Page, where: str) -> None:
    """No sideways scrolling, no accessibility complaint."""
    check_fit(page, where)
    _ask_axe(page, where, RULES)


def check_contrast(page: Page, where: str) -> None:
    """Every word can be read on what is behind it (WCAG 2.2, 1.4.3)."""
    page.evaluate(SETTLED)
    _ask_axe(page, where, {"resultTypes": ["violations"], "runOnly": ["color-contrast"]})


def _ask_axe(page: Page, where: str, rules: dict[str, list[str]]) -> None:
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"{AXE.read_text()};0")
    found = page.evaluate("rules => axe.run(document, rules)", rules)
    problems = [
        f"{item['id']}: {item['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for item in found["violations"]
        for node in item["nodes"]
    ]
    assert not problems, f"{where}:\n" + "\n".join(problems)


def check_fit(page: Page, where: str) -> None:
    """No sideways scrolling, once everything stands still."""
    page.evaluate("document.fonts.ready")
    page.evaluate(SETTLED)
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, f"{where}: {overflow} px too wide"


def check_looks(page: Page, where: str) -> None:
    """The same on a small phone in the light and at a desk in the dark."""
    before = page.viewport_size
    for width, height, scheme in LOOKS:
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        check(page, f"{where}, {width} px, {scheme}")
    page.emulate_media(color_scheme="light")
    if before:
        page.set_viewport_size(before)
