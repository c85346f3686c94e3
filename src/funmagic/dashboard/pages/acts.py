"""Acts on record in words: what was done, and the few details that are told with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from funmagic.accounts.roles import ROLE_NAMES
from funmagic.core.i18n import N_, translate
from funmagic.dashboard.api.users import ActView
from funmagic.dashboard.contexts import ActLine
from funmagic.web.handlers.profile import METHOD_NAMES

#: What is not named here is shown as it is on record.
WORDS: Final = {
    "session.started": (N_("Signed in"), "log-in"),
    "session.ended": (N_("Signed out elsewhere"), "log-out"),
    "password.changed": (N_("Password changed"), "lock"),
    "password.removed": (N_("Password removed"), "lock"),
    "email.changed": (N_("Address changed"), "mail"),
    "identity.connected": (N_("Account elsewhere connected"), "plug"),
    "identity.disconnected": (N_("Account elsewhere disconnected"), "plug"),
    "key.created": (N_("API key created"), "key-round"),
    "key.revoked": (N_("API key revoked"), "key-round"),
    "role.changed": (N_("Role changed"), "shield-check"),
    "account.deletion_asked": (N_("Deletion asked for"), "trash-2"),
    "account.deletion_cancelled": (N_("Deletion cancelled"), "undo-2"),
    "account.claimed": (N_("Claimed by the owner of the address"), "shield-check"),
    "export.asked": (N_("Copy of the data asked for"), "download"),
    "tool.created": (N_("Tool added"), "wand-sparkles"),
    "tool.saved": (N_("Tool saved"), "wand-sparkles"),
    "tool.switched": (N_("Tool switched"), "wand-sparkles"),
    "tool.configured": (N_("Tool configured"), "wand-sparkles"),
    "provider.saved": (N_("Provider saved"), "plug"),
    "provider.credentials_replaced": (N_("Provider's credentials replaced"), "key-round"),
}
NEW_DEVICE: Final = N_("new device")
MAX_DETAIL_CHARS: Final = 200


def act_line(act: ActView, locale: str) -> ActLine:
    """An act in the page's language."""
    words, icon = WORDS.get(act.action, (act.action, "dot"))
    return ActLine(
        words=translate(locale, words),
        icon=icon,
        detail=_detail(act, locale)[:MAX_DETAIL_CHARS],
        by=act.by or "",
        at=act.at,
    )


def _detail(act: ActView, locale: str) -> str:
    data = act.data
    if act.action == "session.started":
        method = translate(locale, METHOD_NAMES[data["method"]])
        new = translate(locale, NEW_DEVICE) if data["isNewDevice"] else ""
        return _joined(method, data["browser"], data["system"], new)
    if act.action == "role.changed":
        return " → ".join(translate(locale, _role(data, end)) for end in ("from", "to"))
    if act.subject_type == "provider":
        return _joined(act.subject_id, *_pairs(data))
    return _joined(*_pairs(data))


def _role(data: Mapping[str, Any], end: str) -> str:
    role = str(data.get(end))
    return ROLE_NAMES.get(role, role)


def _pairs(data: Mapping[str, Any]) -> list[str]:
    """What else is on record, by its names there: for eyes that know them."""
    return [
        str(value) if isinstance(value, str) else f"{name}: {value}"
        for name, value in data.items()
        if value not in (None, "", [], {})
    ]


def _joined(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)
