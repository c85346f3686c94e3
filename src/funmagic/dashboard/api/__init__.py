"""JSON for admins."""

from __future__ import annotations

from litestar import Router

from funmagic.accounts.guards import admin
from funmagic.dashboard.api import providers, tools, users

router = Router(
    "/api/admin",
    route_handlers=[tools.router, providers.router, users.router],
    guards=[admin],
    tags=["admin"],
)
