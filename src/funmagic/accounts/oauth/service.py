"""What a provider's word means for accounts here.

An account there opens one here by a *verified* e-mail address alone, or because somebody signed in
here connects it. An address nobody verified is proved by a mailed link first, opened in the browser
that came back from the provider: opened elsewhere it would connect a stranger's account.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links, mails
from funmagic.accounts.models import Identity, User
from funmagic.accounts.oauth.attempts import Waiting
from funmagic.accounts.oauth.contract import Failed, Person, Taken
from funmagic.accounts.service import normal_email, sign_up_or_find
from funmagic.audit import service as audit
from funmagic.core.errors import Invalid, NotFound
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

PURPOSE: Final = "link_identity"

USE = text("""
    UPDATE identities SET last_used_at = now(), email = coalesce(:email, email)
     WHERE provider = :provider AND subject = :subject
    RETURNING user_id
""")
ADD = text("""
    INSERT INTO identities (id, user_id, provider, subject, email)
    VALUES (:id, :user_id, :provider, :subject, :email)
    ON CONFLICT DO NOTHING
    RETURNING id
""")
REMOVE = text("""
    DELETE FROM identities WHERE user_id = :user_id AND provider = :provider RETURNING id
""")
NAME_NAMELESS = text("UPDATE users SET name = :name WHERE id = :id AND name = ''")


async def arrive(session: AsyncSession, person: Person, *, locale: str) -> User | None:
    """Whom this is here, somebody new included; None where no address is verified.

    Raises :class:`Taken` where the account of that address is connected to another one there.
    """
    known = await _use(session, person)
    if known is not None:
        return await session.get_one(User, known)
    email = address_of(person)
    if email is None or not person.is_email_verified:
        return None
    return await _open_account(session, person, email, locale)


async def add(session: AsyncSession, resources: Resources, user: User, person: Person) -> None:
    """Connect ``person`` to the account of somebody signed in, who is told by mail.

    Raises :class:`Taken`.
    """
    if not await connect(session, user.id, person):
        return
    url = f"{resources.settings.public_url}/{user.locale}/profile/security"
    letter = mails.identity_connected_mail(user.email, url, user.locale, provider=person.provider)
    await mails.tell(resources, session, letter, kind="identity_connected")


async def connect(session: AsyncSession, user_id: UUID, person: Person) -> bool:
    """Let ``person`` be a way into this account; False where they were one before.

    Raises :class:`Taken` where they are one into another, or another of the same provider is one
    into this.
    """
    values = {
        "id": new_id(),
        "user_id": user_id,
        "provider": person.provider,
        "subject": person.subject,
        "email": person.email,
    }
    if (await session.execute(ADD, values)).one_or_none() is None:
        if await _use(session, person) != user_id:
            raise Taken("it or its like is connected already")
        return False
    told = {"provider": person.provider}
    await audit.record_own(session, user_id, "identity.connected", told)
    return True


async def confirm(session: AsyncSession, user_id: UUID, person: Person) -> None:
    """Take ``person`` as proof that it is they. Raises :class:`Failed` for somebody else."""
    if await _use(session, person) != user_id:
        raise Failed("it is not connected to this account")


async def disconnect(session: AsyncSession, user_id: UUID, provider: str) -> None:
    """Take a way in from an account; a mailed link always remains. Raises :class:`NotFound`."""
    values = {"user_id": user_id, "provider": provider}
    if (await session.execute(REMOVE, values)).one_or_none() is None:
        raise NotFound
    await audit.record_own(session, user_id, "identity.disconnected", {"provider": provider})


async def identities_of(session: AsyncSession, user_id: UUID) -> Sequence[Identity]:
    """A person's accounts elsewhere, oldest first."""
    found = await session.scalars(
        select(Identity).where(Identity.user_id == user_id).order_by(Identity.id)
    )
    return found.all()


async def mail_link(
    session: AsyncSession, resources: Resources, waiting: Waiting, email: str, browser_token: str
) -> None:
    """Post the mail by which somebody proves that ``email`` is theirs. It says the same and takes
    the same, whether or not there is an account of that address."""
    person = waiting.person
    await links.send(
        resources,
        session,
        partial(mails.link_identity_mail, provider=person.provider),
        purpose=PURPOSE,
        email=email,
        browser_token=browser_token,
        next_path=waiting.next_path,
        locale=waiting.locale,
        data={"provider": person.provider, "subject": person.subject, "name": person.name},
    )


async def redeem_link(
    session: AsyncSession, token: str, browser_token: str | None
) -> tuple[User, links.ReadLink]:
    """Use a mailed link up: the account of its address, with the account elsewhere connected.

    ``link.data["provider"]`` is how its person signs in. Raises :class:`Invalid`
    (``link_unusable``) also in any other browser than the one that came back from the provider, and
    :class:`Taken`.
    """
    link = await links.redeem(session, token, PURPOSE)
    if not link.asked_by(browser_token):
        raise links.unusable()
    person = Person(
        provider=link.data["provider"],
        subject=link.data["subject"],
        email=link.email,
        is_email_verified=True,  # by this very link
        name=link.data["name"],
    )
    return await _open_account(session, person, link.email, link.locale), link


def address_of(person: Person) -> str | None:
    """The address in the form we store; None where there is none a mail could reach."""
    try:
        return None if person.email is None else normal_email(person.email)
    except Invalid:
        return None


async def _open_account(session: AsyncSession, person: Person, email: str, locale: str) -> User:
    """The account of a verified address, connected to ``person``."""
    user = await sign_up_or_find(session, email, locale=locale, name=person.name)
    await connect(session, user.id, person)
    if person.name and not user.name:
        await session.execute(NAME_NAMELESS, {"id": user.id, "name": person.name})
    return user


async def _use(session: AsyncSession, person: Person) -> UUID | None:
    values = {"provider": person.provider, "subject": person.subject, "email": person.email}
    found: UUID | None = await session.scalar(USE, values)
    return found
