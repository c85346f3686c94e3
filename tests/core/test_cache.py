"""What many callers and processes share, when it may be shown, and when it is forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from tests.conftest import settings_on

from funmagic.core import cache
from funmagic.core.cache import EDITION, Cached, Copies, Edition, Together
from funmagic.core.clock import now
from funmagic.core.db import DatabaseAway
from funmagic.core.errors import NotFound
from funmagic.core.resources import open_redis
from funmagic.core.settings import Settings


class Source:
    """Something to read; whoever reads it holds what it was while they are kept waiting."""

    def __init__(self, value: int = 1) -> None:
        self.value = value
        self.reads = 0
        self.error: Exception | None = None
        self.began = asyncio.Event()
        self.slow = asyncio.Event()
        self.slow.set()

    async def read(self) -> int:
        self.reads += 1
        self.began.set()
        value = self.value
        await self.slow.wait()
        if self.error is not None:
            raise self.error
        return value


Another = Callable[[], Copies]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def settings(servers: dict[str, str], models_dir: Path) -> Settings:
    return settings_on(servers, servers["DATABASE_URL"], models_dir)  # no database is needed


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = open_redis(settings)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def edition(redis: Redis) -> AsyncIterator[Edition]:
    edition = Edition(redis)
    yield edition
    await edition.settle()


@pytest.fixture
def copies(edition: Edition) -> Copies:
    return Copies(edition)


@pytest.fixture
async def another(redis: Redis) -> AsyncIterator[Another]:
    """Make the copies of another process."""
    editions: list[Edition] = []

    def make() -> Copies:
        editions.append(Edition(redis))
        return Copies(editions[-1])

    yield make
    for each in editions:
        await each.settle()


@pytest.fixture
async def cut_off(settings: Settings) -> AsyncIterator[Edition]:
    """The edition of a process that does not reach Valkey."""
    gone = SecretStr("redis://127.0.0.1:1/0")
    client = open_redis(settings.model_copy(update={"redis_url": gone}))
    yield Edition(client)
    await client.aclose()


async def change(edition: Edition, source: Source) -> None:
    await edition.withdraw("writer")
    source.value += 1
    await edition.put_out("writer")


async def test_whoever_comes_during_a_run_shares_the_next_one() -> None:
    together, source = Together(), Source()
    source.slow.clear()
    early = [together.run("key", source.read) for _ in range(3)]
    await source.began.wait()
    source.value = 2
    late = [together.run("key", source.read) for _ in range(3)]
    early[0].cancel()
    await asyncio.sleep(0)
    source.slow.set()
    assert await asyncio.gather(*early[1:], *late) == [1, 1, 2, 2, 2]
    assert source.reads == 2


async def test_a_run_is_of_somebody_who_waits_for_it() -> None:
    """Not of one who was served before: what they asked with is theirs alone. Of several it is the
    last one's, who has asked with what was known last."""
    together, early, middle, late = Together(), Source(1), Source(2), Source(3)
    early.slow.clear()
    first = together.run("key", early.read)
    await early.began.wait()
    second, third = together.run("key", middle.read), together.run("key", late.read)
    early.slow.set()
    assert (await first, await second, await third) == (1, 3, 3)


async def test_a_failure_is_for_those_who_waited_for_it() -> None:
    together, source = Together(), Source()
    source.error = NotFound()
    answers = [together.run("key", source.read) for _ in range(2)]
    assert [type(each) for each in await asyncio.gather(*answers, return_exceptions=True)] == [
        NotFound,
        NotFound,
    ]
    source.error = None
    assert await together.run("key", source.read) == 1


async def test_a_copy_is_read_once_for_all_processes(
    edition: Edition, copies: Copies, source: Source, another: Another
) -> None:
    elsewhere = another()
    answers = [copies.of("key", int, source.read) for _ in range(5)]
    assert {each.value for each in await asyncio.gather(*answers)} == {1}
    await edition.settle()
    assert (await elsewhere.of("key", int, source.read)).value == 1
    assert source.reads == 1


@pytest.mark.hazard("S13")
async def test_a_slow_reader_keeps_no_old_row(
    edition: Edition, copies: Copies, source: Source, another: Another
) -> None:
    """It has read before the change, and stores when the change is long over."""
    source.slow.clear()
    slow = asyncio.create_task(copies.of("key", int, source.read))
    await source.began.wait()
    await change(edition, source)
    newer = Source(source.value)
    elsewhere = another()
    assert (await elsewhere.of("key", int, newer.read)).value == 2
    await elsewhere.edition.settle()
    source.slow.set()
    assert (await slow).value == 1  # it came before the change was over
    for process in (copies, elsewhere, Copies(edition)):
        assert (await process.of("key", int, newer.read)).value == 2
    assert newer.reads == 1  # nor was the newer copy lost to the old one


