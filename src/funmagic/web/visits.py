"""Who comes to a page of the shop window, and the catalog as it was when they came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from funmagic.accounts.models import User
from funmagic.accounts.sessions import user_of
from funmagic.catalog.cache import CatalogCache
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.web.contexts import Viewer
from funmagic.web.page_cache import AS_OF
from funmagic.web.pages import AnyRequest, viewer_of


@dataclass(frozen=True, slots=True)
class Visit:
    """What a public page is made from: ``user`` is None for whoever is not signed in."""

    resources: Resources
    catalog: CatalogCache
    user: User | None

    @property
    def settings(self) -> Settings:
        return self.resources.settings

    async def viewer(self) -> Viewer | None:
        """Who is signed in; of a visitor the database is asked nothing."""
        if self.user is None:
            return None
        async with self.resources.db.transaction() as session:
            return await viewer_of(session, self.user)


async def visit_of(request: AnyRequest) -> Visit:
    """A handler's one dependency: of several at once Litestar makes a group of tasks, which takes
    longer than all that they do for a visitor."""
    return Visit(request.app.state["resources"], catalog_of(request), await user_of(request))


def catalog_of(request: AnyRequest) -> CatalogCache:
    """The catalog's copies, for a request whose edition may be known."""
    kept = cast(CatalogCache, request.app.state["catalog"])
    return kept.as_of(cast(dict[str, Any], request.scope).get(AS_OF))
