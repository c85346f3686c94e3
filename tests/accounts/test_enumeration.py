"""Nobody learns from our answers, or from the time they take, whether an address has an account."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from limits import parse
from sqlalchemy import text
from tests import conftest
from tests.accounts.conftest import PASSWORD, MakeKeeper
from tests.conftest import Site

from funmagic.accounts import limits

TRIES = 200
ROUNDS = 3
MOST_MS = 5.0
KNOWN, UNKNOWN = "known", "unknown"

WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "login": lambda email: {"email": email, "password": "not the password of anybody"},
    "magic-link": lambda email: {"email": email, "next": "/en/credits"},
    "register": lambda email: {"email": email, "password": PASSWORD, "name": "Somebody"},
    "forgot-password": lambda email: {"email": email},
}


@pytest.fixture
def no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client may ask as often as it likes: only the time of the answers is looked at."""
    plenty = parse("100000 per 1 minute")
    for name in ("PER_EMAIL", "PER_ADDRESS"):
        monkeypatch.setattr(limits, name, plenty)
    for name in ("TRIES_PER_ACCOUNT", "TRIES_PER_CLIENT"):
        windows = getattr(limits, name)
        monkeypatch.setattr(limits, name, tuple(plenty for _ in windows))


@pytest.fixture
def no_postman(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mail stays where it was posted: a worker would send it, in another process."""

    @contextlib.asynccontextmanager
    async def nobody(_resources: object) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(conftest, "carried_mail", nobody)


@dataclass
class Answers:
    """What was answered to one kind of address, and how long it took."""

    seen: set[tuple[int, str]] = field(default_factory=set)
    taken_ms: list[float] = field(default_factory=list)


async def compare(browser: httpx.AsyncClient, way: str, *, tries: int) -> dict[str, Answers]:
    """Ask ``tries`` times, for the known and an unknown address in turn and in changing order."""
    answers = {KNOWN: Answers(), UNKNOWN: Answers()}
    for number in range(tries // 2):
        for kind in (KNOWN, UNKNOWN) if number % 2 else (UNKNOWN, KNOWN):
            body = WAYS[way](f"{kind}@example.com")
            started = time.perf_counter()
            answer = await browser.post(f"/api/auth/{way}", json=body)
            answers[kind].taken_ms.append((time.perf_counter() - started) * 1000)
            answers[kind].seen.add((answer.status_code, answer.text))
    return answers


def difference_ms(*rounds: dict[str, Answers]) -> float:
    """Of the medians of all rounds together."""
    medians = [
        statistics.median(taken for answers in rounds for taken in answers[kind].taken_ms)
        for kind in (KNOWN, UNKNOWN)
    ]
    return abs(medians[0] - medians[1])


@pytest.mark.hazard("U1")
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("no_limits", "no_postman")
@pytest.mark.parametrize("way", WAYS)
async def test_known_and_unknown_addresses_get_the_same_answer_in_the_same_time(
    way: str, site: Site, make_keeper: MakeKeeper
) -> None:
    await make_keeper(f"{KNOWN}@example.com")
    async with site.browser() as browser:
        browser.cookies.set("fm_device", "d" * 43)
        await compare(browser, way, tries=4)
        rounds: list[dict[str, Answers]] = []
        # A machine busy with other things takes its time now for the one, now for the other: what
        # is really slower is so every time.
        while len(rounds) < ROUNDS and (not rounds or difference_ms(*rounds) >= MOST_MS):
            answers = await compare(browser, way, tries=TRIES)
            assert answers[KNOWN].seen == answers[UNKNOWN].seen
            assert len(answers[KNOWN].seen) == 1
            rounds.append(answers)
    assert difference_ms(*rounds) < MOST_MS


@pytest.mark.hazard("U1")
@pytest.mark.usefixtures("no_postman")
async def test_limits_are_the_same_for_known_and_unknown_addresses(
    site: Site, make_keeper: MakeKeeper
) -> None:
    await make_keeper(f"{KNOWN}@example.com")
    for way in WAYS:
        answers = {}
        for kind in (KNOWN, UNKNOWN):
            await site.resources.redis.flushall()
            async with site.browser() as browser:
                answers[kind] = [
                    (
                        await browser.post(
                            f"/api/auth/{way}", json=WAYS[way](f"{kind}@example.com")
                        )
                    ).status_code
                    for _ in range(6)
                ]
        assert answers[KNOWN] == answers[UNKNOWN]
        assert answers[KNOWN][-1] == 429
    async with site.resources.db.transaction() as session:
        mails = await session.scalar(text("SELECT count(*) FROM mails"))
    assert mails == 2 * 3 * 5, "every address gets a mail, whichever it is"
