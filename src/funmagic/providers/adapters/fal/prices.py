"""What fal's models cost: units by the answer's header, their price by fal's own list."""

from __future__ import annotations

import math
import time
from typing import Any

import httpx

from funmagic.providers.adapters.fal.wire import Line, object_in
from funmagic.providers.contract import ProviderError

UNITS_HEADER = "x-fal-billable-units"
KEPT_S = 3600.0
KEPT_WITHOUT_S = 60.0
ANSWER_LIMIT_S = 5.0
MOST_UNITS = 1e6
MOST_USD = 1e3


class Prices:
    """Prices of units in US dollars, asked for once an hour and model."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[float | None, float]] = {}

    async def of_unit(self, line: Line, model: str, fallback_usd: float) -> float:
        """The price of one unit; ``fallback_usd`` where fal does not tell it."""
        place = (line.sites.api, model)
        price, until = self._kept.get(place, (None, 0.0))
        if until < time.monotonic():
            price = await _ask(line, model)
            self._kept[place] = (
                price,
                time.monotonic() + (KEPT_WITHOUT_S if price is None else KEPT_S),
            )
        return fallback_usd if price is None else price


def units_in(headers: httpx.Headers) -> float | None:
    """How many units an answer says were used; None where it does not say."""
    try:
        units = float(headers.get(UNITS_HEADER, "nan"))
    except ValueError:
        return None
    return units if 0 <= units <= MOST_UNITS else None


def micros(units: float, price_usd: float) -> int:
    """Millionths of a US dollar, rounded up: a cost is not told smaller than it is."""
    return math.ceil(round(units * price_usd * 1e6, 3))


async def _ask(line: Line, model: str) -> float | None:
    question = line.client.get(f"{line.sites.api}/v1/models/pricing", params={"endpoint_id": model})
    try:
        told = object_in(await line.ask(question, ANSWER_LIMIT_S))
    except ProviderError:
        return None  # a price is not worth a result
    prices: Any = told.get("prices")
    for entry in prices if isinstance(prices, list) else ():
        if isinstance(entry, dict) and entry.get("endpoint_id") == model:
            return _usd(entry.get("unit_price"), entry.get("currency"))
    return None


def _usd(price: Any, currency: Any) -> float | None:
    is_price = isinstance(price, int | float) and 0 <= price <= MOST_USD and currency == "USD"
    return float(price) if is_price else None
