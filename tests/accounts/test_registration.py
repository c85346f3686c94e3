"""Registering with a password: nothing is there before the address is proved to be one's own."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper
from tests.conftest import MakeUser
from tests.mailbox import text_of

from funmagic.accounts import keys, passwords, service
from funmagic.accounts.models import Identity
from funmagic.core.crypto import hash_token
from funmagic.core.ids import new_id


async def test_somebody_registers_confirms_and_signs_in_by_password(door: Door) -> None:
    people = await door.count("users")
    async with door.site.browser() as browser:
        await door.ask(
            browser,
            "register",
            email=f" {door.dora.upper()}",
            password=PASSWORD,
            name=" Dora  D ",
            next="/en/credits",
        )
        assert await door.count("users") == people, "an account before the address is proved"
        refused = await door.log_in(browser, door.dora, PASSWORD)
        assert refused.status_code == 401
        token = await door.token(door.dora)
        confirmed = await browser.post("/api/auth/verify-email", json={"token": token})
        assert confirmed.status_code == 200, confirmed.text
        assert confirmed.json()["next"] == "/en/credits"
        assert confirmed.json()["user"]["name"] == "Dora D"
        assert await door.who(browser) == door.dora
        welcome = (await browser.get("/api/credits")).json()["available"]
        assert welcome == door.site.resources.settings.welcome_credits
        again = await browser.post("/api/auth/verify-email", json={"token": token})
        assert again.json()["error"]["type"] == "link_unusable"
    async with door.site.browser() as other:
        answer = await door.log_in(other, f"{door.dora.upper()} ", PASSWORD)
        assert answer.json()["user"]["email"] == door.dora
        assert await door.who(other) == door.dora


@pytest.mark.hazard("U13")
async def test_nobody_gets_an_account_with_a_password_of_a_strangers_choice(door: Door) -> None:
    async with door.site.browser() as mallory, door.site.browser() as victim:
        await door.ask(mallory, "register", email=door.dora, password="mallory picked this")
        token = await door.token(door.dora)
        asked = await victim.post("/api/auth/verify-email", json={"token": token})
        assert (asked.status_code, asked.json()["error"]["type"]) == (403, "password_needed")
        guessed = {"token": token, "password": "what the victim would choose"}
        refused = await victim.post("/api/auth/verify-email", json=guessed)
        assert (refused.status_code, refused.json()["error"]["type"]) == (401, "wrong_credentials")
        assert await door.who(victim) is None
        without = {"token": token, "withoutPassword": True}
        assert (await victim.post("/api/auth/verify-email", json=without)).status_code == 200
        assert await door.who(victim) == door.dora
        answer = await door.log_in(mallory, door.dora, "mallory picked this")
        assert answer.status_code == 401
        assert await door.who(mallory) is None


async def test_another_browser_confirms_by_the_password_that_was_registered(door: Door) -> None:
    async with door.site.browser() as laptop, door.site.browser() as phone:
        await door.ask(laptop, "register", email=door.dora, password=PASSWORD)
        body = {"token": await door.token(door.dora), "password": PASSWORD}
        assert (await phone.post("/api/auth/verify-email", json=body)).status_code == 200
        assert await door.who(phone) == door.dora
        assert (await door.log_in(laptop, door.dora, PASSWORD)).status_code == 200


async def test_guesses_at_a_confirmation_are_counted(door: Door) -> None:
    async with door.site.browser() as laptop, door.site.browser() as phone:
        await door.ask(laptop, "register", email=door.dora, password=PASSWORD)
        body = {"token": await door.token(door.dora), "password": "a guess at it"}
        statuses = [
            (await phone.post("/api/auth/verify-email", json=body)).status_code for _ in range(6)
        ]
    assert statuses == [401] * 5 + [429]


@pytest.mark.hazard("U13")
async def test_an_account_that_exists_keeps_its_password_and_is_told_by_mail_alone(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(door.dora)
    async with door.site.browser() as browser:
        await door.ask(browser, "register", email=door.dora, password="another of my choice")
        mail = await door.mail(door.dora)
        assert "already" in mail["Subject"]
        body = {"token": await door.token(door.dora)}
        answer = await browser.post("/api/auth/verify-email", json=body)
        assert answer.json()["error"]["type"] == "link_unusable"
        assert (await door.log_in(browser, door.dora, "another of my choice")).status_code == 401
        assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 200


@pytest.mark.hazard("U13")
async def test_a_confirmation_never_replaces_the_password_somebody_has_by_then(
    door: Door, make_keeper: MakeKeeper
) -> None:
    async with door.site.browser() as browser:
        await door.ask(browser, "register", email=door.dora, password="my first idea")
        token = await door.token(door.dora)
        await make_keeper(door.dora)
        answer = await browser.post("/api/auth/verify-email", json={"token": token})
        assert answer.status_code == 200
        assert (await door.log_in(browser, door.dora, "my first idea")).status_code == 401
        assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 200


async def test_who_came_by_link_meanwhile_gets_the_password_and_a_mail_about_it(
    door: Door, make_user: MakeUser
) -> None:
    async with door.site.browser() as browser:
        await door.ask(browser, "register", email=door.dora, password=PASSWORD)
        token = await door.token(door.dora)
        await make_user(door.dora)
        assert (
            await browser.post("/api/auth/verify-email", json={"token": token})
        ).status_code == 200
        assert "password was changed" in (await door.mail(door.dora, mails=2))["Subject"]
        assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 200


@pytest.mark.hazard("U13")
async def test_a_proved_address_empties_an_account_nobody_had_proved(
    door: Door, make_keeper: MakeKeeper
) -> None:
    resources, dora = door.site.resources, await make_keeper(door.dora)
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE users SET email_verified_at = NULL"))
        session.add(
            Identity(
                id=new_id(), user_id=dora.id, provider="google", subject="mallory", email=door.dora
            )
        )
        await session.execute(
            text("INSERT INTO devices (user_id, token_hash) VALUES (:id, :hash)"),
            {"id": dora.id, "hash": hash_token("mallorys browser")},
        )
        await keys.create(session, dora.id, name="m", scopes=["profile:read"], lifetime=None)
    stolen = await door.site.session_of(dora)
    async with door.site.browser() as mallory, door.site.browser() as owner:
        assert (await door.log_in(mallory, door.dora, PASSWORD)).status_code == 401
        mallory.cookies.set("fm_session", stolen)
        assert await door.who(mallory) == door.dora
        await door.ask(owner, "magic-link", email=door.dora)
        async with resources.db.transaction() as session:
            user = await service.redeem_magic_link(session, await door.token(door.dora))
        assert user.id == dora.id
        assert user.email_verified_at is not None
        assert await door.who(mallory) is None
        assert (await door.log_in(mallory, door.dora, PASSWORD)).status_code == 401
    for table in ("identities", "devices", "sessions"):
        assert await door.count(table) == 0
    assert await door.count("api_keys WHERE revoked_at IS NULL") == 0
    async with resources.db.transaction() as session:
        kept = await passwords.hash_of(PASSWORD)
        await passwords.write(session, dora.id, kept)
        again = await service.sign_up_or_find(session, door.dora)
        assert again.password_hash == kept, "a second sign-in empties it again"


async def test_the_mail_says_what_opens_and_for_how_long(door: Door) -> None:
    async with door.site.browser() as browser:
        browser.headers["Accept-Language"] = "zh"
        await door.ask(browser, "register", email=door.dora, password=PASSWORD)
        mail = await door.mail(door.dora)
    assert f"{door.site.url}/zh/verify-email?token=" in text_of(mail)
    assert "24 小时" in text_of(mail)
    assert PASSWORD not in mail.as_string()


@pytest.mark.parametrize("resend", [True, False])
async def test_of_two_registrations_the_first_that_is_confirmed_counts(
    door: Door, resend: bool
) -> None:
    async with door.site.browser() as browser:
        await door.ask(browser, "register", email=door.dora, password=PASSWORD)
        first = await door.token(door.dora)
        await door.ask(browser, "register", email=door.dora, password="second thoughts")
        second = await door.token(door.dora, mails=2)
        assert first != second
        for token in (first, second) if resend else (second, first):
            answer = await browser.post("/api/auth/verify-email", json={"token": token})
            assert answer.status_code == 200
        kept, dropped = PASSWORD, "second thoughts"
        if not resend:
            kept, dropped = dropped, kept
        assert (await door.log_in(browser, door.dora, kept)).status_code == 200
        assert (await door.log_in(browser, door.dora, dropped)).status_code == 401


async def test_names_and_addresses_that_are_none_are_refused(door: Door) -> None:
    async with door.site.browser() as browser:
        for field, value in (("email", "nobody"), ("name", "a\x00b"), ("name", "x" * 101)):
            body = {"email": door.dora, "password": PASSWORD, field: value}
            answer = await browser.post("/api/auth/register", json=body)
            assert answer.status_code == 422
            assert field in answer.json()["error"]["fields"]
    assert await door.count("mails") == 0
