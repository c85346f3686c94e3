"""Copies of one's own data."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from funmagic.accounts import exports
from funmagic.accounts.guards import recently_authenticated
from funmagic.accounts.models import DataExport, User
from funmagic.core.http import CamelModel
from funmagic.core.paging import Page
from funmagic.core.resources import Resources

ADDRESS_EXPIRES_S = 600


class ExportView(CamelModel):
    """One copy: a ZIP with ``data.json`` and the files. ``state`` is pending, ready, failed or
    expired; ``leftOut`` counts files that are not in it, named in ``data.json`` with the reason."""

    id: UUID
    state: str
    size_bytes: int | None
    left_out: int
    created_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, found: DataExport) -> ExportView:
        return cls(
            id=found.id,
            state=found.state,
            size_bytes=found.size_bytes,
            left_out=found.left_out,
            created_at=found.created_at,
            ready_at=found.ready_at,
            expires_at=found.expires_at,
        )


@post("/exports", status_code=202, guards=[recently_authenticated])
async def ask_export(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> ExportView:
    """Have a copy of all that is one's own made, on a fresh proof of who asks; a mail says when it
    is ready. One at a time, and one a day."""
    async with resources.db.transaction() as session:
        return ExportView.of(await exports.ask(session, user.id))


@get("/exports")
async def list_exports(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> Page[ExportView]:
    """The copies of the last month, the newest first."""
    async with resources.db.transaction() as session:
        found = await exports.listed(session, user.id)
    return Page[ExportView](items=[ExportView.of(each) for each in found])


@get("/exports/{export_id:uuid}/download", status_code=302)
async def download_export(
    user: NamedDependency[User],
    resources: NamedDependency[Resources],
    export_id: FromPath[UUID],
) -> Redirect:
    """Send the browser to the archive, for ten minutes."""
    async with resources.db.transaction() as session:
        found = await exports.ready_of(session, user.id, export_id)
    assert found.key is not None  # written before it was made
    url = await resources.storage.presign_get(
        found.key,
        attachment=f"funmagic-{found.created_at:%Y-%m-%d}.zip",
        expires_s=ADDRESS_EXPIRES_S,
    )
    return Redirect(url, status_code=302, headers={"Cache-Control": "no-store"})
