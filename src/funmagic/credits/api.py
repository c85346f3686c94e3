"""JSON of a person's own credits."""

from __future__ import annotations

from litestar import Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from funmagic.accounts.models import User
from funmagic.core.http import CamelModel
from funmagic.core.paging import DEFAULT_LIMIT, Page
from funmagic.core.resources import Resources
from funmagic.credits import service


class CreditsView(CamelModel):
    """Whole credits. ``available`` is what can be spent: balance less what is reserved."""

    balance: int
    reserved: int
    available: int
    owed: int

    @classmethod
    def of(cls, found: service.Balance) -> CreditsView:
        return cls(
            balance=found.balance,
            reserved=found.reserved,
            available=found.available,
            owed=found.owed,
        )


@get("/")
async def show_credits(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> CreditsView:
    """The credits of whoever is signed in."""
    async with resources.db.transaction() as session:
        return CreditsView.of(await service.balance_of(session, user.id))


@get("/transactions")
async def list_transactions(
    user: NamedDependency[User],
    resources: NamedDependency[Resources],
    cursor: FromQuery[str | None] = None,
    limit: FromQuery[int] = DEFAULT_LIMIT,
) -> Page[service.TransactionView]:
    """Every movement of one's own credits, newest first."""
    async with resources.db.transaction() as session:
        return await service.transactions_of(session, user.id, cursor=cursor, limit=limit)


router = Router(
    "/api/credits",
    route_handlers=[show_credits, list_transactions],
    opt={"scope": "credits:read"},
)
