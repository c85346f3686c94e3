"""Numbers and times as people of a locale write them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_UP, Decimal

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency

from funmagic.core.clock import now
from funmagic.core.i18n import decimal


def number(value: float, locale: str, digits: int | None = None) -> str:
    """``1,234.5``, ``1.234,5`` or ``1 234,5``; with ``digits`` exactly so many decimals."""
    pattern = None if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    return decimal(value, locale, pattern)


def dollars(micros: int, locale: str) -> str:
    """Millionths of a US dollar: ``$1,234.50``, ``1.234,50 $``. Below a dollar hundredths of a cent
    count, each one begun, as a call to a vendor may cost less: ``$0.0042``."""
    amount = Decimal(micros) / 1_000_000
    if amount >= 1:
        amount = round(amount, 2)
    elif amount:
        amount = amount.quantize(Decimal("0.0001"), ROUND_UP).normalize()
    return format_currency(amount, "USD", locale=locale, decimal_quantization=False)


def day(on: date, locale: str) -> str:
    """A day with its month in words: ``November 23, 2026``, ``23. November 2026``."""
    return format_date(on, "long", locale=locale)


def moment(at: datetime, locale: str) -> str:
    """An instant as its own time zone has it, to the second, without saying the zone."""
    return format_datetime(at, "medium", locale=locale)


def ago(at: datetime, locale: str) -> str:
    """How long ago an instant was, in its largest unit: ``3 days ago``."""
    return format_timedelta(at - now(), add_direction=True, threshold=1.0, locale=locale)
