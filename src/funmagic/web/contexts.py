"""What templates may read. A template decides nothing about money or rights: it is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from funmagic.web.account_contexts import AccountView
from funmagic.web.info_contexts import ArticleView, HelpView, PricingView
from funmagic.web.shop_contexts import CatalogView, HomeView
from funmagic.web.tool_contexts import BookmarksView, ToolView
from funmagic.web.tool_contexts import Tone as Tone


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who is signed in. ``available`` is whole credits that can be spent; ``deletion_due_at`` is
    when the account goes, where its owner asked for that."""

    email: str
    available: int
    is_admin: bool = False
    name: str = ""
    avatar_url: str | None = None
    theme: str = "system"
    accent: str = "violet"
    deletion_due_at: datetime | None = None

    @property
    def initial(self) -> str:
        return (self.name or self.email)[:1].upper()


@dataclass(frozen=True, slots=True)
class WayIn:
    """Another company whose accounts sign people in here; its mark is ``brand_mark(slug)``."""

    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class Language:
    """One entry of the language switch; ``path`` is this page in that language. ``region`` is it
    with the region most of its readers are in, as Open Graph wants it: ``en_US``."""

    code: str
    name: str
    path: str
    region: str


@dataclass(frozen=True, slots=True)
class Page:
    """What every page's frame shows. ``path`` begins with the locale and carries the query.

    ``public_path`` is the page's address without language and without what does not change it, such
    as ``/tools``; None where a page is not for everybody and so not for search engines.
    """

    locale: str
    path: str
    viewer: Viewer | None
    languages: tuple[Language, ...]
    dev_inbox: bool
    ways: tuple[WayIn, ...] = ()
    knows_viewer: bool = True  # False on error pages: who asks was not looked up
    sign_in_lifetime_min: int = 10
    origin: str = ""
    public_path: str | None = None

    def address_in(self, code: str) -> str:
        """Where search engines find a public page in the language ``code``."""
        return f"{self.origin}/{code}{self.public_path}"


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
    """An error page. ``title`` and ``message`` are already in the page's language; ``can_search``
    where what was looked for may be found elsewhere."""

    status: int
    title: str
    message: str
    icon: str
    retry_path: str | None
    retry_after_s: int | None = None
    can_search: bool = False


View = (
    HomeView
    | CatalogView
    | ToolView
    | BookmarksView
    | AccountView
    | CreditsView
    | InboxView
    | MailView
    | ErrorView
    | HelpView
    | PricingView
    | ArticleView
)


def context(page: Page, view: View) -> dict[str, Any]:
    """The two names a template knows."""
    return {"page": page, "view": view}
