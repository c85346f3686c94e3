"""Browsers a person has signed in with before, each known by a long-lived cookie of its own.

A token is one person's in one browser. One the browser brought along counts only where it is on
record for the person who signs in, so planting one in somebody's browser makes nothing known. A
browser several people use keeps a token for each of them in the one cookie.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from litestar import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import cookies
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.i18n import N_, translate

DEVICE_COOKIE = "fm_device"
DEVICE_LIFETIME = timedelta(days=400)  # the longest browsers keep a cookie
MAX_PEOPLE = 5
MAX_COOKIE_CHARS = 300

# The first that is found; others also call themselves what stands further down.
BROWSERS = (
    ("Edge", re.compile(r"\bEdg(?:e|A|iOS)?/")),
    ("Opera", re.compile(r"\b(?:OPR|Opera)/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\b(?:Firefox|FxiOS)/")),
    ("Chrome", re.compile(r"\b(?:Chrome|CriOS|Chromium|HeadlessChrome)/")),
    ("Safari", re.compile(r"\bSafari/")),
)
SYSTEMS = (
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("macOS", re.compile(r"\bMac OS X\b|\bMacintosh\b")),
    ("Linux", re.compile(r"\bLinux\b")),
)

BOTH = N_("{browser} on {system}")
UNKNOWN = N_("Unknown device")

FIND_OF_USER = text("SELECT token_hash FROM devices WHERE user_id = :user_id")
USE = text("""
    UPDATE devices SET last_used_at = now() WHERE user_id = :user_id AND token_hash = :token_hash
""")
ADD = text("INSERT INTO devices (user_id, token_hash) VALUES (:user_id, :token_hash)")
FORGET_OLD = text("""
    DELETE FROM devices
     WHERE user_id = :user_id AND last_used_at < now() - make_interval(days => :days)
""")


async def note(request: Request[Any, Any, Any], session: AsyncSession, user_id: UUID) -> bool:
    """Remember that this person signs in with this browser.

    True where that deserves a mail: they have signed in before, but not with this browser.
    """
    tokens = _presented(request)
    rows = await session.scalars(FIND_OF_USER, {"user_id": user_id})
    known = set(rows)
    mine = next((token for token in tokens if hash_token(token) in known), None)
    if mine is None:
        mine = new_token()
        await session.execute(FORGET_OLD, {"user_id": user_id, "days": DEVICE_LIFETIME.days})
        await session.execute(ADD, {"user_id": user_id, "token_hash": hash_token(mine)})
    else:
        await session.execute(USE, {"user_id": user_id, "token_hash": hash_token(mine)})
    kept = [mine, *(token for token in tokens if token != mine)][:MAX_PEOPLE]
    cookies.put(request, DEVICE_COOKIE, ".".join(kept), DEVICE_LIFETIME)
    return bool(known) and hash_token(mine) not in known


async def is_known(request: Request[Any, Any, Any], session: AsyncSession, user_id: UUID) -> bool:
    """Whether this person has signed in with this browser before."""
    tokens = _presented(request)
    if not tokens:
        return False
    known = set(await session.scalars(FIND_OF_USER, {"user_id": user_id}))
    return any(hash_token(token) in known for token in tokens)


def words(user_agent: str) -> tuple[str, str]:
    """A browser and its system by name, such as ``("Firefox", "Linux")``; ``""`` where unknown."""
    browser = next((name for name, mark in BROWSERS if mark.search(user_agent)), "")
    system = next((name for name, mark in SYSTEMS if mark.search(user_agent)), "")
    return browser, system


def described(user_agent: str, locale: str) -> str:
    """A browser in words of ``locale``, such as "Firefox on Linux"."""
    browser, system = words(user_agent)
    if browser and system:
        return translate(locale, BOTH, browser=browser, system=system)
    return browser or system or translate(locale, UNKNOWN)


def _presented(request: Request[Any, Any, Any]) -> list[str]:
    value = cookies.presented(request, DEVICE_COOKIE, MAX_COOKIE_CHARS)
    return [token for token in value.split(".")[:MAX_PEOPLE] if token] if value else []
