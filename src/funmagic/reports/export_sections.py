"""What of the tables is a person's own, and how an export shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic.alias_generators import to_camel
from sqlalchemy import TextClause, text

NIL: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Section:
    """One list of ``data.json``. ``statement`` answers ``key`` and ``entry`` of the rows behind
    ``:after``, at most ``:batch``; ``before_first`` is the ``:after`` to begin with."""

    name: str
    statement: TextClause
    before_first: str


def _section(
    name: str,
    columns: Iterable[str],
    computed: dict[str, str] | None = None,
    *,
    source: str,
    owner: str = "user_id = :user_id",
    key: str = "id",
    key_type: str = "uuid",
) -> Section:
    """``columns`` are told under their own names in camelCase, ``computed`` maps further names to
    SQL; ``owner`` is what makes a row the person's."""
    entries = {to_camel(column.rpartition(".")[2]): column for column in columns}
    entries |= computed or {}
    fields = ", ".join(f"'{field}', {column}" for field, column in entries.items())
    return Section(
        name,
        text(f"""
            SELECT CAST({key} AS text) AS key, jsonb_build_object({fields}) AS entry
              FROM {source}
             WHERE ({owner}) AND {key} > CAST(CAST(:after AS text) AS {key_type})
             ORDER BY {key} LIMIT :batch
        """),  # noqa: S608 - our own constants
        NIL if key_type == "uuid" else "0",
    )


def _section_of_tools(name: str, table: str, *columns: str) -> Section:
    """What there is once for a person and a tool."""
    return _section(
        name,
        [f"{table}.{column}" for column in columns],
        {"tool": "tools.slug"},
        source=f"{table} JOIN tools ON tools.id = tool_id",
        key="tool_id",
    )


SECTIONS: Final = (
    _section(
        "profile",
        (
            *("id", "email", "name", "role", "locale", "theme", "accent", "email_verified_at"),
            *("password_set_at", "deletion_due_at", "created_at"),
        ),
        {"hasPassword": "password_hash IS NOT NULL"},
        source="users",
        owner="id = :user_id",
    ),
    _section(
        "signIns",
        (
            *("method", "user_agent", "created_at", "authenticated_at", "last_used_at"),
            "expires_at",
        ),
        source="sessions",
    ),
    _section(
        "connectedAccounts",
        ("provider", "subject", "email", "created_at", "last_used_at"),
        source="identities",
    ),
    _section(
        "keys",
        ("name", "hint", "created_at", "last_used_at", "expires_at", "revoked_at"),
        {"scopes": "to_jsonb(scopes)"},
        source="api_keys",
    ),
    _section(  # what an admin's act says besides may be about the admin
        "acts",
        ("action", "at"),
        {
            "byMe": "actor_id IS NOT DISTINCT FROM :user_id",
            "data": "CASE WHEN actor_id = :user_id THEN data END",
        },
        source="audit_log",
        owner="actor_id = :user_id"
        " OR subject_type = 'user' AND subject_id = CAST(CAST(:user_id AS uuid) AS text)",
    ),
    _section("credits", ("balance", "reserved", "owed"), source="credit_accounts", key="user_id"),
    _section(
        "ledger",
        (
            *("entry_no", "type", "amount", "reserved_delta", "owed_delta", "balance_after"),
            *("reserved_after", "description", "reference_type", "reference_id", "created_at"),
        ),
        source="credit_transactions",
        key="entry_no",
        key_type="bigint",
    ),
    _section(  # the tool's configuration is not theirs
        "tasks",
        (
            *("tasks.id", "parent_task_id", "status", "price_credits", "input", "output"),
            *("error_type", "error_message", "tasks.created_at", "completed_at"),
        ),
        {"tool": "tools.slug", "step": "tasks.config #>> '{steps,0,id}'"},
        source="tasks JOIN tools ON tools.id = tasks.tool_id",
        owner="tasks.user_id = :user_id",
        key="tasks.id",
    ),
    _section_of_tools("toolRuns", "tool_runs", "run_count", "first_run_at", "last_run_at"),
    _section_of_tools("ratings", "tool_ratings", "stars", "created_at", "updated_at"),
    _section_of_tools("bookmarks", "tool_bookmarks", "created_at"),
    _section(
        "files",
        (
            *("id", "kind", "source", "file_name", "content_type", "size_bytes", "width", "height"),
            *("task_id", "saved_at", "created_at"),
        ),
        source="assets",
        owner="user_id = :user_id AND status = 'ready' AND source <> 'media'",
    ),
)
