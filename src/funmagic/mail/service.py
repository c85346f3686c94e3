"""A mail's life: posted with a transaction, claimed by one worker at a time, sent or given up."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.crypto import SealBroken, Vault
from funmagic.core.ids import new_id
from funmagic.core.mail import SEND_TIMEOUT_S, Mail
from funmagic.jobs import outbox
from funmagic.mail.models import OutgoingMail

QUEUE: Final = "mail"
CLAIM_S: Final = SEND_TIMEOUT_S + 15  # a worker that took longer is dead; another one sends
RETRY_S: Final = 5.0  # pause after the first failure, doubled with each up to the longest
LONGEST_RETRY_S: Final = 120.0
LOST_AFTER_S: Final = 10.0  # so long after it was due a mail's job is looked for
KEEP: Final = timedelta(days=30)  # who asks whether a mail was sent does so within

CLAIM = text("""
    UPDATE mails
       SET attempts = attempts + 1, due_at = now() + make_interval(secs => :claim_s)
     WHERE id = :id AND sealed IS NOT NULL AND due_at <= now() AND expires_at > now()
    RETURNING attempts, kind, sealed
""")
# Whoever sent it has sent it, even where it was taken for dead meanwhile.
NOTE_SENT = text("""
    UPDATE mails SET sent_at = now(), failed_at = NULL, sealed = NULL, last_error = ''
     WHERE id = :id AND sent_at IS NULL
""")
POSTPONE = text("""
    UPDATE mails SET due_at = now() + make_interval(secs => :pause_s), last_error = :error
     WHERE id = :id AND attempts = :attempts AND sealed IS NOT NULL
    RETURNING due_at
""")
GIVE_UP = text("""
    UPDATE mails SET failed_at = now(), sealed = NULL, last_error = :error
     WHERE id = :id AND attempts = :attempts AND sealed IS NOT NULL
""")
EXPIRE = text("""
    UPDATE mails SET failed_at = now(), sealed = NULL
     WHERE id IN (SELECT id FROM mails WHERE sealed IS NOT NULL AND expires_at <= now()
                   LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING id, kind, attempts, last_error
""")
OVERDUE = text("""
    SELECT id, attempts FROM mails
     WHERE sealed IS NOT NULL AND due_at < now() - make_interval(secs => :lost_after_s)
     ORDER BY due_at LIMIT :batch
""")
REQUEUE = text("""
    UPDATE mails SET attempts = attempts + 1, due_at = now()
     WHERE id = :id AND attempts = :attempts AND sealed IS NOT NULL
    RETURNING attempts
""")
WAITING = text("SELECT id, attempts, kind, sealed FROM mails WHERE sealed IS NOT NULL")
WITHDRAW = text("""
    UPDATE mails SET failed_at = now(), sealed = NULL WHERE id = :id AND sealed IS NOT NULL
""")
PURGE = text("""
    DELETE FROM mails
     WHERE id IN (SELECT id FROM mails
                   WHERE created_at < now() - CAST(:keep AS interval) AND sealed IS NULL
                   ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """One worker's right to send one mail, for ``CLAIM_S``. ``attempts`` tells it from others."""

    id: UUID
    attempts: int
    kind: str
    sealed: bytes


async def post(
    session: AsyncSession, vault: Vault, mail: Mail, *, kind: str, expires_at: datetime
) -> None:
    """Have ``mail`` sent if and when the caller's transaction commits.

    ``kind`` says what it is, for operators (``sign_in``, ``password_changed``). What could not be
    sent until ``expires_at`` is given up. Queue, logs and errors never see more than its id.
    """
    mail_id = new_id()
    plain = json.dumps(asdict(mail)).encode()
    sealed = vault.seal(plain, context=_context(mail_id))
    session.add(OutgoingMail(id=mail_id, kind=kind, sealed=sealed, expires_at=expires_at))
    await session.flush()
    await _enqueue(session, mail_id, 1)


async def claim(session: AsyncSession, mail_id: UUID) -> Claim | None:
    """Take a mail that is due, or None where it is sent, given up, or in other hands."""
    values = {"id": mail_id, "claim_s": CLAIM_S}
    row = (await session.execute(CLAIM, values)).one_or_none()
    return None if row is None else Claim(mail_id, *row)


def unseal(vault: Vault, held: Claim) -> Mail:
    """The message itself. Raises :class:`funmagic.core.crypto.SealBroken`."""
    return Mail(**json.loads(vault.open(held.sealed, context=_context(held.id))))


async def withdraw(session: AsyncSession, vault: Vault, address: str) -> None:
    """Give up every mail to ``address`` that is not sent. What is left of others names nobody."""
    waiting = await session.stream(WAITING)
    async for row in waiting:
        held = Claim(row.id, row.attempts, row.kind, row.sealed)
        try:
            is_theirs = unseal(vault, held).to == address
        except SealBroken:
            is_theirs = False  # its own sender finds out
        if is_theirs:
            await session.execute(WITHDRAW, {"id": row.id})


async def note_sent(session: AsyncSession, held: Claim) -> None:
    """The server has it: nothing of what it said is kept."""
    await session.execute(NOTE_SENT, {"id": held.id})


async def postpone(session: AsyncSession, held: Claim, error: str) -> None:
    """Try again after a pause, twice as long as the last; not beyond the mail's own end."""
    pause_s = min(RETRY_S * 2 ** min(held.attempts - 1, 20), LONGEST_RETRY_S)
    values = {"id": held.id, "attempts": held.attempts, "pause_s": pause_s, "error": error[:500]}
    due_at = await session.scalar(POSTPONE, values)
    if due_at is not None:
        await _enqueue(session, held.id, held.attempts + 1, not_before=due_at)


async def give_up(session: AsyncSession, held: Claim, error: str) -> None:
    """The mail will never be accepted."""
    values = {"id": held.id, "attempts": held.attempts, "error": error[:500]}
    await session.execute(GIVE_UP, values)


def job_id(mail_id: UUID, attempt: int) -> str:
    """The queue's id for one attempt: a new one each time, as the queue swallows what it knows."""
    return f"{mail_id}-{attempt}"


async def requeue(session: AsyncSession, mail_id: UUID, attempts: int) -> bool:
    """Queue a mail again whose job is lost; whether nobody else did, or sent it, meanwhile."""
    counted = await session.scalar(REQUEUE, {"id": mail_id, "attempts": attempts})
    if counted is None:
        return False
    await _enqueue(session, mail_id, counted + 1)
    return True


async def _enqueue(
    session: AsyncSession, mail_id: UUID, attempt: int, *, not_before: datetime | None = None
) -> None:
    payload = {"mailId": str(mail_id)}
    await outbox.enqueue(session, QUEUE, job_id(mail_id, attempt), payload, not_before=not_before)


def _context(mail_id: UUID) -> str:
    return f"mails:{mail_id}"
