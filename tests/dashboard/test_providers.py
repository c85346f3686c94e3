"""Providers by the back office's JSON: credentials go in and never come out."""

from __future__ import annotations

import base64
import json
import logging
from datetime import date
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import Site

from funmagic.core.crypto import Vault
from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.providers import registry, service
from funmagic.providers.contract import Connection, Health
from funmagic.providers.registry import place_of
from funmagic.providers.service import Draft

CANARY = "canary0id:canary0secret"
FAL = "/api/admin/providers/fal"
UNREADABLE = "The stored credentials cannot be opened. Enter them again."


def filled_in(read: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A provider's form as it was read, with changes."""
    body = {name: read[name] for name in ("label", "isEnabled", "baseUrl", "config", "updatedAt")}
    return body | changes


async def with_key(root: httpx.AsyncClient) -> dict[str, Any]:
    """fal.ai with the canary as its key."""
    read = (await root.get(FAL)).json()
    body = filled_in(read, isEnabled=True, credentials={"key": CANARY})
    saved = await root.put(FAL, json=body)
    assert saved.status_code == 200, saved.text
    view: dict[str, Any] = saved.json()
    return view


async def stored(db: Database) -> bytes:
    async with db.transaction() as s:
        sealed = await s.scalar(
            text("SELECT credentials_encrypted FROM providers WHERE key = 'fal'")
        )
    assert isinstance(sealed, bytes)
    return sealed


@pytest.mark.hazard("U6")
async def test_a_key_is_in_no_answer_no_log_no_error_and_nowhere_in_the_clear(
    root: httpx.AsyncClient,
    resources: Resources,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    saved = await with_key(root)
    assert saved["credentials"]["isSet"] is True
    assert saved["credentials"]["setAt"]
    answers = [
        json.dumps(saved),
        (await root.get(FAL)).text,
        (await root.get("/api/admin/providers")).text,
        (await root.get("/en/dashboard/providers/fal")).text,
        (await root.get("/en/dashboard/providers")).text,
        (await root.put(FAL, json=filled_in(saved, credentials={"key": f"{CANARY}\0"}))).text,
        (await root.put(FAL, json=filled_in(saved, credentials={CANARY: CANARY}))).text,
        (await root.put(FAL, json=filled_in(saved, credentials=CANARY))).text,
        (await root.put(FAL, json=filled_in(saved, credentials={"key": [CANARY]}))).text,
        (await root.put(FAL, json=filled_in(saved, config={"key": CANARY}))).text,
        (await root.post(f"{FAL}/health", json={"credentials": {"key": f"{CANARY} x"}})).text,
    ]
    async with resources.db.transaction() as s:
        rows = (await s.execute(text("SELECT to_jsonb(providers) FROM providers"))).all()
    kept = [str(await resources.redis.dump(key)) for key in await resources.redis.keys("*")]
    said = capfd.readouterr()
    for said_or_kept in (*answers, str(rows), *kept, caplog.text, said.out, said.err):
        assert "canary0secret" not in said_or_kept
    assert CANARY.encode() not in await stored(resources.db)


@pytest.mark.hazard("U7")
@pytest.mark.parametrize("damaged", [CANARY.encode(), b'{"key": "canary0id:canary0secret"}', b"1"])
async def test_credentials_that_do_not_open_are_never_taken_as_they_are(
    root: httpx.AsyncClient, db: Database, resources: Resources, damaged: bytes
) -> None:
    await with_key(root)
    async with db.transaction() as s:
        await s.execute(
            text("UPDATE providers SET credentials_encrypted = :value WHERE key = 'fal'"),
            {"value": damaged},
        )
    read = (await root.get(FAL)).json()
    assert read["credentials"]["problem"] == UNREADABLE
    assert UNREADABLE in (await root.get("/en/dashboard/providers/fal")).text
    tested = await root.post(f"{FAL}/health")
    assert tested.status_code == 422
    assert tested.json()["error"]["fields"] == {"credentials.key": UNREADABLE}
    async with db.transaction() as s:
        with pytest.raises(registry.BrokenCredentials):
            await registry.connection_of(s, resources.vault, "fal")
    # it can be switched off as it is, and what is entered again counts
    assert (await root.put(FAL, json=filled_in(read, isEnabled=False))).status_code == 200
    assert await stored(db) == damaged
    assert (await with_key(root))["credentials"]["problem"] is None
    async with db.transaction() as s:
        connection = await registry.connection_of(s, resources.vault, "fal")
    assert connection.credentials.key.get_secret_value() == CANARY  # type: ignore[union-attr]


@pytest.mark.hazard("U7")
async def test_saving_seals_anew_with_todays_key(
    root: httpx.AsyncClient, db: Database, settings: Settings
) -> None:
    await with_key(root)
    old = settings.secret_keys.get_secret_value()
    new = "t2:" + base64.b64encode(bytes(range(1, 33))).decode()
    async with db.transaction() as s:
        state = await service.one(s, Vault(f"{new},{old}"), "fal")
        assert state.problem is None
        assert state.row is not None
        await service.save(
            s,
            Vault(f"{new},{old}"),
            "fal",
            Draft(state.row.config),
            label="fal",
            is_enabled=True,
            read_at=state.row.updated_at,
            place=place_of(settings),
        )
    async with db.transaction() as s:
        connection = await registry.connection_of(s, Vault(new), "fal")
        assert connection.credentials.key.get_secret_value() == CANARY  # type: ignore[union-attr]
        with_the_old_key = await service.one(s, Vault(old), "fal")
    assert with_the_old_key.problem == service.UNREADABLE


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"label": " "}, "label"),
    ({"isEnabled": "maybe"}, "isEnabled"),
    ({"config": {"surprise": 1}}, "config.surprise"),
    ({"config": {"moreModels": [""]}}, "config.moreModels.0"),
    ({"config": {"moreModels": ["a"] * 21}}, "config.moreModels.20"),
    ({"credentials": {"key": "has a space"}}, "credentials.key"),
    ({"credentials": {"surprise": "x"}}, "credentials"),
    ({"baseUrl": "ftp://example.com"}, "baseUrl"),
    ({"baseUrl": "http://example.com"}, "baseUrl"),
    ({"baseUrl": "https://user:word@example.com"}, "baseUrl"),
    ({"baseUrl": "https://example.com/v1"}, "baseUrl"),
    ({"baseUrl": "http://127.0.0.1:9/fal"}, "baseUrl"),
    ({"baseUrl": "http://169.254.169.254/"}, "baseUrl"),
    ({"baseUrl": "example.com"}, "baseUrl"),
]


