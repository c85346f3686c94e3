"""One's own account: name and look, ways in, keys, data. What changes it is JSON of ``/api``."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts import devices, erasure, exports, guards, keys, sessions
from funmagic.accounts.models import ApiKey, DataExport, Identity, User, UserSession
from funmagic.accounts.oauth import service as oauth
from funmagic.accounts.preferences import ACCENTS, THEMES
from funmagic.assets import service as assets
from funmagic.core import formats
from funmagic.core.clock import now
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.web.account_contexts import (
    AskView,
    DataView,
    Elsewhere,
    ExportLine,
    KeyLine,
    KeysView,
    ProfileView,
    ProveView,
    SecurityView,
    SessionLine,
)
from funmagic.web.contexts import Page
from funmagic.web.handlers.sign_in import trouble_of
from funmagic.web.pages import (
    AnyRequest,
    as_viewer,
    asked_in,
    drawn,
    known_locale,
    page_of,
    viewer_of,
)

THEME_NAMES: Final = {
    "system": (N_("Like the system"), "monitor"),
    "light": (N_("Light"), "sun"),
    "dark": (N_("Dark"), "moon"),
}
ACCENT_NAMES: Final = {
    "violet": N_("Violet"),
    "blue": N_("Blue"),
    "green": N_("Green"),
    "orange": N_("Orange"),
    "rose": N_("Rose"),
    "graphite": N_("Graphite"),
}
METHOD_NAMES: Final = {
    "link": N_("Mailed link"),
    "password": N_("Password"),
    "google": "Google",
    "facebook": "Facebook",
    "apple": "Apple",
}
SCOPE_NAMES: Final = {
    "tasks:read": N_("See tasks and their results"),
    "tasks:write": N_("Start and cancel tasks, which spends credits"),
    "assets:read": N_("See and download files"),
    "assets:write": N_("Upload, save and delete files"),
    "credits:read": N_("See credits and their history"),
    "profile:read": N_("See your profile"),
}
KEY_LIFETIMES: Final = (
    ("30", N_("30 days")),
    ("90", N_("90 days")),
    ("365", N_("A year")),
    ("", N_("Until I revoke it")),
)
HAND_HELD: Final = ("iPhone", "iPad", "Android")


@get("/{locale:str}/profile", include_in_schema=False)
async def show_profile(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template | Redirect:
    """Name, picture, address, look, language and credits."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    async with resources.db.transaction() as session:
        balance = await credits.balance_of(session, user_or_none.id)
    view = ProfileView(
        section="profile",
        name=user_or_none.name,
        email=user_or_none.email,
        balance=balance.balance,
        available=balance.available,
        reserved=balance.reserved,
        themes=tuple(
            (each, translate(locale, THEME_NAMES[each][0]), THEME_NAMES[each][1]) for each in THEMES
        ),
        accents=tuple((each, translate(locale, ACCENT_NAMES[each])) for each in ACCENTS),
        theme=user_or_none.theme,
        accent=user_or_none.accent,
        max_avatar_bytes=assets.ROUTES["avatar"].max_bytes,
    )
    page = page_of(request, as_viewer(user_or_none, balance.available))
    return drawn(request, "pages/account/profile.html", page, view)


@get("/{locale:str}/profile/security", include_in_schema=False)
async def show_security(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    error: FromQuery[str] = "",
) -> Template | Redirect:
    """Password, accounts elsewhere, and the browsers that are signed in."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    here, proved_at = await sessions.current(request), await sessions.proved_at(request)
    lasts = proved_at + guards.RECENT - now() if proved_at else timedelta(0)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
        identities = await oauth.identities_of(session, user_or_none.id)
        found = await sessions.listed(session, user_or_none.id)
    page = page_of(request, viewer)
    view = SecurityView(
        section="security",
        proof_lasts_s=max(0, int(lasts.total_seconds())),
        has_password=user_or_none.password_hash is not None,
        password_set_at=user_or_none.password_set_at,
        elsewhere=_elsewhere(page, {each.provider: each for each in identities}),
        sessions=tuple(_session_line(each, here, locale) for each in found),
        trouble=trouble_of(error, locale),
    )
    return drawn(request, "pages/account/security.html", page, view)


@get("/{locale:str}/profile/keys", include_in_schema=False)
async def show_keys(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template | Redirect:
    """Keys for programs; a new one is shown once, by the page's script."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
        found = await keys.listed(session, user_or_none.id)
    view = KeysView(
        section="keys",
        keys=tuple(_key_line(each, locale) for each in found),
        scopes=tuple((scope, translate(locale, SCOPE_NAMES[scope])) for scope in keys.SCOPES),
        lifetimes=tuple((days, translate(locale, name)) for days, name in KEY_LIFETIMES),
        most=keys.MAX_KEYS,
    )
    return drawn(request, "pages/account/keys.html", page_of(request, viewer), view)


