"""The shop window: translated words, search, ratings, bookmarks, who ran what, banners."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

RATINGS = """
CREATE TABLE tool_ratings (
    user_id    uuid NOT NULL CONSTRAINT fk_tool_ratings_user_id
                    REFERENCES users ON DELETE CASCADE,
    tool_id    uuid NOT NULL CONSTRAINT fk_tool_ratings_tool_id
                    REFERENCES tools ON DELETE CASCADE,
    stars      smallint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_tool_ratings PRIMARY KEY (user_id, tool_id),
    CONSTRAINT ck_tool_ratings_stars CHECK (stars BETWEEN 1 AND 5)
)
"""
BOOKMARKS = """
CREATE TABLE tool_bookmarks (
    user_id    uuid NOT NULL CONSTRAINT fk_tool_bookmarks_user_id
                    REFERENCES users ON DELETE CASCADE,
    tool_id    uuid NOT NULL CONSTRAINT fk_tool_bookmarks_tool_id
                    REFERENCES tools ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_tool_bookmarks PRIMARY KEY (user_id, tool_id)
)
"""
RUNS = """
CREATE TABLE tool_runs (
    user_id      uuid NOT NULL CONSTRAINT fk_tool_runs_user_id
                      REFERENCES users ON DELETE CASCADE,
    tool_id      uuid NOT NULL CONSTRAINT fk_tool_runs_tool_id
                      REFERENCES tools ON DELETE CASCADE,
    run_count    bigint NOT NULL DEFAULT 1,
    first_run_at timestamptz NOT NULL DEFAULT now(),
    last_run_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_tool_runs PRIMARY KEY (user_id, tool_id),
    CONSTRAINT ck_tool_runs_run_count CHECK (run_count > 0)
)
"""
# What an erased person ran is theirs no more.
EARLIER_RUNS = """
INSERT INTO tool_runs (user_id, tool_id, run_count, first_run_at, last_run_at)
SELECT tasks.user_id, tasks.tool_id, count(*), min(tasks.completed_at), max(tasks.completed_at)
  FROM tasks JOIN users ON users.id = tasks.user_id
 WHERE tasks.status = 'completed' AND users.erased_at IS NULL
 GROUP BY tasks.user_id, tasks.tool_id
"""
BANNERS = """
CREATE TABLE banners (
    id           uuid CONSTRAINT pk_banners PRIMARY KEY,
    placement    varchar(4) NOT NULL,
    title        text NOT NULL,
    text         text NOT NULL DEFAULT '',
    badge        text NOT NULL DEFAULT '',
    link         text NOT NULL,
    link_label   text NOT NULL DEFAULT '',
    picture      text,
    translations jsonb NOT NULL DEFAULT '{}',
    position     integer NOT NULL DEFAULT 0,
    starts_at    timestamptz,
    ends_at      timestamptz,
    is_active    boolean NOT NULL DEFAULT true,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_banners_placement CHECK (placement IN ('main', 'side')),
    CONSTRAINT ck_banners_link CHECK (link ~ '^(/([^/]|$)|https://)'),
    CONSTRAINT ck_banners_schedule CHECK (ends_at > starts_at),
    CONSTRAINT ck_banners_translations CHECK (jsonb_typeof(translations) = 'object')
)
"""
INDEXES = """
CREATE INDEX ix_tool_ratings_tool_id ON tool_ratings (tool_id);
CREATE INDEX ix_tool_bookmarks_newest ON tool_bookmarks (user_id, created_at, tool_id);
CREATE INDEX ix_tool_bookmarks_tool_id ON tool_bookmarks (tool_id);
CREATE INDEX ix_tool_runs_tool_id ON tool_runs (tool_id);
CREATE INDEX ix_banners_shown ON banners (placement, position, id) WHERE is_active;
DROP INDEX ix_tools_active;
CREATE INDEX ix_tools_popular ON tools (usage_count, id) WHERE is_active;
CREATE INDEX ix_tools_newest ON tools (created_at, id) WHERE is_active;
CREATE INDEX ix_tools_top_rated ON tools (rating_score, id) WHERE is_active;
CREATE INDEX ix_tools_type_popular ON tools (tool_type_id, usage_count, id) WHERE is_active;
CREATE INDEX ix_tools_type_newest ON tools (tool_type_id, created_at, id) WHERE is_active;
CREATE INDEX ix_tools_type_top_rated ON tools (tool_type_id, rating_score, id) WHERE is_active;
CREATE INDEX ix_tools_featured ON tools (usage_count, id) WHERE is_active AND is_featured;
CREATE INDEX ix_tools_title_words ON tools USING gin (title_words);
CREATE INDEX ix_tools_all_words ON tools USING gin (all_words);
CREATE INDEX ix_tools_folded_title ON tools USING gin (folded_title gin_trgm_ops);
"""
DOWN = """
DROP TABLE banners;
DROP TABLE tool_runs;
DROP TABLE tool_bookmarks;
DROP TABLE tool_ratings;
DROP FUNCTION catalog_count_rating();
ALTER TABLE tools
    DROP COLUMN title_words, DROP COLUMN all_words, DROP COLUMN folded_title,
    DROP COLUMN rating_count, DROP COLUMN rating_sum, DROP COLUMN rating_score,
    DROP COLUMN rating_counts, DROP COLUMN translations;
ALTER TABLE tool_types DROP COLUMN translations;
DROP FUNCTION catalog_query(text);
DROP FUNCTION catalog_vector(text);
DROP FUNCTION catalog_words(text);
DROP FUNCTION catalog_folded(text);
DROP FUNCTION catalog_texts(jsonb, text);
CREATE INDEX ix_tools_active ON tools (tool_type_id, title) WHERE is_active
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for statement in (RATINGS, BOOKMARKS, RUNS, EARLIER_RUNS, BANNERS):
        op.execute(statement)
    connection = op.get_bind()
    for statement in _search_and_counts():
        connection.exec_driver_sql(statement)
    _each(INDEXES)


def downgrade() -> None:
    _each(DOWN)


def _each(statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            op.execute(statement)


def _search_and_counts() -> list[str]:
    """The functions as they were at this revision, and the columns that live by them."""
    source = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return [part for part in source.split("\n\n\n") if part.strip()]
