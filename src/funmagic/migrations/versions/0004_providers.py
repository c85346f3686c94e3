"""Providers and the record of every call to them."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PROVIDERS = """
CREATE TABLE providers (
    id                    uuid NOT NULL CONSTRAINT pk_providers PRIMARY KEY,
    key                   text NOT NULL,
    label                 text NOT NULL,
    is_enabled            boolean NOT NULL DEFAULT true,
    base_url              text,
    credentials_encrypted bytea,
    config                jsonb NOT NULL DEFAULT '{}',
    health_ok             boolean,
    health_message        text,
    health_checked_at     timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_providers_key UNIQUE (key)
)
"""

PROVIDER_CALLS = """
CREATE TABLE provider_calls (
    id              uuid NOT NULL CONSTRAINT pk_provider_calls PRIMARY KEY,
    task_id         uuid NOT NULL,
    step_id         text NOT NULL,
    call_no         integer NOT NULL,
    provider_key    text NOT NULL,
    model           text NOT NULL,
    fence           bigint NOT NULL,
    state           text NOT NULL DEFAULT 'intent',
    handle          jsonb,
    request         jsonb NOT NULL DEFAULT '{}',
    response        jsonb,
    meta            jsonb NOT NULL DEFAULT '{}',
    cost_usd_micros bigint NOT NULL DEFAULT 0,
    error_trouble   text,
    error_message   text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    submitted_at    timestamptz,
    finished_at     timestamptz,
    CONSTRAINT uq_provider_calls_task_id_step_id_call_no UNIQUE (task_id, step_id, call_no),
    CONSTRAINT ck_provider_calls_state
        CHECK (state IN ('intent', 'submitted', 'done', 'failed', 'abandoned')),
    CONSTRAINT ck_provider_calls_call_no CHECK (call_no >= 1),
    CONSTRAINT ck_provider_calls_cost CHECK (cost_usd_micros >= 0),
    CONSTRAINT ck_provider_calls_handle CHECK (state <> 'submitted' OR handle IS NOT NULL),
    CONSTRAINT ck_provider_calls_finished
        CHECK ((state IN ('intent', 'submitted')) = (finished_at IS NULL))
)
"""


def upgrade() -> None:
    op.execute(PROVIDERS)
    op.execute(PROVIDER_CALLS)


def downgrade() -> None:
    op.execute("DROP TABLE provider_calls")
    op.execute("DROP TABLE providers")