@pytest.mark.hazard("S13")
async def test_a_thousand_changes_raced_by_readers(
    edition: Edition, source: Source, another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes, some slow to store; after each change both show what it made."""
    monkeypatch.setattr(cache, "STORE_AFTER_S", 0)
    order = random.Random(13)
    processes = [Copies(edition), another()]

    async def read() -> int:
        await asyncio.sleep(order.choice((0, 0, 0.0005, 0.002)))
        value = await source.read()
        await asyncio.sleep(order.choice((0, 0, 0.0005, 0.002)))
        return value

    readers: set[asyncio.Task[Cached[int]]] = set()
    for number in range(1_000):
        readers |= {asyncio.create_task(copies.of("key", int, read)) for copies in processes}
        await change(edition, source)
        shown = await asyncio.gather(*(copies.of("key", int, source.read) for copies in processes))
        assert [copy.value for copy in shown] == [number + 2] * 2
        readers = {reader for reader in readers if not reader.done()}
    await asyncio.gather(*readers)


@pytest.mark.hazard("S13")
async def test_nothing_is_shown_or_kept_of_before_while_a_change_is_under_way(
    edition: Edition, copies: Copies, source: Source
) -> None:
    """Two writers: one goes on, and whatever was kept between the two ends is not shown after."""
    await copies.of("key", int, source.read)
    await edition.withdraw("first")
    await edition.withdraw("second")
    assert await edition.current() is None
    source.value = 2
    assert (await copies.of("key", int, source.read)).value == 2
    await edition.put_out("first")
    assert await edition.current() is None
    source.value = 3
    assert (await copies.of("key", int, source.read)).value == 3
    await edition.put_out("second")
    assert (await copies.of("key", int, source.read)).value == 3
    reads = source.reads
    assert (await copies.of("key", int, source.read)).value == 3
    assert source.reads == reads


async def test_a_writer_that_died_is_waited_for_a_minute_at_most(
    edition: Edition, copies: Copies, source: Source
) -> None:
    await copies.of("key", int, source.read)
    await edition.withdraw("dead")
    assert 0 < await edition._redis.ttl(EDITION) <= cache.CHANGE_S
    assert 0 < await edition._redis.ttl(cache.WRITERS) <= cache.CHANGE_S
    source.value = 2
    await edition._redis.delete(EDITION, cache.WRITERS)  # the minute is over
    assert (await copies.of("key", int, source.read)).value == 2


async def test_emptying_valkey_brings_no_old_copy_back(
    edition: Edition, copies: Copies, source: Source
) -> None:
    await copies.of("key", int, source.read)
    await change(edition, source)
    await edition._redis.flushall()
    assert (await copies.of("key", int, source.read)).value == 2


async def test_a_value_ends_when_it_says_so(copies: Copies, source: Source) -> None:
    for _ in range(2):
        await copies.of("key", int, source.read, until=lambda _: now() - timedelta(seconds=1))
    assert source.reads == 2


async def test_a_copy_is_read_anew_after_five_minutes(
    copies: Copies, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copies.of("key", int, source.read)
    later = now() + timedelta(seconds=301)
    monkeypatch.setattr(cache, "now", lambda: later)
    source.value = 2  # as a count does that is no change of the catalog
    assert (await copies.of("key", int, source.read)).value == 2


@pytest.mark.hazard("S12")
async def test_an_outage_is_neither_an_answer_nor_kept(copies: Copies, source: Source) -> None:
    source.error = DatabaseAway("away")
    for _ in range(2):
        with pytest.raises(DatabaseAway):
            await copies.of("key", int, source.read)
    source.error = None
    assert (await copies.of("key", int, source.read)).value == 1


@pytest.mark.hazard("S12")
async def test_an_outage_shows_the_last_copy_marked_and_does_not_renew_it(
    edition: Edition, copies: Copies, source: Source, another: Another
) -> None:
    """Also to a process that has never read it."""
    before = now()
    await copies.of("key", int, source.read)
    await edition.settle()
    await change(edition, source)
    source.error = DatabaseAway("away")
    for process in (copies, another()):
        for _ in range(2):
            shown = await process.of("key", int, source.read)
            assert shown.value == 1
            assert shown.stale_since is not None
            assert before <= shown.stale_since <= now()
    source.error = None
    assert (await copies.of("key", int, source.read)).value == 2


async def test_what_is_not_there_any_more_has_no_last_copy(
    edition: Edition, copies: Copies, source: Source
) -> None:
    await copies.of("key", int, source.read)
    await change(edition, source)
    source.error = NotFound()
    with pytest.raises(NotFound):
        await copies.of("key", int, source.read)
    source.error = DatabaseAway("away")
    with pytest.raises(DatabaseAway):
        await copies.of("key", int, source.read)


async def test_without_valkey_everything_is_read(cut_off: Edition, source: Source) -> None:
    copies = Copies(cut_off)
    assert (await copies.of("key", int, source.read)).value == 1
    source.value = 2
    assert (await copies.of("key", int, source.read)).value == 2
    source.error = DatabaseAway("away")
    assert (await copies.of("key", int, source.read)).value == 2


async def test_a_change_that_valkey_was_not_told_of_is_seen_when_it_is_back(
    edition: Edition, cut_off: Edition, copies: Copies, source: Source
) -> None:
    """Whoever has seen it away trusts nothing that was kept before."""
    await copies.of("key", int, source.read)
    assert not await cut_off.withdraw("writer")
    source.value = 2
    assert not await cut_off.put_out("writer")
    cut_off._redis, cut_off._editions, cut_off._away_until = edition._redis, edition._editions, 0.0
    assert await cut_off.current() is not None
    assert (await copies.of("key", int, source.read)).value == 2


async def test_a_copy_says_when_it_ends(copies: Copies, source: Source) -> None:
    """However late somebody is given it: what is made of it ends with it."""
    first = await copies.of("key", int, source.read)
    assert first.until is not None
    assert first.until <= now() + cache.FRESH
    assert (await copies.of("key", int, source.read)).until == first.until
    await copies.edition.settle()
    assert (await Copies(copies.edition).of("key", int, source.read)).until == first.until


async def test_what_goes_wrong_while_the_edition_is_asked_for_is_not_forgotten(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that could not be told of while the question was under way, which was answered."""
    old, there = await edition.current(), edition._editions.get

    async def meanwhile(key: str) -> str | None:
        found = await there(key)
        edition._note_away(TimeoutError())
        return found

    monkeypatch.setattr(edition._editions, "get", meanwhile)
    await edition.current()
    monkeypatch.undo()
    edition._away_until = 0.0
    assert await edition.current() != old


async def test_a_run_that_is_ended_leaves_nobody_waiting() -> None:
    together, source = Together(), Source()
    source.slow.clear()
    early = together.run("key", source.read)
    await source.began.wait()
    late = together.run("key", source.read)
    for running in list(together._running):
        running.cancel()
    ended = await asyncio.wait_for(asyncio.gather(early, late, return_exceptions=True), 5)
    assert [type(each) for each in ended] == [asyncio.CancelledError] * 2


async def test_a_line_that_was_closed_is_opened_again(edition: Edition) -> None:
    known = await edition.current()
    await edition._redis.client_kill_filter(_type="normal", skipme=False)
    assert known is not None
    assert await edition.current() == known


async def test_an_answer_that_came_too_late_answers_no_later_question(
    edition: Edition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "PATIENCE_S", 0.2)
    old = await edition.current()
    await edition._redis.client_pause(400)
    assert await edition.current() is None
    monkeypatch.setattr(cache, "PATIENCE_S", 5.0)
    edition._away_until = 0.0
    newer = await edition.current()
    assert newer not in {None, old}
    assert await edition.current() == newer


async def test_those_who_want_copies_at_once_do_not_wait_in_one_queue(
    edition: Edition, copies: Copies, source: Source
) -> None:
    """Where hundreds do, the last of them would take it for Valkey's silence."""
    await copies.of("key", int, source.read)
    await edition.settle()
    async with edition._copies._turn, asyncio.timeout(0.5):
        assert await edition.stored("key") is not None
    assert edition._away_until == 0.0


async def test_another_releases_copy_is_read_anew(
    edition: Edition, copies: Copies, source: Source
) -> None:
    async def words() -> str:
        return "of another kind"

    await copies.of("key", str, words)
    await edition.settle()
    assert (await Copies(edition).of("key", int, source.read)).value == 1


async def test_copies_have_a_limit(
    copies: Copies, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_COPIES", 2)
    for key in ("one", "two", "three"):
        await copies.of(key, int, source.read)
    assert list(copies._mine) == ["two", "three"]
