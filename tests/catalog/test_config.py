"""A tool's configuration: what an admin may write, and what is refused field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funmagic.catalog import config
from funmagic.core.errors import Invalid
from funmagic.toolkit import discovery

TOOL = discovery.tool("background-remove")


def of(**changes: Any) -> dict[str, Any]:
    """A configuration with changes to its step, or to its only provider."""
    choice: dict[str, Any] = {"provider": "local", "model": "u2netp", "options": {}}
    step: dict[str, Any] = {"priceCredits": 5, "providers": [choice]}
    for name, value in changes.items():
        (choice if name in choice else step)[name] = value
    return {"steps": {"remove": step}}


@pytest.mark.parametrize("price", [0, 1, 5, 1_000_000])
def test_a_price_is_a_whole_number_of_credits(price: int) -> None:
    assert config.check(TOOL, of(priceCredits=price)).steps["remove"].price_credits == price


@pytest.mark.parametrize("price", [-1, 1_000_001, 5.0, 4.99, "5", True, None, [5], 10**40])
def test_anything_else_is_no_price(price: object) -> None:
    with pytest.raises(Invalid) as refusal:
        config.check(TOOL, of(priceCredits=price))
    assert list(refusal.value.fields) == ["steps.remove.priceCredits"]


@pytest.mark.hazard("M1")
@given(name=st.text(max_size=30).filter(lambda name: name != "remove"))
def test_a_step_the_tool_does_not_have_is_refused(name: str) -> None:
    written = of()
    written["steps"][name] = written["steps"]["remove"]
    with pytest.raises(Invalid) as refusal:
        config.check(TOOL, written)
    assert refusal.value.fields == {f"steps.{name}": config.UNKNOWN_STEP}


@pytest.mark.hazard("M1")
def test_a_step_without_a_configuration_is_refused() -> None:
    with pytest.raises(Invalid) as refusal:
        config.check(TOOL, {"steps": {}})
    assert refusal.value.fields == {"steps.remove": config.MISSING_STEP}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"provider": "nobody"}, "steps.remove.providers.0.provider", config.UNKNOWN_PROVIDER),
        ({"model": "u3net"}, "steps.remove.providers.0.model", config.UNKNOWN_MODEL),
        ({"options": {"speed": 9}}, "steps.remove.providers.0.options.speed", None),
        (
            {"options": {"refineEdges": "maybe"}},
            "steps.remove.providers.0.options.refineEdges",
            None,
        ),
        ({"provider": ""}, "steps.remove.providers.0.provider", None),
        ({"surprise": 1}, "steps.remove.surprise", None),
        ({"providers": []}, "steps.remove.providers", None),
        ({"settings": {"noSuchSetting": 1}}, "steps.remove.settings.noSuchSetting", None),
    ],
)
def test_what_no_adapter_offers_is_refused_by_its_field(
    changes: dict[str, Any], field: str, message: str | None
) -> None:
    with pytest.raises(Invalid) as refusal:
        config.check(TOOL, of(**changes))
    assert list(refusal.value.fields) == [field]
    assert message is None or refusal.value.fields[field] == message


@pytest.mark.parametrize("written", [{}, {"steps": []}, {"steps": None}, {"steps": {"remove": 5}}])
def test_another_shape_is_refused(written: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        config.check(TOOL, written)
