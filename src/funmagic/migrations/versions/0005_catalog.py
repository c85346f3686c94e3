"""The catalog: tool types and tools."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TOOL_TYPES = """
CREATE TABLE tool_types (
    id           uuid NOT NULL CONSTRAINT pk_tool_types PRIMARY KEY,
    name         text NOT NULL,
    display_name text NOT NULL,
    sort_order   integer NOT NULL DEFAULT 0,
    is_active    boolean NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_tool_types_name UNIQUE (name),
    CONSTRAINT ck_tool_types_name CHECK (name ~ '^[a-z0-9]+(-[a-z0-9]+)*$')
)
"""

TOOLS = """
CREATE TABLE tools (
    id             uuid NOT NULL CONSTRAINT pk_tools PRIMARY KEY,
    slug           text NOT NULL,
    implementation text NOT NULL,
    tool_type_id   uuid NOT NULL,
    title          text NOT NULL,
    description    text NOT NULL,
    thumbnail      text,
    is_active      boolean NOT NULL DEFAULT true,
    is_featured    boolean NOT NULL DEFAULT false,
    config         jsonb NOT NULL,
    usage_count    bigint NOT NULL DEFAULT 0,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_tools_slug UNIQUE (slug),
    CONSTRAINT fk_tools_tool_type_id
        FOREIGN KEY (tool_type_id) REFERENCES tool_types (id),
    CONSTRAINT ck_tools_slug
        CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 80),
    CONSTRAINT ck_tools_config
        CHECK (coalesce(jsonb_typeof(config -> 'steps'), '') = 'object'),
    CONSTRAINT ck_tools_usage_count CHECK (usage_count >= 0)
)
"""


def upgrade() -> None:
    op.execute(TOOL_TYPES)
    op.execute(TOOLS)
    op.execute("CREATE INDEX ix_tools_active ON tools (tool_type_id, title) WHERE is_active")


def downgrade() -> None:
    op.execute("DROP TABLE tools")
    op.execute("DROP TABLE tool_types")
