"""Passwords: what is taken, how it is kept, and how often one may be guessed."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper

from funmagic.accounts import limits, passwords
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.errors import Invalid, Unavailable
from funmagic.core.limits import Limiter

ADA = "ada@example.com"


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("1234567", passwords.TOO_SHORT),
        ("ÄÖÜäöüß", passwords.TOO_SHORT),
        ("e\u0301" * 7, passwords.TOO_SHORT),  # seven letters of two characters each
        ("x" * 257, passwords.TOO_LONG),
        ("password1", passwords.TOO_COMMON),
        ("PassWord1", passwords.TOO_COMMON),
        ("iloveyou", passwords.TOO_COMMON),
        ("Ada.Love@Example.com", passwords.TOO_NEAR),
        ("ADA.LOVE", passwords.TOO_NEAR),
        ("FunMagic", passwords.TOO_NEAR),
        ("12345678\ud83d", passwords.NOT_TEXT),
    ],
)
def test_a_password_we_do_not_take_is_refused_with_the_reason(password: str, problem: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check(password, email="ada.love@example.com")
    assert refused.value.fields == {"password": problem}


@pytest.mark.parametrize(
    "password",
    ["x7!qLm2p", "  spaces  ", "пароль да", "密码密码密码密码", "🦄" * 256, "a\x00b\nc\td\re"],
)
def test_any_characters_make_a_password(password: str) -> None:
    passwords.check(password, email=ADA)


async def test_kept_is_an_argon2id_hash_of_the_whole_password_in_one_form() -> None:
    long = "é" * 255
    kept = await passwords.hash_of(long + "1")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches("e\u0301" * 255 + "1", kept)
    assert not await passwords.matches(long + "2", kept)
    assert not await passwords.matches(long + "1" + "x", kept)
    assert not await passwords.matches("", kept)
    assert not await passwords.matches("half \ud83d", kept)
    assert not await passwords.matches(long + "1", None)


async def test_only_so_many_wait_for_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MOST_WAITING", 2)
    answers = await asyncio.gather(
        *(passwords.hash_of(PASSWORD) for _ in range(4)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [str, str, Unavailable, Unavailable]
    assert await passwords.hash_of(PASSWORD)


async def test_half_a_character_is_no_accident(door: Door) -> None:
    body = b'{"email": "ada@example.com", "password": "12345678\\ud83d"}'
    async with door.site.browser() as browser:
        for way in ("login", "register"):
            answer = await browser.post(
                f"/api/auth/{way}", content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code in {400, 401, 422}, answer.text


async def test_a_hash_of_older_parameters_is_renewed_at_sign_in(
    door: Door, make_keeper: MakeKeeper
) -> None:
    ada = await make_keeper(door.dora)
    older = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8_192, parallelism=1),))
    async with door.site.resources.db.transaction() as session:
        await session.execute(
            text("UPDATE users SET password_hash = :kept WHERE id = :id"),
            {"kept": older.hash(PASSWORD), "id": ada.id},
        )
    async with door.site.browser() as browser:
        for _ in range(2):
            assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 200
    async with door.site.resources.db.transaction() as session:
        kept = await session.scalar(
            text("SELECT password_hash FROM users WHERE id = :id"), {"id": ada.id}
        )
    assert not passwords.is_outdated(str(kept))


@pytest.mark.hazard("U12")
async def test_signing_in_by_password_makes_a_new_session_and_says_how(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(ADA)
    async with door.site.browser() as browser:
        browser.cookies.set(SESSION_COOKIE, "A" * 43)
        answer = await door.log_in(browser, f" {ADA.upper()}", PASSWORD)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"]["email"] == ADA
        assert answer.cookies[SESSION_COOKIE] != "A" * 43
    assert await door.count("sessions WHERE method = 'password'") == 1
    assert await door.count("audit_log WHERE action = 'session.started'") == 1


@pytest.fixture
def all_wrong(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were looked at: none is right, and finding that out costs nothing."""
    looked_at: list[str] = []

    async def matches(password: str, _password_hash: str | None) -> bool:
        looked_at.append(password)
        return False

    monkeypatch.setattr(passwords, "matches", matches)
    return looked_at


@pytest.mark.usefixtures("all_wrong")
async def test_whoever_guesses_has_to_wait_longer_and_longer(door: Door) -> None:
    limiter, tried, waits_s = Limiter(door.site.resources.redis), 0, []
    async with door.site.browser() as browser:
        for number, window in enumerate(limits.TRIES_PER_ACCOUNT):

            async def guess(shorter: int = number) -> httpx.Response:
                for passed in limits.TRIES_PER_ACCOUNT[:shorter]:
                    await limiter.clear(passed, "try-stranger", ADA)
                for passed in limits.TRIES_PER_CLIENT:
                    await limiter.clear(passed, "try-client", "127.0.0.1")
                return await door.log_in(browser, ADA, "wrong")

            for number_tried in range(tried, window.amount):
                assert (await guess()).status_code == 401, number_tried
            refused = await guess()
            assert refused.status_code == 429
            assert refused.json()["error"]["message"] == "Too many requests. Please wait."
            waits_s.append(int(refused.headers["retry-after"]))
            tried = window.amount
    assert 0 < waits_s[0] <= 60 < waits_s[1] <= 900 < waits_s[2] <= 86_400


