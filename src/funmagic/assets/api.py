"""Uploads in better-upload's protocol, and the files' own addresses.

Protocol: npm package ``better-upload`` 3 (``@better-upload/client``): one POST describes the files,
the answer carries a presigned PUT for each. We add a confirmation, because an upload nobody checked
must not be usable.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Redirect
from pydantic import Field

from funmagic.accounts.guards import is_admin
from funmagic.accounts.models import User
from funmagic.accounts.sessions import current
from funmagic.assets import media, service
from funmagic.assets.views import AssetView, asset_view
from funmagic.core import errors
from funmagic.core.http import CamelModel
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources
from funmagic.core.storage import GET_EXPIRES_S


class FileToUpload(CamelModel):
    name: str = Field(min_length=1, max_length=400)
    size: int = Field(ge=0, le=1 << 40)
    type: str = Field(max_length=200)


class UploadRequest(CamelModel):
    """``metadata`` is part of the protocol; nothing in it is read."""

    route: str = Field(min_length=1, max_length=60)
    files: list[FileToUpload] = Field(min_length=1, max_length=20)
    metadata: Any = None


@post("/upload", status_code=200, opt={"limit": "60 per minute", "scope": "assets:write"})
async def request_upload(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    data: JSONBody[UploadRequest],
) -> dict[str, Any]:
    """Sign one PUT of exactly the described file; ``metadata.assetId`` names it from then on."""
    route = service.ROUTES.get(data.route)
    if route is None:
        raise errors.NotFound(N_("There is no such kind of upload."), type="invalid_request")
    if route.is_for_admins and (not is_admin(user) or await current(request) is None):
        raise errors.Forbidden  # what only admins do is done by people, not by keys
    if len(data.files) > 1:
        problem = errors.Invalid(N_("Please choose one file."), type="too_many_files")
        problem.status = 400
        raise problem
    file = data.files[0]
    async with resources.db.transaction() as session:
        asset, put = await service.promise(
            session,
            resources,
            user.id,
            route,
            file_name=file.name,
            content_type=file.type,
            size_bytes=file.size,
        )
    return {
        "files": [
            {
                "signedUrl": put.url,
                "file": {
                    **file.model_dump(),
                    "objectInfo": {"key": asset.storage_key, "metadata": {}},
                },
                "headers": put.headers,
            }
        ],
        "metadata": {"assetId": str(asset.id)},
    }


@post("/assets/{asset_id:uuid}/confirmation", status_code=200, opt={"scope": "assets:write"})
async def confirm_asset(
    resources: NamedDependency[Resources], user: NamedDependency[User], asset_id: FromPath[UUID]
) -> AssetView:
    """Say that the PUT is done. Only now can the file be used."""
    asset = await service.confirm(resources, user.id, asset_id)
    return await asset_view(resources.storage, asset)


@get("/assets/{asset_id:uuid}", opt={"scope": "assets:read"})
async def show_asset(
    resources: NamedDependency[Resources], user: NamedDependency[User], asset_id: FromPath[UUID]
) -> AssetView:
    """One of one's own files."""
    async with resources.db.transaction() as session:
        asset = await service.owned_by(session, user.id, asset_id)
    return await asset_view(resources.storage, asset)


@get("/assets/{asset_id:uuid}/download", status_code=302, opt={"scope": "assets:read"})
async def download_asset(
    resources: NamedDependency[Resources], user: NamedDependency[User], asset_id: FromPath[UUID]
) -> Redirect:
    """Send the browser to the file, as a download under its own name."""
    async with resources.db.transaction() as session:
        asset = await service.owned_by(session, user.id, asset_id)
    if asset.status != "ready":
        raise errors.NotFound(N_("We could not find this file."))
    url = await resources.storage.presign_get(asset.storage_key, attachment=asset.file_name)
    return Redirect(url, status_code=302, headers={"Cache-Control": "no-store"})


@post("/assets/{asset_id:uuid}/save", status_code=200, opt={"scope": "assets:write"})
async def save_asset(
    resources: NamedDependency[Resources], user: NamedDependency[User], asset_id: FromPath[UUID]
) -> AssetView:
    """Keep one of one's own results for good."""
    async with resources.db.transaction() as session:
        asset = await service.keep(session, user.id, asset_id, is_saved=True)
    return await asset_view(resources.storage, asset)


@delete("/assets/{asset_id:uuid}/save", status_code=200, opt={"scope": "assets:write"})
async def unsave_asset(
    resources: NamedDependency[Resources], user: NamedDependency[User], asset_id: FromPath[UUID]
) -> AssetView:
    """Keep a result no longer than any other."""
    async with resources.db.transaction() as session:
        asset = await service.keep(session, user.id, asset_id, is_saved=False)
    return await asset_view(resources.storage, asset)


@get("/media/{asset_id:uuid}", status_code=302, include_in_schema=False, opt={"scope": None})
async def show_media(
    resources: NamedDependency[Resources],
    asset_id: FromPath[UUID],
    size: FromQuery[Literal["thumbnail", "full"]] = "thumbnail",
) -> Redirect:
    """Send any browser to a tool's picture: its thumbnail, or the whole with ``?size=full``.

    The answer may be kept for half as long as the address it names lives.
    """
    async with resources.db.transaction() as session:
        asset = await service.media(session, asset_id)
    key = asset.storage_key if size == "full" else asset.thumbnail_key or asset.storage_key
    headers = {"Cache-Control": f"public, max-age={GET_EXPIRES_S // 2}"}
    return Redirect(await resources.storage.presign_get(key), status_code=302, headers=headers)


@get("/media/{asset_id:uuid}/{size:str}", include_in_schema=False, opt={"scope": None})
async def show_sized_media(
    resources: NamedDependency[Resources], asset_id: FromPath[UUID], size: FromPath[str]
) -> Response[bytes]:
    """A tool's picture at a width and in a format, such as ``640.avif``: it never changes."""
    width, _, kind = size.partition(".")
    if kind not in media.FORMATS or width not in map(str, media.WIDTHS_PX):
        raise errors.NotFound
    async with resources.db.transaction() as session:
        asset = await service.media(session, asset_id)
    picture = await media.read_sized(resources, asset, int(width), kind)
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(picture, media_type=f"image/{kind}", headers=headers)


router = Router(
    "/api",
    route_handlers=[
        request_upload,
        confirm_asset,
        show_asset,
        download_asset,
        save_asset,
        unsave_asset,
    ],
)
