"""Copies of what the database says, which are never older than a change that is over.

What everybody is shown has one *edition*: an opaque word in Valkey, another one after every change.
A writer withdraws the edition before it commits and puts out a new one afterwards; in between
nothing is kept, and nothing kept is shown. A copy belongs to the edition that was read before the
copy was, and is good only while that edition still is the one. So a slow reader that stores an old
row stores it under an edition that has passed.

Valkey away means that no edition is known: everything is read from PostgreSQL. PostgreSQL away
means that the last copy is shown, however old, marked as such; an outage is never stored, and never
looks like an empty list.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar, cast

import msgspec
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from funmagic.core.clock import now
from funmagic.core.crypto import new_token
from funmagic.core.db import DatabaseAway
from funmagic.core.errors import NotFound
from funmagic.core.log import logger

log = logger(__name__)

T = TypeVar("T")
U = TypeVar("U")

EDITION: Final = "catalog:version"
WRITERS: Final = "catalog:writers"  # tokens of the changes under way
CHANGING: Final = "changing"
CHANGE_S: Final = 60  # a writer that is silent for longer has died; no transaction of ours lives on
FRESH: Final = timedelta(seconds=300)
KEPT_S: Final = 86_400  # how long the last copy is there for an outage
MOST_COPIES: Final = 1_000
STORE_AFTER_S: Final = 0.01  # whoever the copy was read for gets their answer first
PATIENCE_S: Final = 1.0  # how long a request waits for Valkey
AWAY_S: Final = 5.0  # for how long a Valkey that did not answer is left alone
READ_PATIENCE_S: Final = 5.0  # how long for PostgreSQL, where there is a copy to show instead

# KEYS: edition. ARGV: the new one, CHANGING, and "1" to replace one that is there.
ISSUE: Final = """
    local there = redis.call('GET', KEYS[1])
    if there == ARGV[2] or (there and ARGV[3] == '0') then return there end
    redis.call('SET', KEYS[1], ARGV[1])
    return ARGV[1]
"""
# KEYS: edition, writers. ARGV: the writer's token, CHANGING, seconds.
WITHDRAW: Final = """
    redis.call('SADD', KEYS[2], ARGV[1])
    redis.call('EXPIRE', KEYS[2], ARGV[3])
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
"""
# KEYS: edition, writers. ARGV: the writer's token, the new edition, and "1" for a writer that has
# not been able to withdraw the old one, or does not know whether it is still withdrawn.
PUT_OUT: Final = """
    local withdrawn = redis.call('SREM', KEYS[2], ARGV[1])
    if withdrawn == 0 and ARGV[3] == '0' then return end
    if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[1], ARGV[2]) end
"""
# KEYS: edition, copy. ARGV: the edition read before, the copy, seconds.
STORE: Final = """
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
    return 1
"""


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A value; ``stale_since`` is when it was read, where the database could not be asked now.

    ``until`` is when it ends by itself: after :data:`FRESH`, if not before.
    """

    value: T
    stale_since: datetime | None = None
    until: datetime | None = None

    def part(self, value: U) -> Cached[U]:
        """Something that belongs to the value, as old as it."""
        return Cached(value, self.stale_since, self.until)


class Together:
    """Work for many at once: one run at a time for each key, and whoever comes while one is under
    way shares the next. So what anybody gets was begun after they had come, by the last of them."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[_Waiting]] = {}
        self._running: set[asyncio.Task[None]] = set()  # so that nobody collects them

    def run(self, key: Hashable, act: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        """What ``act`` answers or raises: the caller's own, or that of one who came with them.

        It is not ended by a caller's being cancelled.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((answer, act))
        else:
            self._waiting[key] = [(answer, act)]
            running = asyncio.create_task(self._run(key))
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        return answer

    async def _run(self, key: Hashable) -> None:
        waiting: list[_Waiting] = []
        try:
            while waiting := self._waiting[key]:
                self._waiting[key] = []
                _, act = waiting[-1]  # who came last knows the most of what has changed
                try:
                    value = await act()
                except Exception as error:
                    for answer, _ in filter(_is_awaited, waiting):
                        answer.set_exception(error)
                else:
                    for answer, _ in filter(_is_awaited, waiting):
                        answer.set_result(value)
        finally:  # nobody is left but where the run itself was ended
            for answer, _ in filter(_is_awaited, [*waiting, *self._waiting.pop(key)]):
                answer.cancel()


