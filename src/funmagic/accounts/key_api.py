"""JSON of one's own API keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from pydantic import Field

from funmagic.accounts import keys, mails
from funmagic.accounts.guards import recently_authenticated
from funmagic.accounts.models import ApiKey, User
from funmagic.core.http import CamelModel
from funmagic.core.paging import Page
from funmagic.core.resources import Resources


class NewKey(CamelModel):
    """``expiresInDays`` null: good until revoked."""

    name: str = Field(max_length=400)
    scopes: list[Annotated[str, Field(max_length=40)]] = Field(max_length=20)
    expires_in_days: int | None = Field(default=None, ge=1, le=keys.MAX_LIFETIME_DAYS)


class KeyView(CamelModel):
    """A key without the key: ``hint`` is how it begins. ``lastUsedAt`` is exact to a minute."""

    id: UUID
    name: str
    hint: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyView:
        return cls(
            id=key.id,
            name=key.name,
            hint=key.hint,
            scopes=key.scopes,
            created_at=key.created_at,
            last_used_at=key.last_used_at,
            expires_at=key.expires_at,
        )


class CreatedKeyView(KeyView):
    """``key`` is shown this once and known to nobody afterwards."""

    key: str


@get("/")
async def list_keys(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> Page[KeyView]:
    """One's keys that are good, newest first, on one page: there are 25 at most."""
    async with resources.db.transaction() as session:
        found = await keys.listed(session, user.id)
    return Page[KeyView](items=[KeyView.of(key) for key in found])


@post("/", guards=[recently_authenticated])
async def create_key(
    user: NamedDependency[User], resources: NamedDependency[Resources], data: JSONBody[NewKey]
) -> CreatedKeyView:
    """Make a key. It can spend credits, so a session alone is not enough to make one, and a mail
    tells of it."""
    lifetime = timedelta(days=data.expires_in_days) if data.expires_in_days else None
    async with resources.db.transaction() as session:
        made = await keys.create(
            session, user.id, name=data.name, scopes=data.scopes, lifetime=lifetime
        )
        url = f"{resources.settings.public_url}/{user.locale}/profile/keys"
        letter = mails.key_created_mail(user.email, url, user.locale, name=made.row.name)
        await mails.tell(resources, session, letter, kind="key_created")
    return CreatedKeyView(**KeyView.of(made.row).model_dump(), key=made.secret)


@delete("/{key_id:uuid}", status_code=204)
async def revoke_key(
    user: NamedDependency[User], resources: NamedDependency[Resources], key_id: FromPath[UUID]
) -> None:
    """End a key; what asks with it from now on is refused."""
    async with resources.db.transaction() as session:
        await keys.revoke(session, user.id, key_id)


router = Router("/api/me/keys", route_handlers=[list_keys, create_key, revoke_key])
