"""A mail's life: posted with a transaction, claimed by one worker at a time, sent or given up."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.crypto import Vault
from funmagic.core.ids import new_id
from funmagic.core.mail import Mail
from funmagic.jobs import outbox
from funmagic.mail.models import OutgoingMail

QUEUE: Final = "mail"


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
    await enqueue(session, mail_id)


async def enqueue(
    session: AsyncSession, mail_id: UUID, *, not_before: datetime | None = None
) -> None:
    """Queue a mail once more. Each job has an id of its own: the queue swallows one it has seen,
    and a job that finds its mail sent or in other hands does nothing."""
    await outbox.enqueue(
        session, QUEUE, str(new_id()), {"mailId": str(mail_id)}, not_before=not_before
    )


def _context(mail_id: UUID) -> str:
    return f"mails:{mail_id}"
