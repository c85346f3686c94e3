"""The first page."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect, Template

from funmagic.accounts.models import User
from funmagic.catalog import service as catalog
from funmagic.catalog.service import ToolRow
from funmagic.core.http import request_locale
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.web.contexts import HomeView, ToolCard
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of, picture_of, viewer_of


@get("/", include_in_schema=False)
async def send_to_language(request: AnyRequest) -> Redirect:
    """``/`` leads to the person's language: chosen before, else what the browser asks for."""
    return Redirect(
        f"/{request_locale(request)}/",
        status_code=302,
        headers={"Vary": "Accept-Language, Cookie", "Cache-Control": "private, no-cache"},
    )


@get("/{locale:str}", include_in_schema=False)
async def show_home(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template:
    """What is on offer."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        tools = await catalog.active_tools(session)
        viewer = await viewer_of(session, user_or_none)
    cards = tuple(_card(tool, locale) for tool in tools)
    view = HomeView(
        tools=cards,
        main_tool=cards[0] if cards else None,
        welcome_credits=resources.settings.welcome_credits,
    )
    return drawn(request, "pages/home.html", page_of(request, viewer), view)


def _card(tool: ToolRow, locale: str) -> ToolCard:
    return ToolCard(
        path=f"/{locale}/tools/{tool.slug}",
        title=translate(locale, tool.title),
        description=translate(locale, tool.description),
        price_credits=tool.step_price(tool.plugin.steps[0].id),
        picture_url=picture_of(tool.implementation, tool.thumbnail),
    )
