"""What of the tables is a person's own, and how an export shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

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
    entries: Mapping[str, str],
    *,
    source: str,
    owner: str = "user_id = :user_id",
    key: str = "id",
    key_type: str = "uuid",
) -> Section:
    """``entries`` maps an entry's JSON names to SQL; ``owner`` is what makes a row the person's."""
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


SECTIONS: Final = (
    _section(
        "profile",
        {
            "id": "id",
            "email": "email",
            "name": "name",
            "role": "role",
            "locale": "locale",
            "theme": "theme",
            "accent": "accent",
            "emailVerifiedAt": "email_verified_at",
            "hasPassword": "password_hash IS NOT NULL",
            "passwordSetAt": "password_set_at",
            "deletionDueAt": "deletion_due_at",
            "createdAt": "created_at",
        },
        source="users",
        owner="id = :user_id",
    ),
    _section(
        "signIns",
        {
            "method": "method",
            "userAgent": "user_agent",
            "createdAt": "created_at",
            "authenticatedAt": "authenticated_at",
            "lastUsedAt": "last_used_at",
            "expiresAt": "expires_at",
        },
        source="sessions",
    ),
    _section(
        "connectedAccounts",
        {
            "provider": "provider",
            "subject": "subject",
            "email": "email",
            "createdAt": "created_at",
            "lastUsedAt": "last_used_at",
        },
        source="identities",
    ),
    _section(
        "keys",
        {
            "name": "name",
            "hint": "hint",
            "scopes": "to_jsonb(scopes)",
            "createdAt": "created_at",
            "lastUsedAt": "last_used_at",
            "expiresAt": "expires_at",
            "revokedAt": "revoked_at",
        },
        source="api_keys",
    ),
    _section(  # what an admin's act says besides may be about the admin
        "acts",
        {
            "action": "action",
            "at": "at",
            "byMe": "actor_id IS NOT DISTINCT FROM :user_id",
            "data": "CASE WHEN actor_id = :user_id THEN data END",
        },
        source="audit_log",
        owner="actor_id = :user_id"
        " OR subject_type = 'user' AND subject_id = CAST(CAST(:user_id AS uuid) AS text)",
    ),
    _section(
        "credits",
        {"balance": "balance", "reserved": "reserved", "owed": "owed"},
        source="credit_accounts",
        key="user_id",
    ),
    _section(
        "ledger",
        {
            "entryNo": "entry_no",
            "type": "type",
            "amount": "amount",
            "reservedDelta": "reserved_delta",
            "owedDelta": "owed_delta",
            "balanceAfter": "balance_after",
            "reservedAfter": "reserved_after",
            "description": "description",
            "referenceType": "reference_type",
            "referenceId": "reference_id",
            "createdAt": "created_at",
        },
        source="credit_transactions",
        key="entry_no",
        key_type="bigint",
    ),
    _section(  # the tool's configuration is not theirs
        "tasks",
        {
            "id": "tasks.id",
            "tool": "tools.slug",
            "step": "tasks.config #>> '{steps,0,id}'",
            "parentTaskId": "parent_task_id",
            "status": "status",
            "priceCredits": "price_credits",
            "input": "input",
            "output": "output",
            "errorType": "error_type",
            "errorMessage": "error_message",
            "createdAt": "tasks.created_at",
            "completedAt": "completed_at",
        },
        source="tasks JOIN tools ON tools.id = tasks.tool_id",
        owner="tasks.user_id = :user_id",
        key="tasks.id",
    ),
    _section(
        "toolRuns",
        {
            "tool": "tools.slug",
            "runCount": "run_count",
            "firstRunAt": "first_run_at",
            "lastRunAt": "last_run_at",
        },
        source="tool_runs JOIN tools ON tools.id = tool_id",
        key="tool_id",
    ),
    _section(
        "ratings",
        {
            "tool": "tools.slug",
            "stars": "stars",
            "createdAt": "tool_ratings.created_at",
            "updatedAt": "tool_ratings.updated_at",
        },
        source="tool_ratings JOIN tools ON tools.id = tool_id",
        key="tool_id",
    ),
    _section(
        "bookmarks",
        {"tool": "tools.slug", "createdAt": "tool_bookmarks.created_at"},
        source="tool_bookmarks JOIN tools ON tools.id = tool_id",
        key="tool_id",
    ),
    _section(
        "files",
        {
            "id": "id",
            "kind": "kind",
            "source": "source",
            "fileName": "file_name",
            "contentType": "content_type",
            "sizeBytes": "size_bytes",
            "width": "width",
            "height": "height",
            "taskId": "task_id",
            "savedAt": "saved_at",
            "createdAt": "created_at",
        },
        source="assets",
        owner="user_id = :user_id AND status = 'ready' AND source <> 'media'",
    ),
)
