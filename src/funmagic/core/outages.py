"""What counts as PostgreSQL being away, by whichever way it was asked."""

from __future__ import annotations

from typing import Final

import asyncpg

# Server-side refusals that say nothing about the statement: connection lost, no resources, shutting
# down or starting, lock or statement timeout, deadlock, serialisation, idle in transaction.
# PostgreSQL documentation, appendix A, error codes.
PASSING_SQLSTATES: Final = ("08", "53", "57P0", "55P03", "57014", "40P01", "40001", "25P03")

# What the driver says of a connection that is gone, or whose end it is just hearing of; of one that
# is open, they are mistakes in its use.
LOST: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)


class DatabaseAway(Exception):
    """PostgreSQL cannot be reached or cannot serve now. The same work may succeed later."""


def is_passing(sqlstate: str | None) -> bool:
    """Whether an error's code tells of the server's state rather than of the statement."""
    return (sqlstate or "").startswith(PASSING_SQLSTATES)
