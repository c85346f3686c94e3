"""Every way in and back: passwords, sign-in by other accounts, keys for programs; mail that is sent
by a job; who did what."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

USERS = """
ALTER TABLE users
    ADD COLUMN password_hash   text,
    ADD COLUMN password_set_at timestamptz,
    ADD COLUMN avatar_key      text,
    ADD COLUMN theme           varchar(10) NOT NULL DEFAULT 'system',
    ADD COLUMN accent          varchar(20) NOT NULL DEFAULT 'violet',
    ADD COLUMN deletion_due_at timestamptz,
    ADD COLUMN erased_at       timestamptz,
    ADD CONSTRAINT ck_users_theme CHECK (theme IN ('system', 'light', 'dark'))
"""
DELETION_DUE = """
CREATE INDEX ix_users_deletion_due ON users (deletion_due_at)
 WHERE deletion_due_at IS NOT NULL AND erased_at IS NULL
"""
SESSIONS = """
ALTER TABLE sessions
    ADD COLUMN method           varchar(20) NOT NULL DEFAULT 'link',
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN rotated_at       timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN previous_hash    bytea,
    ADD CONSTRAINT uq_sessions_previous_hash UNIQUE (previous_hash),
    ADD CONSTRAINT ck_sessions_method
        CHECK (method IN ('link', 'password', 'google', 'facebook', 'apple'))
"""
# The mailed links of all purposes; the sign-in links of before are of the first.
LINKS = """
ALTER TABLE magic_links RENAME TO mailed_links
"""
LINKS_NAMES = (
    "ALTER TABLE mailed_links RENAME CONSTRAINT pk_magic_links TO pk_mailed_links",
    (
        "ALTER TABLE mailed_links RENAME CONSTRAINT uq_magic_links_token_hash"
        " TO uq_mailed_links_token_hash"
    ),
    "ALTER INDEX ix_magic_links_expires_at RENAME TO ix_mailed_links_expires_at",
)
LINKS_COLUMNS = """
ALTER TABLE mailed_links
    ADD COLUMN purpose varchar(20) NOT NULL DEFAULT 'sign_in',
    ADD COLUMN user_id uuid,
    ADD COLUMN data    jsonb NOT NULL DEFAULT '{}',
    ADD CONSTRAINT ck_mailed_links_purpose CHECK (purpose IN (
        'sign_in', 'confirm_account', 'reset_password', 'reauthenticate', 'change_email',
        'keep_email', 'link_identity')),
    ADD CONSTRAINT fk_mailed_links_user_id
        FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