@get("/{locale:str}/profile/data", include_in_schema=False)
async def show_data(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template | Redirect:
    """A copy of one's data, and the end of one's account."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
        found = await exports.listed(session, user_or_none.id)
    view = DataView(
        section="data",
        exports=tuple(_export_line(each, locale) for each in found),
        email=user_or_none.email,
        deletion_due_at=user_or_none.deletion_due_at,
        grace_days=erasure.GRACE.days,
    )
    return drawn(request, "pages/account/data.html", page_of(request, viewer), view)


@get("/{locale:str}/reauthentication", include_in_schema=False)
async def draw_proof(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    locale: FromPath[str],
) -> Template:
    """The dialog by which somebody shows who they are, alone: a script puts it into its page."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user)
        connected = await oauth.identities_of(session, user.id)
    view = ProveView(
        done_path=f"/{locale}/reauthentication/done",
        has_password=user.password_hash is not None,
        connected=tuple(each.provider for each in connected),
    )
    return drawn(request, "components/reauthentication.html", page_of(request, viewer), view)


@get("/{locale:str}/reauthentication/done", include_in_schema=False)
async def show_proved(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template | Redirect:
    """Where a link or a provider leads to in the end: it tells the page that waits."""
    known_locale(locale)
    if user_or_none is None:
        return asked_in(request, locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
    view = AskView(next_path=f"/{locale}/profile")
    return drawn(request, "pages/account/proved.html", page_of(request, viewer), view)


def _elsewhere(page: Page, connected: dict[str, Identity]) -> tuple[Elsewhere, ...]:
    """Every provider that is on, and those that were on when the person connected them."""
    slugs = dict.fromkeys([*(way.slug for way in page.ways), *connected])
    return tuple(
        Elsewhere(
            slug=slug,
            name=METHOD_NAMES[slug],
            is_offered=slug in {way.slug for way in page.ways},
            is_connected=slug in connected,
            email=(connected[slug].email or "") if slug in connected else "",
            last_used_at=connected[slug].last_used_at if slug in connected else None,
        )
        for slug in slugs
    )


def _session_line(found: UserSession, here: UserSession | None, locale: str) -> SessionLine:
    _, system = devices.words(found.user_agent)
    return SessionLine(
        id=str(found.id),
        device=devices.described(found.user_agent, locale),
        icon="smartphone" if system in HAND_HELD else "laptop",
        method=translate(locale, METHOD_NAMES[found.method]),
        created_at=found.created_at,
        last_used_at=found.last_used_at,
        is_here=here is not None and found.id == here.id,
    )


def _key_line(key: ApiKey, locale: str) -> KeyLine:
    return KeyLine(
        id=str(key.id),
        name=key.name,
        hint=key.hint,
        scopes=tuple(translate(locale, SCOPE_NAMES[scope]) for scope in key.scopes),
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
    )


def _export_line(found: DataExport, locale: str) -> ExportLine:
    megabytes = (found.size_bytes or 0) / 1_048_576
    return ExportLine(
        id=str(found.id),
        state=found.state,
        size=f"{formats.number(max(0.1, round(megabytes, 1)), locale)} MB",
        left_out=found.left_out,
        created_at=found.created_at,
        expires_at=found.expires_at,
    )
