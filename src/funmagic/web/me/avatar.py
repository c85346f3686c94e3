"""People's pictures: one's own, to change and to see; everybody's, for admins."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import Redirect

from funmagic.accounts import guards, people
from funmagic.accounts.models import User
from funmagic.assets import avatars
from funmagic.core import errors
from funmagic.core.http import CamelModel
from funmagic.core.resources import Resources
from funmagic.web.me.views import MeView, me_view

ADDRESS_EXPIRES_S = 600


class AvatarChoice(CamelModel):
    """``assetId`` is an upload of the route ``avatar``."""

    asset_id: UUID


@get("/avatar", status_code=302, opt={"scope": "profile:read"})
async def show_avatar(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> Redirect:
    """Send the browser to one's own picture, a square WebP. The answer may be kept for minutes."""
    return await _to_picture(user, resources)


@put("/avatar", opt={"limit": "20 per minute"})
async def choose_avatar(
    user: NamedDependency[User],
    resources: NamedDependency[Resources],
    data: JSONBody[AvatarChoice],
) -> MeView:
    """Have an upload cut to a square around its middle as one's picture; the upload is removed."""
    await avatars.choose(resources, user.id, data.asset_id)
    return await _me(user, resources)


@delete("/avatar", status_code=200)
async def remove_avatar(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> MeView:
    """Have no picture any more. Repeating is fine."""
    await avatars.remove(resources, user.id)
    return await _me(user, resources)


@get("/api/admin/users/{user_id:uuid}/avatar", status_code=302, guards=[guards.admin])
async def show_avatar_of(
    resources: NamedDependency[Resources], user_id: FromPath[UUID]
) -> Redirect:
    """Send an admin's browser to somebody's picture."""
    async with resources.db.transaction() as session:
        user = await people.one(session, user_id)
    return await _to_picture(user, resources)


async def _to_picture(user: User, resources: Resources) -> Redirect:
    if user.avatar_key is None:
        raise errors.NotFound
    url = await resources.storage.presign_get(user.avatar_key, expires_s=ADDRESS_EXPIRES_S)
    headers = {"Cache-Control": f"private, max-age={ADDRESS_EXPIRES_S // 2}", "Vary": "Cookie"}
    return Redirect(url, status_code=302, headers=headers)


async def _me(user: User, resources: Resources) -> MeView:
    async with resources.db.transaction() as session:
        return await me_view(session, await people.one(session, user.id))