async def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(
    root: httpx.AsyncClient,
) -> None:
    before = await with_key(root)
    for change, field in WRONG:
        answer = await root.put(FAL, json=filled_in(before, **change))
        assert answer.status_code == 422, (change, answer.text)
        assert field in answer.json()["error"]["fields"], (change, answer.text)
    assert (await root.get(FAL)).json() == before
    late = await root.put(FAL, json=filled_in(before, updatedAt="2020-01-01T00:00:00Z"))
    assert late.status_code == 409
    assert (await root.get("/api/admin/providers/nobody")).status_code == 404
    assert (await root.post("/api/admin/providers/nobody/health")).status_code == 404
    key_needed = await root.post("/api/admin/providers/openai/health")
    assert key_needed.status_code == 422
    assert list(key_needed.json()["error"]["fields"]) == ["credentials.key"]


async def test_a_test_of_what_is_saved_is_kept_and_one_of_a_draft_is_not(
    root: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_key(root)
    asked: list[Connection] = []

    async def check(connection: Connection) -> Health:
        asked.append(connection)
        return Health(True, "Fine.", listed=("model-1",))

    monkeypatch.setattr(registry.adapter("fal"), "check_health", check)
    drafted = await root.post(f"{FAL}/health", json={"credentials": {"key": "other:key"}})
    assert drafted.json() == {
        "ok": True,
        "message": "Fine.",
        "warnings": [],
        "listed": ["model-1"],
        "isStored": False,
    }
    assert (await root.get(FAL)).json()["health"]["checkedAt"] is None
    assert (await root.post(f"{FAL}/health")).json()["isStored"] is True
    health = (await root.get(FAL)).json()["health"]
    assert (health["ok"], health["message"]) == (True, "Fine.")
    keys = [connection.credentials.key.get_secret_value() for connection in asked]  # type: ignore[union-attr]
    assert keys == ["other:key", CANARY]


async def test_what_is_known_of_models_outlives_a_failed_test_and_no_other_connection(
    root: httpx.AsyncClient, db: Database
) -> None:
    good = Health(True, "Fine.", {"model-1": date(2031, 1, 2)}, ("model-1",))

    async def known() -> tuple[Any, ...]:
        columns = "health_ok, health_message, health_checked_at, health_retiring, health_listed"
        async with db.transaction() as s:
            row = await s.execute(text(f"SELECT {columns} FROM providers WHERE key = 'fal'"))
            return tuple(row.one())

    await with_key(root)
    for change, is_another in (
        ({"label": "Fal", "isEnabled": False}, False),
        ({"config": {"moreModels": ["model-9"]}}, True),
        ({"credentials": {"key": "other:key"}}, True),
    ):
        for health in (good, Health(False, "Away.")):
            async with db.transaction() as s:
                await service.note_health(s, "fal", health)
        failed = await known()
        assert failed[:2] == (False, "Away.")
        assert failed[3:] == ({"model-1": "2031-01-02"}, ["model-1"])
        body = filled_in((await root.get(FAL)).json(), **change)
        assert (await root.put(FAL, json=body)).status_code == 200
        assert await known() == ((None, None, None, {}, []) if is_another else failed), change


async def test_what_calls_have_cost_is_shown_in_dollars(
    site: Site, root: httpx.AsyncClient
) -> None:
    """Of this vendor, of 30 days, of calls that failed too."""
    add = text("""
        INSERT INTO provider_calls (id, task_id, step_id, call_no, provider_key, model, fence,
                                    state, cost_usd_micros, created_at, finished_at)
        VALUES (:id, :task, 'remove', 1, :key, 'm', 1, :state, :cost,
                now() - make_interval(days => :days),
                CASE CAST(:state AS text) WHEN 'intent' THEN NULL ELSE now() END)
    """)
    calls = [
        ("fal", "done", 1_234_000_000, 0),
        ("fal", "failed", 500_000, 29),
        ("fal", "done", 9_000_000, 31),
        ("openai", "done", 4_200, 1),
        ("openai", "intent", 0, 1),  # not made yet
    ]
    page = "/dashboard/providers/fal"
    assert "No call in the last 30 days." in (await root.get(f"/en{page}")).text
    async with site.resources.db.transaction() as s:
        for key, state, cost, days in calls:
            values = {"key": key, "state": state, "cost": cost, "days": days}
            await s.execute(add, {"id": new_id(), "task": new_id(), **values})
    spent = (await root.get(FAL)).json()["spent"]
    assert spent == {"days": 30, "calls": 2, "usdMicros": 1_234_500_000}
    assert "$1,234.50 for 2 calls in the last 30 days." in (await root.get(f"/en{page}")).text
    assert "1.234,50\u00a0$ für 2 Aufrufe" in (await root.get(f"/de{page}")).text
    openai = (await root.get("/en/dashboard/providers/openai")).text
    assert "$0.0042 for 1 call in the last 30 days." in openai


async def test_the_vendors_words_are_shown_to_admins(site: Site, root: httpx.AsyncClient) -> None:
    async with site.resources.db.transaction() as s:
        await s.execute(
            text("""
                INSERT INTO provider_calls (id, task_id, step_id, call_no, provider_key, model,
                                            fence, state, error_trouble, error_message, finished_at)
                VALUES (:id, :task, 'remove', 1, 'fal', 'm', 1, 'failed', 'refused',
                        'content_policy_violation', now())
            """),
            {"id": new_id(), "task": new_id()},
        )
    (trouble,) = (await root.get(FAL)).json()["recentTroubles"]
    assert (trouble["trouble"], trouble["message"]) == ("refused", "content_policy_violation")
    assert "content_policy_violation" in (await root.get("/en/dashboard/providers/fal")).text
    assert (await root.get("/api/admin/providers/openai")).json()["recentTroubles"] == []
