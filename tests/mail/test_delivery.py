"""A mail leaves with its transaction and arrives, whatever happens on the way, or is let go."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.mail.conftest import MAIL, Office, Post, ended, jobs_of, let_pass, row_of
from tests.mailbox import text_of

from funmagic.core.clock import now
from funmagic.core.resources import Resources
from funmagic.jobs.outbox import Relay
from funmagic.jobs.queue import Queue
from funmagic.mail import delivery, service


@pytest.fixture
async def queue(resources: Resources) -> Queue:
    return Queue(resources.settings, service.QUEUE, redis=resources.redis)


@pytest.mark.usefixtures("running_worker")
async def test_a_posted_mail_is_sent_once_and_its_row_emptied(
    resources: Resources, office: Office, post: Post
) -> None:
    mail_id = await post()
    row = await ended(resources, mail_id)
    assert row.sent_at is not None
    assert (row.attempts, row.last_error, row.failed_at) == (1, "", None)
    [kept] = office.kept
    assert (kept["To"], kept["Subject"]) == (MAIL.to, MAIL.subject)
    assert text_of(kept).strip() == MAIL.text
    assert str(mail_id) in kept["Message-ID"]


async def test_a_mail_of_a_transaction_that_fails_never_was(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        await service.post(session, resources.vault, MAIL, kind="sign_in", expires_at=now())
        await session.rollback()
    assert await jobs_of(resources) == []


@pytest.mark.usefixtures("running_worker")
async def test_a_server_that_refuses_for_a_while_gets_it_in_the_end(
    resources: Resources, office: Office, post: Post
) -> None:
    office.to_recipients.append("451 greylisted")
    office.to_messages.append("421 closing")
    row = await ended(resources, await post())
    assert row.sent_at is not None
    assert (row.attempts, row.last_error) == (3, "")
    assert len(office.kept) == 1


async def test_pauses_grow_up_to_the_longest(
    resources: Resources, office: Office, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "RETRY_S", 50.0)
    monkeypatch.setattr(service, "LONGEST_RETRY_S", 1_200.0)
    office.to_messages.extend(["451 later"] * 7)
    mail_id = await post(timedelta(days=1))
    pauses_s = []
    for attempt in range(1, 8):
        await delivery.deliver(resources, mail_id)
        row = await row_of(resources, mail_id)
        assert (row.attempts, row.last_error) == (attempt, "SMTPDataError 451")
        async with resources.db.transaction() as session:
            left = text("SELECT extract(epoch FROM due_at - now()) FROM mails")
            pauses_s.append(float(await session.scalar(left)))
        await delivery.deliver(resources, mail_id)
        assert (await row_of(resources, mail_id)).attempts == attempt, "not before it is due"
        await let_pass(resources, service.LONGEST_RETRY_S)
    expected = (50, 100, 200, 400, 800, 1_200, 1_200)
    for pause_s, expected_s in zip(pauses_s, expected, strict=True):
        assert expected_s - 45 < pause_s <= expected_s
    await delivery.deliver(resources, mail_id)
    assert (await row_of(resources, mail_id)).sent_at is not None


@pytest.mark.parametrize(
    ("to_recipients", "to_messages", "error"),
    [
        (["550 no such user"], [], "SMTPRecipientsRefused 550"),
        ([], ["554 spam"], "SMTPDataError 554"),
    ],
)
async def test_a_permanent_refusal_ends_it(
    resources: Resources,
    office: Office,
    post: Post,
    to_recipients: list[str],
    to_messages: list[str],
    error: str,
) -> None:
    office.to_recipients.extend(to_recipients)
    office.to_messages.extend(to_messages)
    mail_id = await post()
    await delivery.deliver(resources, mail_id)
    row = await row_of(resources, mail_id)
    assert (row.sealed, row.sent_at, row.last_error) == (None, None, error)
    assert row.failed_at is not None
    assert len(await jobs_of(resources)) == 1, "and it is not tried again"


async def test_a_mail_nobody_could_send_is_given_up(resources: Resources, post: Post) -> None:
    broken = await post(to="ada@example.com\nBcc: everybody@example.com")
    moved = await post()
    async with resources.db.transaction() as session:
        swap = text("UPDATE mails SET sealed = (SELECT sealed FROM mails WHERE id = :a)")
        await session.execute(swap, {"a": broken})
    for mail_id, error in ((broken, "ValueError"), (moved, "damaged or moved")):
        await delivery.deliver(resources, mail_id)
        row = await row_of(resources, mail_id)
        assert (row.sealed, row.last_error) == (None, error)
        assert row.failed_at is not None


@pytest.mark.usefixtures("office")
async def test_many_workers_at_once_send_it_once(
    resources: Resources, office: Office, post: Post
) -> None:
    mail_id = await post()
    await asyncio.gather(*(delivery.deliver(resources, mail_id) for _ in range(20)))
    assert len(office.kept) == 1
    assert (await row_of(resources, mail_id)).attempts == 1


async def test_what_a_dead_worker_held_is_sent_by_another(
    resources: Resources, office: Office, post: Post, queue: Queue
) -> None:
    mail_id = await post()
    office.is_open.clear()
    dying = asyncio.create_task(delivery.deliver(resources, mail_id))
    await office.reached.wait()
    dying.cancel()
    await asyncio.wait([dying])
    office.is_open.set()

    await delivery.sweep(resources, queue)
    await delivery.deliver(resources, mail_id)
    assert (await row_of(resources, mail_id)).attempts == 1, "nobody knows yet that it is dead"

    await let_pass(resources, service.CLAIM_S + service.LOST_AFTER_S)
    await delivery.sweep(resources, queue)
    assert await jobs_of(resources) == [f"{mail_id}-1", f"{mail_id}-3"]
    await delivery.deliver(resources, mail_id)
    assert (await row_of(resources, mail_id)).sent_at is not None
    ids = {str(kept["Message-ID"]) for kept in office.kept}
    assert len(ids) == 1


async def test_who_comes_back_from_the_dead_ends_it_or_leaves_it_alone(
    resources: Resources, office: Office, post: Post
) -> None:
    office.to_messages.append("451 later")
    mail_id = await post()
    office.is_open.clear()
    slow = asyncio.create_task(delivery.deliver(resources, mail_id))
    await office.reached.wait()
    await let_pass(resources, service.CLAIM_S)
    async with resources.db.transaction() as session:
        taken = await service.claim(session, mail_id)
    assert taken is not None
    office.is_open.set()
    await slow
    row = await row_of(resources, mail_id)
    assert row.attempts == 2
    assert row.due_at > now() + timedelta(seconds=30), "the other one's turn, still"
    async with resources.db.transaction() as session:
        await service.give_up(session, taken, "SMTPDataError 554")
        await service.note_sent(session, taken)
    row = await row_of(resources, mail_id)
    assert row.sent_at is not None
    assert row.failed_at is None, "what was sent was sent"


async def test_a_queue_that_lost_everything_loses_no_mail(
    resources: Resources, office: Office, post: Post, queue: Queue
) -> None:
    mail_id = await post()
    relay = Relay(resources)
    await relay.send_due()
    await let_pass(resources, service.LOST_AFTER_S)
    await delivery.sweep(resources, queue)
    assert await jobs_of(resources) == [f"{mail_id}-1"], "the queue has it still"
    await resources.redis.flushall()
    await asyncio.gather(*(delivery.sweep(resources, queue) for _ in range(5)))
    assert await jobs_of(resources) == [f"{mail_id}-1", f"{mail_id}-2"]
    await relay.send_due()
    assert await queue.has(f"{mail_id}-2")
    await delivery.deliver(resources, mail_id)
    assert len(office.kept) == 1


async def test_after_its_end_a_mail_is_emptied_and_not_sent(
    resources: Resources, office: Office, post: Post, queue: Queue
) -> None:
    office.to_messages.append("451 later")
    mail_id = await post(timedelta(minutes=10))
    await delivery.deliver(resources, mail_id)
    await let_pass(resources, 300)
    await delivery.sweep(resources, queue)
    assert (await row_of(resources, mail_id)).sealed is not None
    await let_pass(resources, 300)
    await delivery.deliver(resources, mail_id)
    assert office.kept == []
    await delivery.sweep(resources, queue)
    row = await row_of(resources, mail_id)
    assert (row.sealed, row.sent_at, row.last_error) == (None, None, "SMTPDataError 451")
    assert row.failed_at is not None


async def test_mails_are_forgotten_after_a_month(
    resources: Resources, post: Post, queue: Queue
) -> None:
    old = await post()
    await delivery.deliver(resources, old)
    await let_pass(resources, 31 * 86_400)
    waiting = await post(timedelta(days=40))
    await let_pass(resources, 0)
    fresh = await post()
    await delivery.deliver(resources, fresh)
    await delivery.sweep(resources, queue)
    async with resources.db.transaction() as session:
        left = await session.scalars(text("SELECT id FROM mails ORDER BY id"))
        assert list(left) == [waiting, fresh]


async def test_a_round_without_valkey_is_cut_short_and_queues_nothing(
    resources: Resources, post: Post, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post()
    await let_pass(resources, service.LOST_AFTER_S + 1)

    async def away(_: str) -> bool:
        raise ConnectionError("gone")

    monkeypatch.setattr(queue, "has", away)
    await delivery.sweep(resources, queue)
    assert len(await jobs_of(resources)) == 1