_Waiting = tuple[asyncio.Future[Any], Callable[[], Awaitable[Any]]]


def _is_awaited(waiting: _Waiting) -> bool:
    return not waiting[0].done()


class Edition:
    """The edition of what everybody is shown, for one process."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._editions, self._copies = _Line(redis), _Line(redis)
        self._storing: set[asyncio.Task[bool]] = set()
        self._together = Together()
        self._away_until = 0.0
        self._is_doubtful = False

    def current(self) -> Awaitable[str | None]:
        """The edition as it is after the call; None while something is being changed, and where
        Valkey cannot say."""
        return self._together.run(EDITION, self._ask)

    async def withdraw(self, token: str) -> bool:
        """A change begins; False where Valkey could not be told."""
        return await self._tell(WITHDRAW, 2, EDITION, WRITERS, token, CHANGING, CHANGE_S)

    async def put_out(self, token: str, *, anyway: bool = True) -> bool:
        """A change is over, committed or not; False where Valkey could not be told.

        With ``anyway=False`` nothing is done for a change that has been put out before.
        """
        arguments = (token, new_token(), "1" if anyway else "0")
        return await self._tell(PUT_OUT, 2, EDITION, WRITERS, *arguments)

    def store(self, edition: str, key: str, copy: bytes) -> None:
        """Keep a copy if ``edition`` still is the one. Nobody waits for it but :meth:`settle`."""
        storing = asyncio.create_task(self._store(key, edition, copy))
        self._storing.add(storing)
        storing.add_done_callback(self._storing.discard)

    async def settle(self) -> None:
        """Wait for copies that are on their way to Valkey, which is for :data:`PATIENCE_S` each."""
        await asyncio.gather(*self._storing)

    async def stored(self, key: str) -> bytes | None:
        """A copy as it is kept; None where there is none, or Valkey is away."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                held = self._copies if self._copies.is_free else self._redis
                found = await held.get(key)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_away(error)
            return None
        return None if found is None else str(found).encode()

    async def forget(self, key: str) -> None:
        """Keep no copy of what is not there any more."""
        await self._tell("redis.call('DEL', KEYS[1])", 1, key)

    async def _ask(self) -> str | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = None if self._is_doubtful else await self._editions.get(EDITION)
                if found is None:
                    found = await self._issue()
        except (RedisError, OSError, TimeoutError) as error:
            self._note_away(error)
            return None
        return None if found == CHANGING else str(found)

    async def _issue(self) -> str:
        """A new edition where there is none, and after an outage, when changes may have been made
        that Valkey was never told of."""
        replace = "1" if self._is_doubtful else "0"
        self._is_doubtful = False  # until something goes wrong again, be it this or meanwhile
        return str(await self._redis.eval(ISSUE, 1, EDITION, new_token(), CHANGING, replace))

    async def _store(self, key: str, edition: str, copy: bytes) -> bool:
        await asyncio.sleep(STORE_AFTER_S)
        return await self._tell(STORE, 2, EDITION, key, edition, copy, KEPT_S)

    async def _tell(self, script: str, *arguments: Any) -> bool:
        if time.monotonic() < self._away_until:
            return False
        try:
            async with asyncio.timeout(PATIENCE_S):
                return bool(await self._redis.eval(script, *arguments) != 0)
        except (RedisError, OSError, TimeoutError) as error:
            self._note_away(error)
            return False

    def _note_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_S
        self._is_doubtful = True
        log.warning("nothing is kept: Valkey does not answer", error=repr(error))


