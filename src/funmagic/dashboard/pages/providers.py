"""Providers: the list, and one with its connection."""

from __future__ import annotations

import json

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from funmagic.accounts.models import User
from funmagic.core.resources import Resources
from funmagic.dashboard.api.providers import ProviderLine, provider_view
from funmagic.dashboard.contexts import ProviderEditView, ProvidersView
from funmagic.dashboard.pages.drawing import capability_names, draw, provider_row, status_of
from funmagic.providers import service as providers
from funmagic.web.pages import AnyRequest, known_locale


@get("/providers")
async def list_providers(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
) -> Template:
    """Every provider of this release, configured or not."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        states = await providers.every(session)
    lines = [ProviderLine.of(state, locale) for state in states]
    view = ProvidersView(tuple(provider_row(line, locale) for line in lines))
    return await draw(request, resources, user, "providers.html", view)


@get("/providers/{key:str}")
async def show_provider(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
    key: FromPath[str],
) -> Template:
    """One provider: its connection, its health, its latest troubles."""
    known_locale(locale)
    provider = await provider_view(resources, key, locale)
    view = ProviderEditView(
        provider=provider,
        status=status_of(provider, locale),
        capabilities=capability_names(provider, locale),
        takes_address=provider.credentials is not None
        and (bool(resources.settings.simulators_url) or provider.base_url is not None),
        config_text=json.dumps(provider.config, indent=2, ensure_ascii=False),
    )
    return await draw(request, resources, user, "provider.html", view)
