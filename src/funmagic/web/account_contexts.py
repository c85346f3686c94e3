"""What the templates of ways in and of one's own account may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Choice = tuple[str, str]  # a value and its name in the page's language
Way = Literal["link", "password"]


@dataclass(frozen=True, slots=True)
class SignInView:
    """The sign-in page. ``sent_to`` once the mail is on its way; ``trouble`` is what went wrong
    before; ``complaints`` are by field."""

    next_path: str
    way: Way = "link"
    email: str = ""
    complaints: Mapping[str, str] = field(default_factory=dict)
    sent_to: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmView:
    """What a mailed link would do, and the button that does it; where it cannot be used (any more),
    the button leads to ``action_path``. All words are in the page's language already."""

    title: str
    text: str
    button: str
    icon: str
    action_path: str
    token: str = ""
    email: str = ""
    is_usable: bool = False


@dataclass(frozen=True, slots=True)
class AskView:
    """A page that asks for something; ``next_path`` is where the person is led in the end. With
    ``is_sent`` a mail is on its way already."""

    next_path: str
    attempt: str = ""
    is_sent: bool = False


@dataclass(frozen=True, slots=True)
class LinkView:
    """A mailed link that can be used: to whom it went, and whether this browser asked for it."""

    token: str
    email: str
    next_path: str
    is_same_browser: bool


@dataclass(frozen=True, slots=True)
class ProveView:
    """How this person can show who they are. ``connected`` are providers by name."""

    done_path: str
    has_password: bool
    connected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProfileView:
    """One's name, look and credits. ``reserved`` credits are held for tasks under way."""

    section: str
    name: str
    email: str
    balance: int
    available: int
    reserved: int
    themes: tuple[tuple[str, str, str], ...]  # value, name, icon
    accents: tuple[Choice, ...]
    theme: str
    accent: str
    max_avatar_bytes: int


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A browser that is signed in."""

    id: str
    device: str
    icon: str
    method: str
    created_at: datetime
    last_used_at: datetime
    is_here: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A provider of identities, and the account there that is connected, if one is."""

    slug: str
    name: str
    is_offered: bool
    is_connected: bool
    email: str
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class SecurityView:
    """``proof_lasts_s``: for how many seconds more the last proof of who one is counts."""

    section: str
    proof_lasts_s: int
    has_password: bool
    password_set_at: datetime | None
    elsewhere: tuple[Elsewhere, ...]
    sessions: tuple[SessionLine, ...]
    trouble: str


@dataclass(frozen=True, slots=True)
class KeyLine:
    """An API key. ``hint`` is how it begins; ``scopes`` are names for people."""

    id: str
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeysView:
    section: str
    keys: tuple[KeyLine, ...]
    scopes: tuple[Choice, ...]
    lifetimes: tuple[Choice, ...]
    most: int


@dataclass(frozen=True, slots=True)
class ExportLine:
    """A copy of one's data: being made, to be fetched, or over; ``left_out`` counts files."""

    id: str
    state: str
    size: str
    left_out: int
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class DataView:
    section: str
    exports: tuple[ExportLine, ...]
    email: str
    deletion_due_at: datetime | None
    grace_days: int


AccountView = (
    SignInView
    | ConfirmView
    | AskView
    | LinkView
    | ProveView
    | ProfileView
    | SecurityView
    | KeysView
    | DataView
)
