"""Finds tool plug-ins: every package directly below ``funmagic.tools`` that exposes ``TOOL``.

The core knows no tool by name. A plug-in that cannot be used stops the start with
:class:`BrokenPlugin`, which names the folder and what is wrong with it.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType, ModuleType

from funmagic.toolkit.contract import Tool

PLACE = "funmagic.tools"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class BrokenPlugin(Exception):
    """A plug-in folder that cannot be used; the message names it and says why."""


def all_tools() -> tuple[Tool, ...]:
    """Every tool, ordered by key. Raises :class:`BrokenPlugin`."""
    return tuple(_tools().values())


def tool(key: str) -> Tool:
    """The plug-in with this key. Raises :class:`KeyError` where there is none."""
    return _tools()[key]


def is_known(key: str) -> bool:
    """Whether there is a plug-in with this key."""
    return key in _tools()


def find(place: str) -> dict[str, Tool]:
    """Import every package below ``place`` and return its tools by key, in order of key."""
    root = importlib.import_module(place)
    found: dict[str, Tool] = {}
    for entry in sorted(pkgutil.iter_modules(root.__path__), key=lambda entry: entry.name):
        if not entry.ispkg:
            continue
        candidate = _tool_in(_import(f"{place}.{entry.name}"))
        if candidate.key in found:
            raise BrokenPlugin(
                f"{place}.{entry.name}: the key {candidate.key!r} is taken by another folder"
            )
        found[candidate.key] = candidate
    return dict(sorted(found.items()))


@cache
def _tools() -> Mapping[str, Tool]:
    return MappingProxyType(find(PLACE))


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a plug-in's own code raises
        raise BrokenPlugin(f"{name} cannot be imported: {error!r}") from error


def _tool_in(module: ModuleType) -> Tool:
    candidate = getattr(module, "TOOL", None)
    if not isinstance(candidate, Tool):
        raise BrokenPlugin(f"{module.__name__} exposes no TOOL (found {candidate!r})")
    wrong = _wrong_in(candidate, folder=module.__name__.rpartition(".")[2])
    if wrong:
        raise BrokenPlugin(f"{module.__name__}: {wrong}")
    return candidate


def _wrong_in(candidate: Tool, folder: str) -> str | None:
    """What makes a tool unusable at once; the contract tests ask for more."""
    if not SLUG.fullmatch(candidate.key):
        return f"the key {candidate.key!r} is not a slug"
    if candidate.key.replace("-", "_") != folder:
        return f"the key {candidate.key!r} does not match the folder's name {folder!r}"
    ids = [step.id for step in candidate.steps]
    if not ids or not all(ids):
        return "a tool needs at least one step, and each step an id"
    if len(set(ids)) != len(ids):
        return f"step ids repeat: {ids}"
    return None
