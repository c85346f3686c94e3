"""The dashboard's first page: a few true numbers."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from funmagic.accounts.models import User
from funmagic.core.resources import Resources
from funmagic.dashboard.api.providers import ProviderLine
from funmagic.dashboard.contexts import OverviewView
from funmagic.dashboard.pages.drawing import draw, provider_row
from funmagic.providers import service as providers
from funmagic.reports.overview import overview
from funmagic.web.pages import AnyRequest, known_locale


@get("/")
async def show_overview(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
) -> Template:
    """Tools, the day's tasks, the providers' health."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        counts = await overview(session)
        states = await providers.every(session)
    lines = [ProviderLine.of(state, locale) for state in states]
    view = OverviewView(counts, tuple(provider_row(line, locale) for line in lines))
    return await draw(request, resources, user, "overview.html", view)
