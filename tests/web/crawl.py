"""What a page leads to, read as a browser reads it."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

VOID = ("", None)


class Links(HTMLParser):
    """Every address of a page, and every id that an address may lead to."""

    def __init__(self, url: str, text: str) -> None:
        super().__init__()
        self._url = url
        self.pages: set[str] = set()  # what somebody may follow
        self.parts: set[str] = set()  # what is loaded with the page
        self.ids: set[str] = set()
        self.meta: dict[str, list[str]] = {}
        self.alternates: dict[str, str] = {}
        self.canonical: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.add(given["id"])
        if tag in {"a", "form"}:
            self._add(self.pages, given.get("href") or given.get("action"))
        elif tag in {"img", "script", "source"}:
            self._add(self.parts, given.get("src"))
            for candidate in given.get("srcset", "").split(","):
                self._add(self.parts, candidate.strip().split(" ")[0])
        elif tag == "link":
            self._link(given)
        elif tag == "meta":
            name = given.get("property") or given.get("name", "")
            self.meta.setdefault(name, []).append(given.get("content", ""))

    def _link(self, given: dict[str, str]) -> None:
        match given.get("rel"):
            case "canonical":
                self.canonical = given["href"]
            case "alternate":
                self.alternates[given["hreflang"]] = given["href"]
            case _:
                self._add(self.parts, given.get("href"))

    def _add(self, found: set[str], address: str | None) -> None:
        if address in VOID:
            return
        whole = urljoin(self._url, address)
        if whole.startswith(self._url.split("/", 3)[0] + "//" + urlsplit(self._url).netloc + "/"):
            found.add(whole)
