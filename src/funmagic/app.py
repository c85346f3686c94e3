"""Builds the web application: pages, JSON API, live events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from weakref import WeakSet

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.plugins.pydantic import PydanticPlugin
from sqlalchemy.exc import DBAPIError
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from funmagic import __version__, health, hooks
from funmagic.accounts import api as accounts_api
from funmagic.accounts import key_api, roles, session_api
from funmagic.accounts.cookies import CookieWriter
from funmagic.accounts.guards import current_user, current_user_or_none, within_scope
from funmagic.accounts.limits import SignInLimits
from funmagic.accounts.oauth import api as oauth_api
from funmagic.accounts.oauth.ways import Ways
from funmagic.accounts.write_limits import within_limits
from funmagic.assets import api as assets_api
from funmagic.catalog import api as catalog_api
from funmagic.catalog.cache import CatalogCache
from funmagic.core import log as logs
from funmagic.core.db import DatabaseAway
from funmagic.core.http import json_error
from funmagic.core.limits import Limiter
from funmagic.core.middleware import ASGIApp, HeadAsGet, RequestLog, SameOrigin, SecurityHeaders
from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings
from funmagic.credits import api as credits_api
from funmagic.dashboard import api as admin_api
from funmagic.dashboard import pages as admin_pages
from funmagic.providers import registry
from funmagic.tasks import api as tasks_api
from funmagic.tasks.hub import EventHub
from funmagic.web.errors import html_error
from funmagic.web.me import api as me_api
from funmagic.web.page_cache import PageCache
from funmagic.web.routes import route_handlers
from funmagic.web.templates import template_config
from funmagic.web.visits import catalog_of, visit_of

log = logs.logger(__name__)

START_PATIENCE_S = 5.0
MAX_BODY_BYTES = 1 << 20  # files go to the storage, never through here

_open_hubs: WeakSet[EventHub] = WeakSet()


def create_app() -> ASGIApp:
    """The application from the environment: what ``funmagic web`` serves."""
    settings = Settings.load()
    logs.configure(settings)
    return build(settings)


def build(settings: Settings) -> ASGIApp:
    """The application for these settings, with the layers every request passes."""
    return with_layers(litestar_app(settings), settings)


def with_layers(inner: Litestar, settings: Settings) -> ASGIApp:
    """The layers every request passes, around an application that is given its settings here."""
    hooks.wire(settings)
    inner.state["settings"] = settings
    app: ASGIApp = CookieWriter(cast(ASGIApp, inner))
    app = SameOrigin(app, origins=[settings.public_url], forms_taken_at=[oauth_api.APPLE_CALLBACK])
    app = SecurityHeaders(
        app, storage_origin=settings.storage_origin, https=settings.secure_cookies
    )
    app = PageCache(app, edition=lambda: inner.state["resources"].edition, settings=settings)
    app = RequestLog(HeadAsGet(app))
    if settings.trusted_proxies:
        app = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), settings.trusted_proxies))
    return app


def litestar_app(settings: Settings) -> Litestar:
    """Routes and dependencies, without the outer layers."""
    return Litestar(
        route_handlers=[
            health.healthz,
            health.readyz,
            accounts_api.router,
            oauth_api.router,
            session_api.router,
            key_api.router,
            admin_api.router,
            assets_api.router,
            assets_api.show_media,
            assets_api.show_sized_media,
            catalog_api.router,
            credits_api.router,
            me_api.router,
            tasks_api.router,
            admin_pages.router,
            *route_handlers,
        ],
        dependencies={
            "resources": Provide(_resources, sync_to_thread=False),
            "catalog_cache": Provide(catalog_of, sync_to_thread=False),
            "user": Provide(current_user),
            "user_or_none": Provide(current_user_or_none),
            "visit": Provide(visit_of),
        },
        guards=[within_limits, within_scope],
        exception_handlers={Exception: _error},
        plugins=[PydanticPlugin(prefer_alias=True)],
        lifespan=[_open],
        template_config=template_config(settings),
        openapi_config=OpenAPIConfig(
            title="FunMagic",
            version=__version__,
            path="/api/docs",
            render_plugins=[JsonRenderPlugin()],
        ),
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
        debug=False,
    )


def close_streams() -> None:
    """End this process's live streams: a server waits for them before it lets the application stop,
    so whoever is told to stop first says so here."""
    for hub in list(_open_hubs):
        hub.close_streams()


@asynccontextmanager
async def _open(app: Litestar) -> AsyncIterator[None]:
    settings: Settings = app.state["settings"]
    registry.open(registry.place_of(settings))  # connections are tested from here
    async with open_resources(settings) as resources:
        hub = EventHub(resources)
        app.state["resources"] = resources
        app.state["catalog"] = CatalogCache(resources)
        app.state["ways"] = Ways(settings)
        app.state["event_hub"] = hub
        app.state["limiter"] = limiter = Limiter(resources.redis)
        app.state["sign_in_limits"] = SignInLimits(limiter)
        _open_hubs.add(hub)
        hub.start()
        await _warn_without_super_admin(resources)
        try:
            yield
        finally:
            await hub.stop()
            await registry.close()


async def _warn_without_super_admin(resources: Resources) -> None:
    """Say in the log how the first one is made. A database that is away or empty stops no start."""
    try:
        async with asyncio.timeout(START_PATIENCE_S), resources.db.transaction() as session:
            if await roles.is_super_admin_there(session):
                return
    except (DatabaseAway, DBAPIError, TimeoutError):
        return
    log.warning("there is no super admin", remedy="funmagic admin create EMAIL")


def _resources(state: State) -> Resources:
    return cast(Resources, state["resources"])


def _error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """JSON for programs, a page for people."""
    if request.url.path.startswith(("/api/", "/healthz", "/readyz", "/metrics")):
        return json_error(request, error)
    return html_error(request, error)
