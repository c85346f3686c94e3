"""The credit ledger: accounts, holds, entries, and the functions that are its only way in."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ACCOUNTS = """
CREATE TABLE credit_accounts (
    user_id   uuid NOT NULL,
    balance   bigint NOT NULL DEFAULT 0,
    reserved  bigint NOT NULL DEFAULT 0,
    owed      bigint NOT NULL DEFAULT 0,
    entry_no  bigint NOT NULL DEFAULT 0,
    head_hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    CONSTRAINT pk_credit_accounts PRIMARY KEY (user_id),
    CONSTRAINT fk_credit_accounts_user_id
        FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT ck_credit_accounts_reserved CHECK (0 <= reserved AND reserved <= balance),
    CONSTRAINT ck_credit_accounts_owed CHECK (owed >= 0)
)
"""

# Holds and entries point at the account, which points at the user: the account's row is locked
# anyway, so writing an entry takes no lock on the user's.
HOLDS = """
CREATE TABLE credit_holds (
    id          uuid NOT NULL,
    user_id     uuid NOT NULL,
    amount      bigint NOT NULL,
    captured    bigint NOT NULL DEFAULT 0,
    state       text NOT NULL DEFAULT 'open',
    opened_at   timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CONSTRAINT pk_credit_holds PRIMARY KEY (id),
    CONSTRAINT fk_credit_holds_user_id
        FOREIGN KEY (user_id) REFERENCES credit_accounts (user_id) ON DELETE RESTRICT,
    CONSTRAINT ck_credit_holds_amount CHECK (amount > 0),
    CONSTRAINT ck_credit_holds_state CHECK (state IN ('open', 'captured', 'released')),
    CONSTRAINT ck_credit_holds_captured CHECK (
        CASE state WHEN 'captured' THEN captured BETWEEN 1 AND amount ELSE captured = 0 END),
    CONSTRAINT ck_credit_holds_resolved CHECK ((state = 'open') = (resolved_at IS NULL))
)
"""

OPEN_HOLDS = "CREATE INDEX ix_credit_holds_open ON credit_holds (user_id) WHERE state = 'open'"

TRANSACTIONS = """
CREATE TABLE credit_transactions (
    user_id         uuid NOT NULL,
    entry_no        bigint NOT NULL,
    type            text NOT NULL,
    amount          bigint NOT NULL,
    reserved_delta  bigint NOT NULL,
    owed_delta      bigint NOT NULL,
    balance_after   bigint NOT NULL,
    reserved_after  bigint NOT NULL,
    description     text NOT NULL,
    reference_type  text,
    reference_id    text,
    actor           text NOT NULL,
    idempotency_key text,
    prev_hash       bytea NOT NULL,
    hash            bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT pk_credit_transactions PRIMARY KEY (user_id, entry_no),
    CONSTRAINT fk_credit_transactions_user_id
        FOREIGN KEY (user_id) REFERENCES credit_accounts (user_id) ON DELETE RESTRICT,
    CONSTRAINT uq_credit_transactions_idempotency_key UNIQUE (idempotency_key),
    CONSTRAINT ck_credit_transactions_after
        CHECK (0 <= reserved_after AND reserved_after <= balance_after),
    CONSTRAINT ck_credit_transactions_type CHECK (CASE type
        WHEN 'purchase' THEN amount > 0 AND reserved_delta = 0 AND owed_delta = 0
        WHEN 'bonus' THEN amount > 0 AND reserved_delta = 0 AND owed_delta = 0
        WHEN 'welcome' THEN amount > 0 AND reserved_delta = 0 AND owed_delta = 0
        WHEN 'refund' THEN amount > 0 AND reserved_delta = 0 AND owed_delta = 0
        WHEN 'reservation' THEN amount = 0 AND reserved_delta > 0 AND owed_delta = 0
        WHEN 'release' THEN amount = 0 AND reserved_delta < 0 AND owed_delta = 0
        WHEN 'usage' THEN amount < 0 AND reserved_delta = amount AND owed_delta = 0
        WHEN 'admin_adjust' THEN reserved_delta = 0
        ELSE false END)
)
"""

MOVEMENT = """
CREATE TYPE credit_movement AS (
    entry_no bigint, amount bigint, balance_after bigint, reserved_after bigint, replayed boolean
)
"""

# The trigger holds against everybody; the grant says the same to whoever reads the catalog, and
# also to a table owner that is no superuser.
APPEND_ONLY = (
    """
    CREATE TRIGGER credit_transactions_append_only
        BEFORE UPDATE OR DELETE ON credit_transactions
        FOR EACH ROW EXECUTE FUNCTION credit_refuse_change()
    """,
    """
    CREATE TRIGGER credit_transactions_no_truncate
        BEFORE TRUNCATE ON credit_transactions
        FOR EACH STATEMENT EXECUTE FUNCTION credit_refuse_change()
    """,
    "ALTER TABLE credit_transactions ENABLE ALWAYS TRIGGER credit_transactions_append_only",
    "ALTER TABLE credit_transactions ENABLE ALWAYS TRIGGER credit_transactions_no_truncate",
    "REVOKE UPDATE, DELETE, TRUNCATE ON credit_transactions FROM PUBLIC",
    "REVOKE UPDATE, DELETE, TRUNCATE ON credit_transactions FROM CURRENT_USER",
)

FUNCTIONS = (
    "credit_release(uuid, text)",
    "credit_capture(uuid, bigint, text)",
    "credit_lock_hold(uuid)",
    "credit_hold(uuid, uuid, bigint, text)",
    "credit_adjust(uuid, bigint, boolean, text, text, text, text, text)",
    "credit_grant(uuid, bigint, text, text, text, text, text, text)",
    "credit_repay(uuid)",
    "credit_write(uuid, text, bigint, bigint, bigint, text, text, text, text, text)",
    "credit_first_outcome(text, uuid, text, bigint, text, text)",
    "credit_lock_account(uuid)",
    "credit_check_amount(bigint)",
    "credit_entry_hash(credit_transactions)",
)


def upgrade() -> None:
    for statement in (ACCOUNTS, HOLDS, OPEN_HOLDS, TRANSACTIONS, MOVEMENT):
        op.execute(statement)
    connection = op.get_bind()
    for function in _functions():
        connection.exec_driver_sql(function)
    for statement in APPEND_ONLY:
        op.execute(statement)


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP TABLE credit_transactions")
    op.execute("DROP FUNCTION credit_refuse_change()")
    op.execute("DROP TABLE credit_holds")
    op.execute("DROP TABLE credit_accounts")
    op.execute("DROP TYPE credit_movement")


def _functions() -> list[str]:
    """The functions as they were at this revision, one statement each (asyncpg takes no more)."""
    source = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return [part + "$$" for part in source.split("$$;\n") if part.strip()]
