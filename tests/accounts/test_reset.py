"""A forgotten password: a new one by mail, and everybody else is signed out."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper
from tests.mailbox import text_of

from funmagic.accounts import passwords
from funmagic.accounts.sessions import SESSION_COOKIE

NEW = "a better one this time"


async def test_a_new_password_ends_every_session_and_signs_in(
    door: Door, make_keeper: MakeKeeper
) -> None:
    dora = await make_keeper(door.dora)
    stolen = await door.site.session_of(dora)
    async with door.site.browser() as browser, door.site.browser() as thief:
        thief.cookies.set(SESSION_COOKIE, stolen)
        assert await door.who(thief) == door.dora
        await door.ask(browser, "forgot-password", email=door.dora, next="/en/credits")
        mail = text_of(await door.mail(door.dora))
        assert "/en/reset-password?token=" in mail
        assert "30 minutes" in mail
        body = {"token": await door.token(door.dora), "password": NEW}
        answer = await browser.post("/api/auth/reset-password", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["next"] == "/en/credits"
        assert await door.who(browser) == door.dora
        assert await door.who(thief) is None
        assert "password was changed" in (await door.mail(door.dora, mails=2))["Subject"]
        assert (await door.log_in(thief, door.dora, PASSWORD)).status_code == 401
        assert (await door.log_in(thief, door.dora, NEW)).status_code == 200


@pytest.mark.hazard("U1")
async def test_only_the_newest_link_works_and_only_once(
    door: Door, make_keeper: MakeKeeper
) -> None:
    await make_keeper(door.dora)
    async with door.site.browser() as browser:
        tokens = []
        for number in (1, 2):
            await door.ask(browser, "forgot-password", email=door.dora)
            tokens.append(await door.token(door.dora, mails=number))
        refused = await browser.post(
            "/api/auth/reset-password", json={"token": tokens[0], "password": NEW}
        )
        assert refused.json()["error"]["type"] == "link_unusable"
        body = {"token": tokens[1], "password": "short"}
        weak = await browser.post("/api/auth/reset-password", json=body)
        assert "password" in weak.json()["error"]["fields"]
        answers = await asyncio.gather(
            *(
                browser.post(
                    "/api/auth/reset-password",
                    json={"token": tokens[1], "password": f"{NEW} {number}"},
                )
                for number in range(8)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 7
    assert await door.count("sessions") == 1


async def test_a_link_is_worth_nothing_after_its_time_or_once_the_password_was_changed(
    door: Door, make_keeper: MakeKeeper
) -> None:
    dora = await make_keeper(door.dora)
    async with door.site.browser() as browser:
        await door.ask(browser, "forgot-password", email=door.dora)
        first = await door.token(door.dora)
        async with door.site.resources.db.transaction() as session:
            left_s = await session.scalar(
                text("SELECT extract(epoch FROM expires_at - now()) FROM mailed_links")
            )
            await session.execute(
                text("UPDATE mailed_links SET expires_at = now() - interval '1 second'")
            )
        assert 1790 < float(left_s or 0) <= 1800
        body = {"token": first, "password": NEW}
        late = await browser.post("/api/auth/reset-password", json=body)
        assert late.json()["error"]["type"] == "link_unusable"
        await door.ask(browser, "forgot-password", email=door.dora)
        second = await door.token(door.dora, mails=2)
        async with door.site.resources.db.transaction() as session:
            kept = await passwords.hash_of("changed while signed in")
            await passwords.set_password(door.site.resources, session, dora, kept)
        body = {"token": second, "password": NEW}
        void = await browser.post("/api/auth/reset-password", json=body)
        assert void.json()["error"]["type"] == "link_unusable"


async def test_an_address_without_an_account_is_told_so_and_may_begin(door: Door) -> None:
    async with door.site.browser() as browser:
        await door.ask(browser, "forgot-password", email=door.dora)
        mail = await door.mail(door.dora)
        assert "no FunMagic account" in mail["Subject"]
        body = {"token": await door.token(door.dora), "password": NEW}
        answer = await browser.post("/api/auth/reset-password", json=body)
        assert answer.json()["error"]["type"] == "link_unusable"
        opened = await browser.get("/en/sign-in/confirm", params={"token": body["token"]})
        assert opened.status_code == 303
        assert await door.who(browser) == door.dora


@pytest.mark.hazard("U13")
async def test_a_reset_of_an_account_nobody_had_proved_leaves_no_other_way_in(
    door: Door, make_keeper: MakeKeeper
) -> None:
    dora = await make_keeper(door.dora)
    async with door.site.resources.db.transaction() as session:
        await session.execute(text("UPDATE users SET email_verified_at = NULL"))
        await session.execute(
            text(
                "INSERT INTO identities (id, user_id, provider, subject)"
                " VALUES (gen_random_uuid(), :id, 'apple', 'mallory')"
            ),
            {"id": dora.id},
        )
    async with door.site.browser() as browser:
        await door.ask(browser, "forgot-password", email=door.dora)
        body = {"token": await door.token(door.dora), "password": NEW}
        assert (await browser.post("/api/auth/reset-password", json=body)).status_code == 200
        assert (await door.log_in(browser, door.dora, NEW)).status_code == 200
    assert await door.count("identities") == 0