class _Line:
    """A connection of its own for what somebody waits for at every page.

    One question at a time. Taking a connection for each would cost three times the question. One
    that fails, or is given up in the middle, closes the connection; the next one opens it.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._connection: AbstractConnection | None = None
        self._turn = asyncio.Lock()

    @property
    def is_free(self) -> bool:
        """Whether nobody would have to wait for their turn."""
        return not self._turn.locked()

    async def get(self, key: str) -> str | None:
        """The value of a key. Raises RedisError, OSError and TimeoutError."""
        async with self._turn:
            try:
                return await self._asked(key)
            except RedisConnectionError:  # closed while nobody asked
                return await self._asked(key)

    async def _asked(self, key: str) -> str | None:
        if self._connection is None:
            pool: Any = self._redis.connection_pool  # its methods are untyped
            self._connection = await pool.get_connection()
        await self._connection.send_command("GET", key)
        return cast("str | None", await self._connection.read_response())


@dataclass(frozen=True, slots=True)
class _Copy(Generic[T]):
    value: T
    edition: str | None
    read_at: datetime
    until: datetime | None

    @property
    def ends_at(self) -> datetime:
        by_itself = self.read_at + FRESH
        return by_itself if self.until is None else min(self.until, by_itself)

    def is_good(self, edition: str | None) -> bool:
        return edition is not None and edition == self.edition and now() < self.ends_at


class _Stored(msgspec.Struct):
    """How a copy lies in Valkey, as JSON."""

    edition: str
    read_at: datetime
    until: datetime | None
    value: msgspec.Raw


class Copies:
    """What this process and, by way of Valkey, the others have read of the database.

    Values are whatever msgspec reads and writes as JSON, with these hooks.
    """

    def __init__(
        self,
        edition: Edition,
        *,
        enc_hook: Callable[[Any], Any] | None = None,
        dec_hook: Callable[[type, Any], Any] | None = None,
    ) -> None:
        self.edition = edition
        self._enc_hook = enc_hook
        self._dec_hook = dec_hook
        self._mine: OrderedDict[str, _Copy[Any]] = OrderedDict()
        self._together = Together()

    async def of(
        self,
        key: str,
        kind: type[T],
        read: Callable[[], Awaitable[T]],
        *,
        until: Callable[[T], datetime | None] = lambda _: None,
        edition: str | None = None,
    ) -> Cached[T]:
        """What ``read`` answers, or a copy of it no older than any change that is over.

        ``until`` says when a value ends by itself. ``edition`` is the one that was asked for since
        whoever wants the value has come; without it, it is asked for now. Raises what ``read``
        raises, but for :class:`DatabaseAway` where there is a last copy to show.
        """
        edition = edition or await self.edition.current()
        mine = self._mine.get(key)
        if mine is not None and mine.is_good(edition):
            self._mine.move_to_end(key)
            return Cached(mine.value, until=mine.ends_at)
        return await self._together.run(key, lambda: self._find(key, kind, read, until, edition))

    async def _find(
        self,
        key: str,
        kind: type[T],
        read: Callable[[], Awaitable[T]],
        until: Callable[[T], datetime | None],
        edition: str | None,
    ) -> Cached[T]:
        """What is not at hand. ``edition`` has been the one since somebody asked for this."""
        copy = self._mine.get(key)
        if copy is None or not copy.is_good(edition):
            copy = await self._stored(key, kind) or copy
        if copy is not None and copy.is_good(edition):
            self._remember(key, copy)
            return Cached(copy.value, until=copy.ends_at)
        read_at = now()
        try:
            async with asyncio.timeout(READ_PATIENCE_S if copy is not None else None):
                value = await read()
        except NotFound:
            self._mine.pop(key, None)
            await self.edition.forget(key)
            raise
        except (DatabaseAway, TimeoutError):
            if copy is None:
                raise
            self._remember(key, copy)
            return Cached(copy.value, stale_since=copy.read_at)
        copy = _Copy(value, edition, read_at, until(value))
        self._remember(key, copy)
        if edition is not None:
            self._store(key, copy, edition)
        return Cached(value, until=copy.ends_at)

    async def _stored(self, key: str, kind: type[T]) -> _Copy[T] | None:
        found = await self.edition.stored(key)
        if found is None:
            return None
        try:
            stored = msgspec.json.decode(found, type=_Stored)
            value = msgspec.json.decode(stored.value, type=kind, dec_hook=self._dec_hook)
        except msgspec.DecodeError:  # another release's
            return None
        return _Copy(value, stored.edition, stored.read_at, stored.until)

    def _store(self, key: str, copy: _Copy[Any], edition: str) -> None:
        raw = msgspec.Raw(msgspec.json.encode(copy.value, enc_hook=self._enc_hook))
        stored = _Stored(edition, copy.read_at, copy.until, raw)
        self.edition.store(edition, key, msgspec.json.encode(stored))

    def _remember(self, key: str, copy: _Copy[Any]) -> None:
        self._mine[key] = copy
        self._mine.move_to_end(key)
        while len(self._mine) > MOST_COPIES:
            self._mine.popitem(last=False)
