"""People for admins: list, look at; for super_admins: say who is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Router, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import people, roles
from funmagic.accounts.guards import recently_authenticated, super_admin
from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.audit.models import Act
from funmagic.core.http import CamelModel
from funmagic.core.paging import DEFAULT_LIMIT, Page
from funmagic.core.resources import Resources
from funmagic.credits import service as credits

RECENT_ACTS: Final = 30


class PersonLine(CamelModel):
    """A person in a list. ``isVerified``: the address was shown to be theirs."""

    id: UUID
    email: str
    name: str
    role: str
    is_verified: bool
    created_at: datetime
    deletion_due_at: datetime | None

    @classmethod
    def of(cls, user: User) -> PersonLine:
        return cls(**_line(user))


class PersonCredits(CamelModel):
    """Whole credits. ``available`` is what can be spent; ``owed`` is repaid by later grants."""

    available: int
    balance: int
    reserved: int
    owed: int


class ActView(CamelModel):
    """An act about a person or by them. ``by`` is an address, null where nobody was signed in."""

    at: datetime
    action: str
    by: str | None
    subject_type: str
    subject_id: str
    data: dict[str, Any]

    @classmethod
    def of(cls, act: Act, names: Mapping[UUID, str]) -> ActView:
        return cls(
            at=act.at,
            action=act.action,
            by=names.get(act.actor_id) if act.actor_id else None,
            subject_type=act.subject_type,
            subject_id=act.subject_id,
            data=act.data,
        )


class PersonView(PersonLine):
    """A person whole. ``acts`` are the newest about them, ``done`` the newest by them to others
    and to what is everybody's."""

    locale: str
    has_password: bool
    has_avatar: bool
    providers: list[str]
    sessions: int
    keys: int
    last_seen_at: datetime | None
    credits: PersonCredits
    acts: list[ActView]
    done: list[ActView]


class RoleChange(CamelModel):
    """``role`` is user, admin or super_admin."""

    role: Annotated[str, Field(max_length=20)]


@get("/")
async def list_users(
    resources: NamedDependency[Resources],
    q: Annotated[str, QueryParameter(max_length=200)] = "",
    role: FromQuery[str | None] = None,
    limit: FromQuery[int] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[PersonLine]:
    """Everybody, the newest first; ``q`` is part of the address or name."""
    async with resources.db.transaction() as session:
        found, next_cursor = await people.page(
            session, q=q, role=role or None, limit=limit, cursor=cursor
        )
    return Page[PersonLine](items=[PersonLine.of(each) for each in found], next_cursor=next_cursor)


@get("/{user_id:uuid}")
async def show_user(resources: NamedDependency[Resources], user_id: FromPath[UUID]) -> PersonView:
    """One person: ways in, credits, what happened lately."""
    async with resources.db.transaction() as session:
        return await person_view(session, user_id)


@patch("/{user_id:uuid}", guards=[super_admin, recently_authenticated])
async def change_user(
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    user_id: FromPath[UUID],
    data: JSONBody[RoleChange],
) -> PersonView:
    """Give somebody else a role. Only super_admins may."""
    async with resources.db.transaction() as session:
        await roles.change(session, user.id, user_id, data.role)
        return await person_view(session, user_id)


async def person_view(session: AsyncSession, user_id: UUID) -> PersonView:
    """A person as the page and programs see them. Raises :class:`NotFound`."""
    user = await people.one(session, user_id)
    ways = await people.ways_in(session, user.id)
    balance = await credits.balance_of(session, user.id)
    about = await audit.about(session, "user", user.id, limit=RECENT_ACTS)
    done = await audit.by(session, user.id, limit=RECENT_ACTS)
    names = await people.addresses(session, _actors(about))
    return PersonView(
        **_line(user),
        locale=user.locale,
        has_password=user.password_hash is not None,
        has_avatar=user.avatar_key is not None,
        providers=list(ways.providers),
        sessions=ways.sessions,
        keys=ways.keys,
        last_seen_at=ways.last_seen_at,
        credits=PersonCredits(
            available=balance.available,
            balance=balance.balance,
            reserved=balance.reserved,
            owed=balance.owed,
        ),
        acts=[ActView.of(act, names) for act in about],
        done=[ActView.of(act, {user.id: user.email}) for act in done],
    )


def _actors(acts: Sequence[Act]) -> set[UUID]:
    return {act.actor_id for act in acts if act.actor_id is not None}


def _line(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "is_verified": user.email_verified_at is not None,
        "created_at": user.created_at,
        "deletion_due_at": user.deletion_due_at,
    }


router = Router("/users", route_handlers=[list_users, show_user, change_user])
