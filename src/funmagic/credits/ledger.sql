-- The ledger's verbs. One call is one act: it locks the account's row, looks the idempotency key
-- up, then moves credits and writes the entry. Two racers with one key therefore queue up at the
-- account, and the second reads the first one's entry.
--
-- Errors: MN402 not enough credits, MN403 entries are append-only, MN404 no such hold,
--         MN409 the key or hold id was used for something else, 22023 impossible amount.
-- A change here needs a new migration with its own copy of this file.

-- The hash of one entry: over the previous hash and everything the entry says.
CREATE OR REPLACE FUNCTION credit_entry_hash(p_entry credit_transactions) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(p_entry.prev_hash || convert_to(json_build_array(
        p_entry.user_id, p_entry.entry_no, p_entry.type,
        p_entry.amount, p_entry.reserved_delta, p_entry.owed_delta,
        p_entry.balance_after, p_entry.reserved_after,
        p_entry.description, p_entry.reference_type, p_entry.reference_id,
        p_entry.actor, p_entry.idempotency_key,
        (extract(epoch FROM p_entry.created_at) * 1000000)::bigint
    )::text, 'UTF8'))
$$;

-- Amounts are whole credits, at least one and at most a thousand million.
CREATE OR REPLACE FUNCTION credit_check_amount(p_amount bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_amount IS NULL OR p_amount NOT BETWEEN 1 AND 1000000000 THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('impossible amount of credits: %s', p_amount);
    END IF;
END
$$;

-- The account's row, locked until the transaction ends; opened where there is none yet.
CREATE OR REPLACE FUNCTION credit_lock_account(p_user uuid) RETURNS credit_accounts
LANGUAGE plpgsql AS $$
DECLARE
    v_account credit_accounts;
BEGIN
    SELECT * INTO v_account FROM credit_accounts WHERE user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO credit_accounts (user_id) VALUES (p_user) ON CONFLICT (user_id) DO NOTHING;
        SELECT * INTO v_account FROM credit_accounts WHERE user_id = p_user FOR UPDATE;
    END IF;
    RETURN v_account;
END
$$;

-- What the key did before, NULL where it is new. p_requested is the amount the caller asks for.
CREATE OR REPLACE FUNCTION credit_first_outcome(
    p_key text, p_user uuid, p_type text, p_requested bigint,
    p_reference_type text, p_reference_id text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_entry     credit_transactions;
    v_requested bigint;
BEGIN
    SELECT * INTO v_entry FROM credit_transactions WHERE idempotency_key = p_key;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_requested := CASE v_entry.type
        WHEN 'reservation' THEN v_entry.reserved_delta
        ELSE v_entry.amount - v_entry.owed_delta
    END;
    IF (v_entry.user_id, v_entry.type, v_requested)
            IS DISTINCT FROM (p_user, p_type, p_requested)
        OR (v_entry.reference_type, v_entry.reference_id)
            IS DISTINCT FROM (p_reference_type, p_reference_id)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'MN409',
            MESSAGE = 'this idempotency key was used for another movement';
    END IF;
    RETURN (v_entry.entry_no, v_entry.amount, v_entry.balance_after, v_entry.reserved_after, true);
END
$$;

-- Write one entry and move the account with it. The account must be locked by the caller.
CREATE OR REPLACE FUNCTION credit_write(
    p_user uuid, p_type text, p_amount bigint, p_reserved_delta bigint, p_owed_delta bigint,
    p_description text, p_reference_type text, p_reference_id text, p_actor text, p_key text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_account credit_accounts;
    v_entry   credit_transactions;
BEGIN
    SELECT * INTO STRICT v_account FROM credit_accounts WHERE user_id = p_user FOR UPDATE;
    v_entry.user_id := p_user;
    v_entry.entry_no := v_account.entry_no + 1;
    v_entry.type := p_type;
    v_entry.amount := p_amount;
    v_entry.reserved_delta := p_reserved_delta;
    v_entry.owed_delta := p_owed_delta;
    v_entry.balance_after := v_account.balance + p_amount;
    v_entry.reserved_after := v_account.reserved + p_reserved_delta;
    v_entry.description := p_description;
    v_entry.reference_type := p_reference_type;
    v_entry.reference_id := p_reference_id;
    v_entry.actor := p_actor;
    v_entry.idempotency_key := p_key;
    v_entry.prev_hash := v_account.head_hash;
    v_entry.created_at := clock_timestamp();
    v_entry.hash := credit_entry_hash(v_entry);

    INSERT INTO credit_transactions VALUES (v_entry.*) ON CONFLICT (idempotency_key) DO NOTHING;
    IF NOT FOUND THEN  -- another account's racer took the key a moment ago
        RAISE EXCEPTION USING ERRCODE = 'MN409',
            MESSAGE = 'this idempotency key was used for another movement';
    END IF;
    UPDATE credit_accounts
       SET balance = balance + p_amount,
           reserved = reserved + p_reserved_delta,
           owed = owed + p_owed_delta,
           entry_no = v_entry.entry_no,
           head_hash = v_entry.hash
     WHERE user_id = p_user;
    RETURN (v_entry.entry_no, p_amount, v_entry.balance_after, v_entry.reserved_after, false);
END
$$;

-- Whatever has become available pays what is owed before it can be spent.
CREATE OR REPLACE FUNCTION credit_repay(p_user uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_account credit_accounts;
    v_repaid  bigint;
BEGIN
    SELECT * INTO STRICT v_account FROM credit_accounts WHERE user_id = p_user FOR UPDATE;
    v_repaid := least(v_account.owed, v_account.balance - v_account.reserved);
    IF v_repaid > 0 THEN
        PERFORM credit_write(p_user, 'admin_adjust', -v_repaid, 0, -v_repaid,
            'Repayment of credits owed', NULL, NULL, 'system', NULL);
    END IF;
END
$$;

-- Give credits: a purchase, a bonus, the welcome, or credits given back.
CREATE OR REPLACE FUNCTION credit_grant(
    p_user uuid, p_amount bigint, p_type text, p_key text, p_description text,
    p_reference_type text, p_reference_id text, p_actor text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_movement credit_movement;
BEGIN
    PERFORM credit_check_amount(p_amount);
    IF p_type NOT IN ('purchase', 'bonus', 'welcome', 'refund') OR p_key IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = 'a grant is a purchase, bonus, welcome or refund, and has a key';
    END IF;
    PERFORM credit_lock_account(p_user);
    v_movement := credit_first_outcome(
        p_key, p_user, p_type, p_amount, p_reference_type, p_reference_id);
    IF v_movement.entry_no IS NOT NULL THEN
        RETURN v_movement;
    END IF;
    v_movement := credit_write(p_user, p_type, p_amount, 0, 0, p_description,
        p_reference_type, p_reference_id, p_actor, p_key);
    PERFORM credit_repay(p_user);
    RETURN v_movement;
END
$$;

-- Correct an account by a difference, never to an absolute value. Down at most to Available: what
-- is beyond it is refused, or owed where p_owe_rest says so.
CREATE OR REPLACE FUNCTION credit_adjust(
    p_user uuid, p_delta bigint, p_owe_rest boolean, p_key text, p_description text,
    p_reference_type text, p_reference_id text, p_actor text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_account  credit_accounts;
    v_movement credit_movement;
    v_taken    bigint;
BEGIN
    PERFORM credit_check_amount(abs(p_delta));
    IF p_key IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'an adjustment has a key';
    END IF;
    v_account := credit_lock_account(p_user);
    v_movement := credit_first_outcome(
        p_key, p_user, 'admin_adjust', p_delta, p_reference_type, p_reference_id);
    IF v_movement.entry_no IS NOT NULL THEN
        RETURN v_movement;
    END IF;
    IF p_delta > 0 THEN
        v_movement := credit_write(p_user, 'admin_adjust', p_delta, 0, 0, p_description,
            p_reference_type, p_reference_id, p_actor, p_key);
        PERFORM credit_repay(p_user);
        RETURN v_movement;
    END IF;
    v_taken := least(-p_delta, v_account.balance - v_account.reserved);
    IF v_taken < -p_delta AND NOT p_owe_rest THEN
        RAISE EXCEPTION USING ERRCODE = 'MN402', MESSAGE = 'not enough credits';
    END IF;
    RETURN credit_write(p_user, 'admin_adjust', -v_taken, 0, -p_delta - v_taken, p_description,
        p_reference_type, p_reference_id, p_actor, p_key);
END
$$;

-- Reserve credits for one task. The hold's id is its idempotency key.
CREATE OR REPLACE FUNCTION credit_hold(
    p_hold uuid, p_user uuid, p_amount bigint, p_description text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_account  credit_accounts;
    v_movement credit_movement;
    v_key      text := 'hold:' || p_hold;
BEGIN
    PERFORM credit_check_amount(p_amount);
    v_account := credit_lock_account(p_user);
    v_movement := credit_first_outcome(
        v_key, p_user, 'reservation', p_amount, 'task', p_hold::text);
    IF v_movement.entry_no IS NOT NULL THEN
        RETURN v_movement;
    END IF;
    IF v_account.owed > 0 OR v_account.balance - v_account.reserved < p_amount THEN
        RAISE EXCEPTION USING ERRCODE = 'MN402', MESSAGE = 'not enough credits';
    END IF;
    INSERT INTO credit_holds (id, user_id, amount) VALUES (p_hold, p_user, p_amount)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'MN409', MESSAGE = 'this hold id belongs to another account';
    END IF;
    RETURN credit_write(p_user, 'reservation', 0, p_amount, 0, p_description,
        'task', p_hold::text, 'system', v_key);
END
$$;

-- Lock the account a hold belongs to and return its user.
CREATE OR REPLACE FUNCTION credit_lock_hold(p_hold uuid) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_user uuid;
BEGIN
    SELECT user_id INTO v_user FROM credit_holds WHERE id = p_hold;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'MN404', MESSAGE = 'no such hold';
    END IF;
    PERFORM credit_lock_account(v_user);
    RETURN v_user;
END
$$;

-- Charge a hold, all of it or p_amount; the rest is released. NULL where it was resolved before.
CREATE OR REPLACE FUNCTION credit_capture(
    p_hold uuid, p_amount bigint, p_description text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_user     uuid;
    v_hold     credit_holds;
    v_movement credit_movement;
BEGIN
    v_user := credit_lock_hold(p_hold);
    UPDATE credit_holds
       SET state = 'captured', captured = coalesce(p_amount, amount), resolved_at = clock_timestamp()
     WHERE id = p_hold AND state = 'open'
    RETURNING * INTO v_hold;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM credit_check_amount(v_hold.captured);
    IF v_hold.captured < v_hold.amount THEN
        PERFORM credit_write(v_user, 'release', 0, v_hold.captured - v_hold.amount, 0,
            p_description, 'task', p_hold::text, 'system', 'release:' || p_hold);
    END IF;
    v_movement := credit_write(v_user, 'usage', -v_hold.captured, -v_hold.captured, 0,
        p_description, 'task', p_hold::text, 'system', 'usage:' || p_hold);
    PERFORM credit_repay(v_user);
    RETURN v_movement;
END
$$;

-- Let a hold go uncharged. NULL where it was resolved before.
CREATE OR REPLACE FUNCTION credit_release(
    p_hold uuid, p_description text
) RETURNS credit_movement
LANGUAGE plpgsql AS $$
DECLARE
    v_user     uuid;
    v_amount   bigint;
    v_movement credit_movement;
BEGIN
    v_user := credit_lock_hold(p_hold);
    UPDATE credit_holds
       SET state = 'released', resolved_at = clock_timestamp()
     WHERE id = p_hold AND state = 'open'
    RETURNING amount INTO v_amount;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_movement := credit_write(v_user, 'release', 0, -v_amount, 0, p_description,
        'task', p_hold::text, 'system', 'release:' || p_hold);
    PERFORM credit_repay(v_user);
    RETURN v_movement;
END
$$;

-- Entries are never changed nor removed, not even by the tables' owner.
CREATE OR REPLACE FUNCTION credit_refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'MN403',
        MESSAGE = format('%s on %s: ledger entries are append-only', TG_OP, TG_TABLE_NAME);
END
$$;