"""
LINKS_INDEX = "CREATE INDEX ix_mailed_links_user_id ON mailed_links (user_id)"
DEVICES = """
CREATE TABLE devices (
    user_id      uuid NOT NULL,
    token_hash   bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_devices PRIMARY KEY (user_id, token_hash),
    CONSTRAINT fk_devices_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
)
"""
IDENTITIES = """
CREATE TABLE identities (
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    provider     varchar(20) NOT NULL,
    subject      varchar(255) NOT NULL,
    email        varchar(254),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_identities PRIMARY KEY (id),
    CONSTRAINT uq_identities_provider_subject UNIQUE (provider, subject),
    CONSTRAINT uq_identities_user_id_provider UNIQUE (user_id, provider),
    CONSTRAINT ck_identities_provider CHECK (provider IN ('google', 'facebook', 'apple')),
    CONSTRAINT fk_identities_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE
)
"""
OAUTH_ATTEMPTS = """
CREATE TABLE oauth_attempts (
    id           uuid NOT NULL,
    provider     varchar(20) NOT NULL,
    purpose      varchar(20) NOT NULL,
    user_id      uuid,
    state_hash   bytea NOT NULL,
    browser_hash bytea NOT NULL,
    sealed       bytea NOT NULL,
    answer       bytea,
    next_path    text NOT NULL,
    locale       varchar(10) NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    CONSTRAINT pk_oauth_attempts PRIMARY KEY (id),
    CONSTRAINT uq_oauth_attempts_state_hash UNIQUE (state_hash),
    CONSTRAINT ck_oauth_attempts_provider CHECK (provider IN ('google', 'facebook', 'apple')),
    CONSTRAINT ck_oauth_attempts_purpose CHECK (purpose IN ('sign_in', 'link', 'reauthenticate')),
    CONSTRAINT fk_oauth_attempts_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE
)
"""
OAUTH_ATTEMPTS_INDEXES = (
    "CREATE INDEX ix_oauth_attempts_expires_at ON oauth_attempts (expires_at)",
    "CREATE INDEX ix_oauth_attempts_user_id ON oauth_attempts (user_id)",
)
API_KEYS = """
CREATE TABLE api_keys (
    id           uuid NOT NULL,
    user_id      uuid NOT NULL,
    name         varchar(100) NOT NULL,
    hint         varchar(20) NOT NULL,
    token_hash   bytea NOT NULL,
    scopes       varchar(40)[] NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (id),
    CONSTRAINT uq_api_keys_token_hash UNIQUE (token_hash),
    CONSTRAINT fk_api_keys_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE
)
"""
API_KEYS_INDEX = "CREATE INDEX ix_api_keys_user_id ON api_keys (user_id)"
MAILS = """
CREATE TABLE mails (
    id         uuid NOT NULL,
    kind       varchar(40) NOT NULL,
    sealed     bytea,
    attempts   integer NOT NULL DEFAULT 0,
    last_error varchar(500) NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    sent_at    timestamptz,
    failed_at  timestamptz,
    CONSTRAINT pk_mails PRIMARY KEY (id)
)
"""
MAILS_INDEX = "CREATE INDEX ix_mails_created_at ON mails (created_at)"
AUDIT_LOG = """
CREATE TABLE audit_log (
    id           uuid NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    actor_id     uuid,
    action       varchar(60) NOT NULL,
    subject_type varchar(40) NOT NULL,
    subject_id   varchar(100) NOT NULL,
    data         jsonb NOT NULL DEFAULT '{}',
    request_id   varchar(64) NOT NULL DEFAULT '',
    CONSTRAINT pk_audit_log PRIMARY KEY (id)
)
"""
AUDIT_LOG_INDEXES = (
    "CREATE INDEX ix_audit_log_subject ON audit_log (subject_type, subject_id, id)",
    "CREATE INDEX ix_audit_log_actor_id ON audit_log (actor_id, id)",
)
DATA_EXPORTS = """
CREATE TABLE data_exports (
    id         uuid NOT NULL,
    user_id    uuid NOT NULL,
    state      varchar(20) NOT NULL DEFAULT 'pending',
    key        text,
    size_bytes bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    ready_at   timestamptz,
    expires_at timestamptz,
    CONSTRAINT pk_data_exports PRIMARY KEY (id),
    CONSTRAINT ck_data_exports_state CHECK (state IN ('pending', 'ready', 'failed', 'expired')),
    CONSTRAINT fk_data_exports_user_id FOREIGN KEY (user_id) REFERENCES users (id)
        ON DELETE CASCADE
)
"""
DATA_EXPORTS_INDEX = "CREATE INDEX ix_data_exports_user_id_id ON data_exports (user_id, id)"


def upgrade() -> None:
    for statement in (
        *(USERS, DELETION_DUE, SESSIONS),
        *(LINKS, *LINKS_NAMES, LINKS_COLUMNS, LINKS_INDEX),
        *(DEVICES, IDENTITIES, OAUTH_ATTEMPTS, *OAUTH_ATTEMPTS_INDEXES),
        *(API_KEYS, API_KEYS_INDEX, MAILS, MAILS_INDEX),
        *(AUDIT_LOG, *AUDIT_LOG_INDEXES, DATA_EXPORTS, DATA_EXPORTS_INDEX),
    ):
        op.execute(statement)


def downgrade() -> None:
    for table in (
        *("data_exports", "audit_log", "mails", "api_keys", "oauth_attempts", "identities"),
        "devices",
    ):
        op.execute(f"DROP TABLE {table}")
    op.execute("DELETE FROM mailed_links WHERE purpose <> 'sign_in'")
    op.execute(
        "ALTER TABLE mailed_links DROP COLUMN purpose, DROP COLUMN user_id, DROP COLUMN data"
    )
    op.execute("ALTER INDEX ix_mailed_links_expires_at RENAME TO ix_magic_links_expires_at")
    op.execute(
        "ALTER TABLE mailed_links RENAME CONSTRAINT uq_mailed_links_token_hash"
        " TO uq_magic_links_token_hash"
    )
    op.execute("ALTER TABLE mailed_links RENAME CONSTRAINT pk_mailed_links TO pk_magic_links")
    op.execute("ALTER TABLE mailed_links RENAME TO magic_links")
    op.execute(
        "ALTER TABLE sessions DROP COLUMN method, DROP COLUMN authenticated_at,"
        " DROP COLUMN rotated_at, DROP COLUMN previous_hash"
    )
    op.execute("DROP INDEX ix_users_deletion_due")
    op.execute(
        "ALTER TABLE users DROP COLUMN password_hash, DROP COLUMN password_set_at,"
        " DROP COLUMN avatar_key, DROP COLUMN theme, DROP COLUMN accent,"
        " DROP COLUMN deletion_due_at, DROP COLUMN erased_at"
    )
