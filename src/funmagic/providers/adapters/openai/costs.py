"""What a picture costs: tokens, as OpenAI tells them, at the prices an operator may set."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from funmagic.core.i18n import N_
from funmagic.providers.contract import AdapterConfig

MOST_TOKENS = 10_000_000
PRICED_TWICE = N_("This model already has a price.")
DATE = re.compile(r"-[0-9]{4}-[0-9]{2}-[0-9]{2}")

Usd = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]


class Rates(BaseModel):
    """US dollars per million tokens."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    text_in_usd: Usd = Field(title=N_("Text in, US dollars per million tokens"))
    image_in_usd: Usd = Field(title=N_("Pictures in, US dollars per million tokens"))
    image_out_usd: Usd = Field(title=N_("Pictures out, US dollars per million tokens"))


class _Named(BaseModel):
    model: str = Field(min_length=1, max_length=200, title=N_("Model"))


class ModelRates(Rates, _Named):
    """The rates of one model, and of its dated versions."""


def _rates(model: str, text_in: float, image_in: float, image_out: float) -> ModelRates:
    return ModelRates(
        model=model, text_in_usd=text_in, image_in_usd=image_in, image_out_usd=image_out
    )


# OpenAI's answers name no price. These are its list prices as third parties told them in 2026-11;
# the operator checks them against the vendor's own page.
DEFAULTS = (
    _rates("gpt-image-1.5", 5, 8, 32),
    _rates("gpt-image-2", 5, 8, 30),
    _rates("gpt-image-2.5-sunburst", 5, 8, 30),
    _rates("gpt-image-2.5-flare", 5, 8, 30),
    _rates("gpt-image-1-mini", 2, 2.5, 8),
)
# No cheaper than any of them: a cost is not told smaller than it is.
OTHERWISE = Rates(text_in_usd=5, image_in_usd=10, image_out_usd=40)


class OpenAiConfig(AdapterConfig):
    """Prices: ``prices`` by model, ``other_models`` for those without a row of their own."""

    prices: tuple[ModelRates, ...] = Field(
        default=DEFAULTS,
        max_length=50,
        title=N_("Prices"),
        description=N_("Please check them against the vendor's price list: it changes them."),
    )
    other_models: Rates = Field(default=OTHERWISE, title=N_("Prices of all other models"))

    @field_validator("prices")
    @classmethod
    def _one_row_each(cls, value: tuple[ModelRates, ...]) -> tuple[ModelRates, ...]:
        if len({row.model for row in value}) < len(value):
            raise ValueError(PRICED_TWICE)
        return value

    def rates_of(self, model: str) -> Rates:
        """The row of a model; for a dated version without one, the row of its family."""
        rows = {row.model: row for row in self.prices}
        family = model[:-11] if DATE.fullmatch(model[-11:]) else model
        return rows.get(model) or rows.get(family) or self.other_models


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one picture used, as OpenAI counts."""

    text_in: int = 0
    image_in: int = 0
    out: int = 0

    @classmethod
    def told(cls, usage: Any) -> Tokens:
        """Read ``usage``; what is not a number of tokens counts as none.

        Input that is not told apart counts as pictures, the dearer of the two.
        """
        total = usage if isinstance(usage, Mapping) else {}
        parts = total.get("input_tokens_details")
        parts = parts if isinstance(parts, Mapping) else {}
        text_in, image_in = _count(parts.get("text_tokens")), _count(parts.get("image_tokens"))
        rest = max(_count(total.get("input_tokens")) - text_in - image_in, 0)
        return cls(text_in, image_in + rest, _count(total.get("output_tokens")))

    def cost_usd_micros(self, rates: Rates) -> int:
        """Millionths of a US dollar, rounded up."""
        micros = (
            self.text_in * rates.text_in_usd
            + self.image_in * rates.image_in_usd
            + self.out * rates.image_out_usd
        )
        return math.ceil(round(micros, 3))

    def as_json(self) -> dict[str, int]:
        return {
            "textInTokens": self.text_in,
            "imageInTokens": self.image_in,
            "outTokens": self.out,
        }


def _count(value: Any) -> int:
    is_count = type(value) is int and 0 <= value <= MOST_TOKENS
    return value if is_count else 0
