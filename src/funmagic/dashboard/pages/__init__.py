"""Pages for admins. Whoever is not signed in signs in first; to others there is nothing here."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from litestar import Response, Router
from litestar.response import Redirect

from funmagic.accounts.guards import admin
from funmagic.core.errors import Forbidden, NotFound, Unauthenticated
from funmagic.dashboard.pages import overview, providers, tools, users
from funmagic.web.errors import html_error
from funmagic.web.pages import AnyRequest, page_of


def _sign_in_first(request: AnyRequest, _: Exception) -> Redirect:
    page = page_of(request, None)
    return Redirect(f"/{page.locale}/sign-in?next={quote(page.path, safe='/')}", status_code=303)


def _not_here(request: AnyRequest, _: Exception) -> Response[Any]:
    return html_error(request, NotFound())


router = Router(
    "/{locale:str}/dashboard",
    route_handlers=[
        overview.show_overview,
        tools.list_tools,
        tools.show_new_tool,
        tools.show_tool,
        providers.list_providers,
        providers.show_provider,
        users.list_users,
        users.show_user,
    ],
    guards=[admin],
    exception_handlers={Unauthenticated: _sign_in_first, Forbidden: _not_here},
    include_in_schema=False,
)
