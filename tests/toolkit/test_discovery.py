"""Finding plug-ins: what is found, and how a broken folder is reported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from funmagic.toolkit import discovery

TOOL = """
from funmagic.toolkit.contract import *

class Nothing(StepInput):
    image: ImageRef

async def prepare(ctx): ...
async def finish(ctx, result): ...

def step(id):
    return Step(
        id=id, title="T", action="A", capability=Capability.BACKGROUND_REMOVAL,
        input_model=Nothing, prepare=prepare, finish=finish, price_credits=1,
        recommended_provider="local", recommended_model="u2netp",
    )

def tool(key, *ids):
    return Tool(key=key, title="T", description="D", features=("F",),
                steps=tuple(step(id) for id in ids))
"""

Shelf = Callable[..., str]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    """Make a package of plug-ins out of source texts; returns its name."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**sources: str) -> str:
        place = f"shelf_{tmp_path.name}".replace("-", "_")
        for folder, source in sources.items():
            (tmp_path / place / folder).mkdir(parents=True)
            (tmp_path / place / folder / "__init__.py").write_text(source)
        (tmp_path / place / "__init__.py").touch()
        return place

    yield make
    for name in [name for name in sys.modules if name.startswith("shelf_")]:
        del sys.modules[name]


def test_a_folder_is_all_it_takes(shelf: Shelf) -> None:
    place = shelf(
        two_words=TOOL + "TOOL = tool('two-words', 'a', 'b')",
        another=TOOL + "TOOL = tool('another', 'a')",
    )
    assert list(discovery.find(place)) == ["another", "two-words"]


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_module", "no_such_module"),
        ("1 / 0", "ZeroDivisionError"),
        ("syntax error here", "SyntaxError"),
        ("", "exposes no TOOL"),
        ("TOOL = 'a string'", "exposes no TOOL"),
        (TOOL + "TOOL = tool('Bad Key', 'a')", "not a slug"),
        (TOOL + "TOOL = tool('other', 'a')", "does not match the folder"),
        (TOOL + "TOOL = tool('broken')", "at least one step"),
        (TOOL + "TOOL = tool('broken', '')", "each step an id"),
        (TOOL + "TOOL = tool('broken', 'a', 'a')", "repeat"),
    ],
)
def test_a_broken_folder_is_named_with_its_trouble(
    shelf: Shelf, source: str, complaint: str
) -> None:
    place = shelf(broken=source)
    with pytest.raises(discovery.BrokenPlugin) as refusal:
        discovery.find(place)
    assert f"{place}.broken" in str(refusal.value)
    assert complaint in str(refusal.value)


def test_an_unknown_key_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        discovery.tool("no-such-tool")
