"""A person's credits and every movement of them."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts.models import User
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.credits import service as credits
from funmagic.credits.service import TransactionView
from funmagic.web.contexts import CreditsView, Entry
from funmagic.web.pages import AnyRequest, as_viewer, drawn, known_locale, page_of

PAGE_ROWS: Final = 20

# Type to its name and icon.
KINDS: Final = {
    "purchase": (N_("Purchase"), "shopping-bag"),
    "bonus": (N_("Bonus"), "sparkles"),
    "welcome": (N_("Welcome gift"), "gift"),
    "reservation": (N_("Held for a task"), "hourglass"),
    "release": (N_("Freed again"), "undo-2"),
    "usage": (N_("Used"), "wand-sparkles"),
    "refund": (N_("Refund"), "rotate-ccw"),
    "admin_adjust": (N_("Correction"), "scale"),
}


@get("/{locale:str}/credits", include_in_schema=False)
async def show_credits(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    cursor: FromQuery[str | None] = None,
) -> Template | Redirect:
    """Balance and history, newest first; signed-out visitors sign in first."""
    known_locale(locale)
    if user_or_none is None:
        return Redirect(f"/{locale}/sign-in?next=/{locale}/credits", status_code=303)
    async with resources.db.transaction() as session:
        balance = await credits.balance_of(session, user_or_none.id)
        found = await credits.transactions_of(
            session, user_or_none.id, cursor=cursor, limit=PAGE_ROWS
        )
    view = CreditsView(
        available=balance.available,
        reserved=balance.reserved,
        owed=balance.owed,
        entries=tuple(_entry(item, locale) for item in found.items),
        older_path=f"/{locale}/credits?cursor={found.next_cursor}" if found.next_cursor else None,
        is_first_page=cursor is None,
    )
    viewer = as_viewer(user_or_none, balance.available)
    return drawn(request, "pages/credits.html", page_of(request, viewer), view)


def _entry(item: TransactionView, locale: str) -> Entry:
    kind, icon = KINDS.get(item.type, (item.type, "coins"))
    return Entry(
        kind=translate(locale, kind),
        icon=icon,
        description=translate(locale, item.description),
        amount=item.amount,
        held=item.reserved_delta,
        balance_after=item.balance_after,
        at=item.created_at,
    )
