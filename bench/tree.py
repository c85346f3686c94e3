"""A page of ours as the tree of elements that the peer draws by its own means."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

VOID = frozenset({"img", "input", "link", "meta", "br", "hr", "source"})
RAW = frozenset({"script", "template"})  # what is in them is kept as it stands


class _Reader(HTMLParser):
    """Nodes are strings, or ``[name, attributes, children]``."""

    def __init__(self) -> None:
        super().__init__()
        self.root: list[Any] = ["", {}, []]
        self._open = [self.root]
        self._raw = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._raw:
            self._add(self.get_starttag_text() or "")
            self._raw += tag in RAW
            return
        node = [tag, {name: value or "" for name, value in attrs}, []]
        self._open[-1][2].append(node)
        if tag not in VOID:
            self._open.append(node)
            self._raw += tag in RAW

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if not self._raw and tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if self._raw:
            self._raw -= tag in RAW
            if self._raw:
                self._add(f"</{tag}>")
                return
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._raw or data.strip():
            self._add(data)

    def _add(self, text: str) -> None:
        self._open[-1][2].append(text)


def tree_of(page: str) -> str:
    """The JSON the peer reads."""
    reader = _Reader()
    reader.feed(page)
    html = next(node for node in reader.root[2] if node[0] == "html")
    head, body = (node for node in html[2] if not isinstance(node, str))
    return json.dumps(
        {"html": html[1], "head": head[2], "bodyAttributes": body[1], "body": body[2]}
    )