async def test_simultaneous_guesses_do_not_slip_by(door: Door, all_wrong: list[str]) -> None:
    async with door.site.browser() as browser:
        answers = await asyncio.gather(*(door.log_in(browser, ADA, "wrong") for _ in range(20)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [401] * 5 + [429] * 15
    assert len(all_wrong) == 5


@pytest.mark.usefixtures("all_wrong")
async def test_one_client_cannot_try_one_password_on_everybody(door: Door) -> None:
    most = limits.TRIES_PER_CLIENT[0].amount
    async with door.site.browser() as browser:
        statuses = [
            (await door.log_in(browser, f"person{number}@example.com", PASSWORD)).status_code
            for number in range(most + 1)
        ]
    assert statuses == [401] * most + [429]


@pytest.mark.hazard("U4")
async def test_a_stranger_locks_nobody_out_who_has_been_here_before(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(ADA)
    async with door.site.browser() as owner, door.site.browser() as mallory:
        assert (await door.log_in(owner, ADA, PASSWORD)).status_code == 200
        assert (await owner.post("/api/auth/logout")).status_code == 204
        while (await door.log_in(mallory, ADA, "a wrong one")).status_code == 401:
            pass
        assert (await door.log_in(mallory, ADA, PASSWORD)).status_code == 429
        assert (await door.log_in(owner, ADA, PASSWORD)).status_code == 200


@pytest.mark.hazard("U4")
@pytest.mark.parametrize("way", ["magic-link", "forgot-password"])
async def test_a_stranger_keeps_nobody_from_their_mail_who_has_been_here_before(
    door: Door, make_keeper: MakeKeeper, way: str
) -> None:
    await make_keeper(ADA)
    async with door.site.browser() as owner, door.site.browser() as mallory:
        assert (await door.log_in(owner, ADA, PASSWORD)).status_code == 200
        assert (await owner.post("/api/auth/logout")).status_code == 204
        asked = [await mallory.post(f"/api/auth/{way}", json={"email": ADA}) for _ in range(6)]
        assert [answer.status_code for answer in asked] == [202] * 5 + [429]
        assert (await owner.post(f"/api/auth/{way}", json={"email": ADA})).status_code == 202


@pytest.mark.hazard("U4")
async def test_every_counter_of_the_door_runs_out(door: Door) -> None:
    redis = door.site.resources.redis
    async with door.site.browser() as browser:
        for _ in range(7):
            await door.log_in(browser, ADA, "a wrong one")
            await browser.post("/api/auth/magic-link", json={"email": ADA})
    counters = [key async for key in redis.scan_iter("LIMITS*")]
    assert {key for key in counters if "try-" in key or "mail-" in key}
    for key in counters:
        assert 0 < await redis.ttl(key) <= 86_400, key


async def test_only_wrong_passwords_count_for_the_account(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(ADA)
    most = limits.TRIES_PER_ACCOUNT[0].amount
    for _ in range(2):
        async with door.site.browser() as browser:
            for _ in range(most - 1):
                assert (await door.log_in(browser, ADA, "a wrong one")).status_code == 401
            assert (await door.log_in(browser, ADA, PASSWORD)).status_code == 200


async def test_a_password_can_be_set_changed_and_removed(
    door: Door, make_keeper: MakeKeeper
) -> None:
    ada = await make_keeper(door.dora)
    elsewhere = await door.site.session_of(ada)
    async with door.site.resources.db.transaction() as session:
        await passwords.set_password(
            door.site.resources, session, ada, await passwords.hash_of("another fine one")
        )
    assert "changed" in (await door.mail(door.dora))["Subject"]
    async with door.site.browser() as browser:
        browser.cookies.set(SESSION_COOKIE, elsewhere)
        assert await door.who(browser) is None
        assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 401
        assert (await door.log_in(browser, door.dora, "another fine one")).status_code == 200
    async with door.site.resources.db.transaction() as session:
        await passwords.set_password(door.site.resources, session, ada, None)
    assert "removed" in (await door.mail(door.dora, mails=2))["Subject"]
    async with door.site.browser() as browser:
        assert (await door.log_in(browser, door.dora, "another fine one")).status_code == 401
    assert await door.count("audit_log WHERE action LIKE 'password.%'") == 3


async def test_a_password_changed_at_this_very_moment_signs_nobody_in(
    door: Door, make_keeper: MakeKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await make_keeper(ADA)
    matches = passwords.matches

    async def overtaken(password: str, password_hash: str | None) -> bool:
        answer = await matches(password, password_hash)
        newer = await passwords.hash_of("set meanwhile")
        async with door.site.resources.db.transaction() as session:
            await passwords.write(session, ada.id, newer)
        return answer

    monkeypatch.setattr(passwords, "matches", overtaken)
    async with door.site.browser() as browser:
        assert (await door.log_in(browser, ADA, PASSWORD)).status_code == 401
        assert await door.who(browser) is None
