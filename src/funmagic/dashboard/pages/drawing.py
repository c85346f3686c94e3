"""What every page of the dashboard shares: its frame, and how a provider's state is said."""

from __future__ import annotations

from typing import Final, cast

from litestar.response import Template

from funmagic.accounts.models import User
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.dashboard.api.providers import ProviderLine
from funmagic.dashboard.contexts import DashboardView, ProviderRow, Status
from funmagic.web.contexts import Tone, View
from funmagic.web.pages import AnyRequest, drawn, page_of, viewer_of

CAPABILITIES: Final = {
    "background_removal": N_("Background removal"),
    "image_edit": N_("Image edits"),
    "image_to_3d": N_("3D models"),
}

# A provider's state to words, colour and icon.
STATES: Final[dict[str, tuple[str, Tone, str]]] = {
    "missing": (N_("Not configured"), "neutral", "circle-dashed"),
    "off": (N_("Switched off"), "neutral", "circle-off"),
    "unreadable": (N_("Credentials unreadable"), "danger", "key-round"),
    "healthy": (N_("Healthy"), "success", "circle-check"),
    "ailing": (N_("Not working"), "danger", "triangle-alert"),
    "untested": (N_("Not tested yet"), "warning", "circle-dashed"),
    "ready": (N_("Ready"), "info", "circle-check"),
}


async def draw(
    request: AnyRequest, resources: Resources, user: User, template: str, view: DashboardView
) -> Template:
    """A page of the dashboard as an answer."""
    async with resources.db.transaction() as session:
        page = page_of(request, await viewer_of(session, user))
    return drawn(request, f"dashboard/{template}", page, cast(View, view))


def status_of(line: ProviderLine, locale: str) -> Status:
    """How a provider is doing, in one badge."""
    label, tone, icon = STATES[_state(line)]
    return Status(translate(locale, label), tone, icon)


def capability_names(line: ProviderLine, locale: str) -> tuple[str, ...]:
    """What a provider can do, in words."""
    return tuple(translate(locale, CAPABILITIES.get(key, key)) for key in line.capabilities)


def provider_row(line: ProviderLine, locale: str) -> ProviderRow:
    """A provider as lists show it."""
    return ProviderRow(
        path=f"/{locale}/dashboard/providers/{line.key}",
        label=line.label,
        capabilities=capability_names(line, locale),
        status=status_of(line, locale),
        message=translate(locale, line.health.message or "") if _state(line) == "ailing" else "",
        is_simulated=line.is_simulated,
        last_check=line.health.checked_at,
        warnings=tuple(line.health.warnings),
    )


def _state(line: ProviderLine) -> str:
    if line.credentials is not None and line.credentials.problem:
        return "unreadable"
    if line.updated_at is not None and not line.is_enabled:
        return "off"
    if not line.is_configured:
        return "missing"
    if line.health.checked_at is None:
        return "untested"
    return {True: "healthy", False: "ailing", None: "ready"}[line.health.ok]
