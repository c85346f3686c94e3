"""What a mail says is nobody's to read on its way: not in the database, the queue, a log."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import text
from tests.mail.conftest import MAIL, TOKEN, Office, Post, row_of

from funmagic.core.crypto import hash_token
from funmagic.core.mail import Mailer, MailError, MailRefused
from funmagic.core.resources import Resources
from funmagic.jobs.outbox import Relay
from funmagic.mail import delivery

TRACES = (
    TOKEN,
    TOKEN.encode().hex(),
    base64.b64encode(TOKEN.encode())[4:-4].decode(),
    hash_token(TOKEN).hex(),
    MAIL.to,
    MAIL.to.encode().hex(),
    MAIL.subject,
)
OF_THE_SERVER = "mail.log"  # the test's own: it reads the mail aloud
TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


async def everything_on_record(resources: Resources) -> str:
    """The database and Valkey as text."""
    found = []
    async with resources.db.transaction() as session:
        for table in (await session.scalars(TABLES)).all():
            rows = await session.scalars(text(f'SELECT t::text FROM "{table}" AS t'))
            found += [f"{table} {row}" for row in rows]
    readers: dict[str, Any] = {
        "string": resources.redis.get,
        "hash": resources.redis.hgetall,
        "list": lambda key: resources.redis.lrange(key, 0, -1),
        "zset": lambda key: resources.redis.zrange(key, 0, -1),
        "stream": resources.redis.xrange,
    }
    for key in map(str, await resources.redis.keys("*")):
        kind = str(await resources.redis.type(key))
        found.append(f"{key} {await readers[kind](key)}")
    return "\n".join(found)


async def test_what_a_mail_says_is_nowhere_in_clear(
    resources: Resources, office: Office, post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where the server quotes it in its refusal."""
    quoting = f"{MAIL.to} {MAIL.subject} {TOKEN}"
    office.to_recipients.append(f"450 {quoting}")
    office.to_messages.append(f"451 {quoting}")
    waiting, refused = await post(), await post()
    await Relay(resources).send_due()
    for _ in range(2):
        await delivery.deliver(resources, waiting)
        async with resources.db.transaction() as session:
            await session.execute(text("UPDATE mails SET due_at = now()"))
    office.to_messages.append(f"554 {quoting}")
    await delivery.deliver(resources, refused)
    assert (await row_of(resources, waiting)).sealed is not None
    kept = await everything_on_record(resources)
    assert str(waiting) in kept
    said = [record.getMessage() for record in caplog.records if record.name != OF_THE_SERVER]
    assert str(refused) in str(said)
    for trace in TRACES:
        assert trace not in kept
        assert trace not in str(said)


@pytest.mark.parametrize(
    ("to_recipients", "to_messages", "error"),
    [
        (["450 no"], [], MailError),
        (["550 no"], [], MailRefused),
        ([], ["451 no"], MailError),
        ([], ["554 no"], MailRefused),
    ],
)
async def test_an_error_tells_the_code_and_nothing_else(
    resources: Resources,
    office: Office,
    to_recipients: list[str],
    to_messages: list[str],
    error: type[MailError],
) -> None:
    office.to_recipients.extend(f"{reply} {TOKEN}" for reply in to_recipients)
    office.to_messages.extend(f"{reply} {TOKEN}" for reply in to_messages)
    with pytest.raises(MailError) as refused:
        await resources.mailer.send(MAIL)
    assert type(refused.value) is error
    assert str(refused.value).split()[1] in {"450", "550", "451", "554"}
    assert TOKEN not in repr(refused.value)
    assert refused.value.__suppress_context__


async def test_a_server_that_is_not_there_or_wants_another_password_is_asked_again(
    office: Office,
) -> None:
    for address in ("smtp://127.0.0.1:1", f"smtp://ada:hunter2@127.0.0.1:{office.port}"):
        with pytest.raises(MailError) as refused:
            await Mailer(address, "FunMagic <no-reply@localhost>").send(MAIL)
        assert not isinstance(refused.value, MailRefused)
        assert "hunter2" not in str(refused.value)
    assert office.kept == []
