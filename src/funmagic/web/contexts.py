"""What templates may read. A template decides nothing about money or rights: it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

# The stages of a tool's page, as the element ``tool-executor`` knows them.
Stage = Literal["idle", "running", "completed", "failed"]
Tone = Literal["neutral", "info", "success", "warning", "danger"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in. ``available`` is whole credits that can be spent."""

    email: str
    available: int
    is_admin: bool = False

    @property
    def initial(self) -> str:
        return self.email[:1].upper()


@dataclass(frozen=True, slots=True)
class Language:
    """One entry of the language switch; ``path`` is this page in that language."""

    code: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Page:
    """What every page's frame shows. ``path`` begins with the locale and carries the query."""

    locale: str
    path: str
    viewer: Viewer | None
    languages: tuple[Language, ...]
    dev_inbox: bool
    knows_viewer: bool = True  # False on error pages: who asks was not looked up
    sign_in_lifetime_min: int = 10


@dataclass(frozen=True, slots=True)
class ToolCard:
    """A tool on offer, in the page's language. ``picture`` is a name in the static manifest."""

    path: str
    title: str
    description: str
    price_credits: int
    picture: str | None


@dataclass(frozen=True, slots=True)
class HomeView:
    tools: tuple[ToolCard, ...]
    main_tool: ToolCard | None
    welcome_credits: int


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with its size in pixels."""

    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Run:
    """One of the viewer's tasks. ``status`` is what the badge says, ``at`` when it began."""

    id: str
    path: str
    status: str
    tone: Tone
    at: datetime
    picture: Picture | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The task the page opens with. Amounts are whole credits, ``percent`` 0 to 100."""

    id: str
    before: Picture | None
    after: Picture | None
    download_url: str
    percent: int | None
    error: str
    charged: int
    released: int
    available: int


@dataclass(frozen=True, slots=True)
class ToolView:
    """A tool's page. ``action`` is the button's verb phrase; the price stands beside it."""

    slug: str
    step: str
    field: str
    route: str
    max_bytes: int
    title: str
    description: str
    features: tuple[str, ...]
    action: str
    working: str
    price_credits: int
    is_before_after: bool
    stage: Stage
    shown: Shown | None
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class SignInView:
    """The sign-in page; ``sent_to`` once the mail is on its way."""

    next_path: str
    email: str = ""
    complaint: str = ""
    sent_to: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmView:
    """The page of a sign-in link. ``email`` None: it cannot be used (any more)."""

    token: str
    email: str | None
    next_path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the credit history. ``held`` is what it moved in or out of reserve."""

    kind: str
    icon: str
    description: str
    amount: int
    held: int
    balance_after: int
    at: datetime


@dataclass(frozen=True, slots=True)
class CreditsView:
    available: int
    reserved: int
    owed: int
    entries: tuple[Entry, ...]
    older_path: str | None
    is_first_page: bool


@dataclass(frozen=True, slots=True)
class MailLine:
    """A mail in the development inbox's list."""

    path: str
    to: str
    subject: str
    at: datetime


@dataclass(frozen=True, slots=True)
class InboxView:
    mails: tuple[MailLine, ...]


@dataclass(frozen=True, slots=True)
class MailView:
    """One mail. ``pieces`` are its text, in order; a piece with an address is a link."""

    sender: str
    to: str
    subject: str
    at: datetime
    pieces: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class ErrorView:
    """An error page. ``title`` and ``message`` are already in the page's language."""

    status: int
    title: str
    message: str
    icon: str
    retry_path: str | None


View = (
    HomeView | ToolView | SignInView | ConfirmView | CreditsView | InboxView | MailView | ErrorView
)


def context(page: Page, view: View) -> dict[str, Any]:
    """The two names a template knows."""
    return {"page": page, "view": view}
