"""Providers in order, settings of steps, vendors' models, pictures of tools, thumbnails."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# One provider a step becomes a list of one; the same in what open tasks were priced by.
TOOLS_UP = """
    UPDATE tools SET config = jsonb_set(config, '{steps}', (
        SELECT coalesce(jsonb_object_agg(key, jsonb_build_object(
            'priceCredits', value -> 'priceCredits',
            'providers', jsonb_build_array(value - 'priceCredits'),
            'settings', '{}'::jsonb)), '{}'::jsonb)
          FROM jsonb_each(config -> 'steps')))
"""
TASKS_UP = """
    UPDATE tasks SET config = jsonb_set(config, '{steps}', (
        SELECT jsonb_agg(jsonb_build_object(
            'id', value -> 'id', 'priceCredits', value -> 'priceCredits',
            'providers', jsonb_build_array(value - 'priceCredits' - 'id'),
            'settings', '{}'::jsonb))
          FROM jsonb_array_elements(config -> 'steps')))
     WHERE jsonb_array_length(config -> 'steps') > 0
"""
TOOLS_DOWN = """
    UPDATE tools SET config = jsonb_set(config, '{steps}', (
        SELECT coalesce(jsonb_object_agg(key,
               jsonb_build_object('priceCredits', value -> 'priceCredits')
               || (value -> 'providers' -> 0)), '{}'::jsonb)
          FROM jsonb_each(config -> 'steps')))
"""
TASKS_DOWN = """
    UPDATE tasks SET config = jsonb_set(config, '{steps}', (
        SELECT jsonb_agg(jsonb_build_object(
            'id', value -> 'id', 'priceCredits', value -> 'priceCredits')
            || (value -> 'providers' -> 0))
          FROM jsonb_array_elements(config -> 'steps')))
     WHERE jsonb_array_length(config -> 'steps') > 0
"""


def upgrade() -> None:
    op.execute("""
        ALTER TABLE providers
          ADD COLUMN credentials_set_at timestamptz,
          ADD COLUMN is_simulated boolean NOT NULL DEFAULT false,
          ADD COLUMN health_retiring jsonb NOT NULL DEFAULT '{}',
          ADD COLUMN health_listed jsonb NOT NULL DEFAULT '[]'
    """)
    op.execute("""
        UPDATE providers
           SET is_simulated = coalesce(config @> '{"simulated": true}', false),
               config = config - 'simulated',
               credentials_set_at = CASE WHEN credentials_encrypted IS NULL THEN NULL
                                         ELSE updated_at END
    """)
    op.execute("""
        ALTER TABLE assets
          ADD COLUMN thumbnail_key varchar(300),
          ADD COLUMN is_relief boolean NOT NULL DEFAULT false,
          DROP CONSTRAINT ck_assets_ck_assets_source,
          ADD CONSTRAINT ck_assets_source CHECK (source IN ('upload', 'output', 'media'))
    """)
    op.execute("CREATE INDEX ix_tasks_parent_task_id ON tasks (parent_task_id)")
    op.execute(TOOLS_UP)
    op.execute(TASKS_UP)


def downgrade() -> None:
    op.execute(TASKS_DOWN)
    op.execute(TOOLS_DOWN)
    op.execute("DROP INDEX ix_tasks_parent_task_id")
    op.execute("""
        ALTER TABLE assets
          DROP COLUMN thumbnail_key,
          DROP COLUMN is_relief,
          DROP CONSTRAINT ck_assets_source,
          ADD CONSTRAINT ck_assets_ck_assets_source CHECK (source IN ('upload', 'output'))
    """)
    op.execute("""
        UPDATE providers SET config = config || '{"simulated": true}' WHERE is_simulated
    """)
    op.execute("""
        ALTER TABLE providers
          DROP COLUMN credentials_set_at,
          DROP COLUMN is_simulated,
          DROP COLUMN health_retiring,
          DROP COLUMN health_listed
    """)
