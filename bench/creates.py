"""Tasks created per second, next to three statements in two commits."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from functools import partial

from bench import peers
from bench.ground import POOL_SIZE, Ground
from bench.measure import Work, in_turns, rate, table
from bench.peers import Peers
from funmagic.tasks import service
from funmagic.tasks.orders import NewTask

ROUNDS = 5
ROUND_S = 0.8

OURS = "ours: task, step, event, job and hold at once"
OURS_SENT = "ours, and the job sent"
ORM = "peer: three statements by ORM"
ORM_SENT = "peer: three statements by ORM, job sent"
ORM_AS_MUCH = "peer: by ORM, keeping as much as we do, job sent"
HAND = "peer: three statements by hand"
HAND_SENT = "peer: three statements by hand, job sent"


async def run(ground: Ground) -> str:
    """Both tables, at one client and at sixteen."""
    await peers.make_tables(ground)
    pool = await peers.open_pool(ground, POOL_SIZE)
    try:
        peer = Peers(ground, ground.resources.db, pool)
        works: dict[str, Work] = {
            OURS: partial(create, ground),
            OURS_SENT: partial(create, ground, send=True),
            ORM: partial(peer.by_orm, enqueue=False),
            ORM_SENT: peer.by_orm,
            ORM_AS_MUCH: partial(peer.by_orm, as_much=True),
            HAND: partial(peer.by_hand, enqueue=False),
            HAND_SENT: peer.by_hand,
        }
        for work in works.values():
            await rate(work, clients=POOL_SIZE, seconds=0.3)
        return "\n\n".join([await _table(works, clients) for clients in (1, 16)])
    finally:
        await pool.close()


async def create(ground: Ground, client: int, *, send: bool = False) -> None:
    """What POST /api/tasks does, without HTTP; up to the commit, or to the queue."""
    person = ground.people[client]
    new = NewTask("background-remove", None, {"image": person.photo}, peers.PRICE_CREDITS)
    async with ground.resources.db.transaction() as session:
        created = await service.create(
            session, person.user, new, idempotency_key=secrets.token_hex(8)
        )
    if send:
        await service.dispatch(ground.resources, created.id)


async def _table(works: dict[str, Work], clients: int) -> str:
    contestants: dict[str, Callable[[], Awaitable[float]]] = {
        name: partial(rate, work, clients=clients, seconds=ROUND_S) for name, work in works.items()
    }
    reached = await in_turns(contestants, rounds=ROUNDS)
    rows = [
        [
            name,
            f"{figures.median:,.0f}",
            figures.spread(),
            *(f"{reached[our].median / figures.median:.2f}×" for our in (OURS, OURS_SENT)),
        ]
        for name, figures in reached.items()
    ]
    who = "1 client" if clients == 1 else f"{clients} clients"
    head = [f"Tasks created, {who}", "a second", "slowest … fastest", "ours is", "ours, sent, is"]
    return table(head, rows)
