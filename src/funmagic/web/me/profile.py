"""One's own name and preferences."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from funmagic.accounts import profile
from funmagic.accounts.models import User
from funmagic.core.http import CamelModel
from funmagic.core.resources import Resources
from funmagic.web.me.views import MeView, me_view


class ProfileChange(CamelModel):
    """What is left out stays as it is."""

    name: str | None = Field(default=None, max_length=400)
    theme: str | None = Field(default=None, max_length=20)
    accent: str | None = Field(default=None, max_length=20)
    locale: str | None = Field(default=None, max_length=20)


@get("/", opt={"scope": "profile:read"})
async def show_me(user: NamedDependency[User], resources: NamedDependency[Resources]) -> MeView:
    """Whoever is signed in, with preferences and credits."""
    async with resources.db.transaction() as session:
        return await me_view(session, user)


@patch("/")
async def change_me(
    user: NamedDependency[User],
    resources: NamedDependency[Resources],
    data: JSONBody[ProfileChange],
) -> MeView:
    """Change one's name (0 to 100 visible characters), theme, accent colour or language."""
    async with resources.db.transaction() as session:
        changed = await profile.change(session, user.id, **data.model_dump())
        return await me_view(session, changed)
