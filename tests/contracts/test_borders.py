"""Who may import what, where a linter of imports cannot say it well."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import funmagic

SOURCE = Path(funmagic.__file__).parent
VENDOR_SDKS = {"openai", "fal_client", "tripo3d", "replicate", "onnxruntime"}


def test_only_adapters_import_a_vendors_sdk() -> None:
    allowed = SOURCE / "providers" / "adapters"
    strays = [
        f"{path.relative_to(SOURCE)} imports {name}"
        for path in SOURCE.rglob("*.py")
        if not path.is_relative_to(allowed)
        for name in imports_of(path)
        if name.partition(".")[0] in VENDOR_SDKS
    ]
    assert strays == []


def test_a_tool_sees_only_the_toolkit() -> None:
    for folder in (SOURCE / "tools").iterdir():
        allowed = ("funmagic.toolkit", f"funmagic.tools.{folder.name}")
        for path in folder.rglob("*.py"):
            ours = [name for name in imports_of(path) if name.startswith("funmagic")]
            assert all(name.startswith(allowed) for name in ours), path


def test_nobody_imports_a_tool_by_name() -> None:
    for path in SOURCE.rglob("*.py"):
        if not path.is_relative_to(SOURCE / "tools"):
            assert not [n for n in imports_of(path) if n.startswith("funmagic.tools")], path


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
