"""The people of the demonstration: only `funmagic up` and the tests create them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class DemoUser:
    email: str
    name: str
    role: str


ADMIN = DemoUser("root@example.com", "Root", "super_admin")
DEMO_USERS = (DemoUser("ada@example.com", "Ada", "user"), ADMIN)


async def seed(session: AsyncSession) -> None:
    """Create the demo people that are missing; existing ones are left as they are."""
    from funmagic.accounts.service import sign_up_or_find  # late: `funmagic up` wants only names

    for person in DEMO_USERS:
        await sign_up_or_find(session, person.email, name=person.name, role=person.role)
