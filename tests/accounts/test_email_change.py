"""Another address: proved by a link there, and for a week to be taken back from the old one."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import text
from tests.accounts.conftest import PASSWORD, Door, MakeKeeper
from tests.conftest import MakeUser
from tests.mailbox import text_of

from funmagic.accounts import recovery, service
from funmagic.accounts.models import User
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.core.errors import Conflict, Invalid

BROWSER = "b" * 43


@pytest.fixture
def new_email() -> str:
    return f"dora-at-work-{secrets.token_hex(4)}@example.com"


async def ask(door: Door, user: User, email: str) -> str:
    """Ask for another address as ``user``, and return the token mailed there."""
    async with door.site.resources.db.transaction() as session:
        await recovery.ask_email_change(
            door.site.resources, session, user, email, locale="en", browser_token=BROWSER
        )
    return await door.token(email)


async def move(door: Door, user: User, email: str, *, mails: int = 1) -> str:
    """Give ``user`` the address, and return the token by which it is undone: the one in the last
    of the ``mails`` to their address so far."""
    token = await ask(door, user, email)
    before = user.email
    async with door.site.resources.db.transaction() as session:
        await recovery.confirm_email_change(
            door.site.resources, session, token, user_id=user.id, browser_token=None
        )
    return await door.token(before, mails=mails)


async def test_the_new_address_signs_in_and_the_old_one_is_told(
    door: Door, make_keeper: MakeKeeper, new_email: str
) -> None:
    dora = await make_keeper(door.dora)
    async with door.site.browser(dora) as browser:
        token = await ask(door, dora, new_email)
        assert "/en/confirm-email?token=" in text_of(await door.mail(new_email))
        assert await door.who(browser) == door.dora, "changed before it was proved"
        answer = await browser.post("/api/auth/confirm-email", json={"token": token})
        assert answer.status_code == 200, answer.text
        assert await door.who(browser) == new_email
        told = await door.mail(door.dora)
        assert new_email in text_of(told)
        assert "/en/keep-email?token=" in text_of(told)
        assert (await door.log_in(browser, door.dora, PASSWORD)).status_code == 401
        assert (await door.log_in(browser, new_email, PASSWORD)).status_code == 200
    assert await door.count("audit_log WHERE action = 'email.changed'") == 1


async def test_a_mistyped_address_gives_the_account_to_nobody(
    door: Door, make_user: MakeUser, new_email: str
) -> None:
    dora = await make_user(door.dora)
    token = await ask(door, dora, new_email)
    cy = await make_user("cy@example.com")
    for stranger in (None, cy):
        async with door.site.browser(stranger) as browser:
            answer = await browser.post("/api/auth/confirm-email", json={"token": token})
            assert answer.status_code == 403
            assert answer.json()["error"]["type"] == "other_browser"
    async with door.site.browser() as browser:
        browser.cookies.set(BROWSER_COOKIE, BROWSER)
        answer = await browser.post("/api/auth/confirm-email", json={"token": token})
        assert answer.json()["email"] == new_email
        again = await browser.post("/api/auth/confirm-email", json={"token": token})
        assert again.json()["error"]["type"] == "link_unusable"


async def test_an_address_that_has_an_account_is_told_by_mail_alone(
    door: Door, make_user: MakeUser, new_email: str
) -> None:
    dora, other = await make_user(door.dora), await make_user(new_email)
    token = await ask(door, dora, new_email)
    assert "already" in (await door.mail(new_email))["Subject"]
    async with door.site.browser(dora) as browser:
        answer = await browser.post("/api/auth/confirm-email", json={"token": token})
        assert answer.json()["error"]["type"] == "link_unusable"
    async with door.site.resources.db.transaction() as session:
        assert (await service.redeem_magic_link(session, token)).id == other.id
        with pytest.raises(Invalid, match="already"):
            await recovery.ask_email_change(
                door.site.resources, session, dora, door.dora, locale="en", browser_token=BROWSER
            )


async def test_an_address_taken_meanwhile_stays_its_owners(
    door: Door, make_user: MakeUser, new_email: str
) -> None:
    dora = await make_user(door.dora)
    token = await ask(door, dora, new_email)
    await make_user(new_email)
    async with door.site.browser(dora) as browser:
        answer = await browser.post("/api/auth/confirm-email", json={"token": token})
        assert (answer.status_code, answer.json()["error"]["type"]) == (409, "email_taken")
        assert await door.who(browser) == door.dora


async def test_a_link_to_set_a_password_dies_with_the_address_it_went_to(
    door: Door, make_keeper: MakeKeeper, new_email: str
) -> None:
    dora = await make_keeper(door.dora)
    async with door.site.browser() as browser:
        await door.ask(browser, "forgot-password", email=door.dora)
        reset = await door.token(door.dora)
        token = await ask(door, dora, new_email)
        async with door.site.resources.db.transaction() as session:
            await recovery.confirm_email_change(
                door.site.resources, session, token, user_id=dora.id, browser_token=None
            )
        body = {"token": reset, "password": "a better one this time"}
        answer = await browser.post("/api/auth/reset-password", json=body)
        assert answer.json()["error"]["type"] == "link_unusable"


@pytest.mark.hazard("U13")
async def test_the_owner_takes_the_account_back_and_is_alone_in_it(
    door: Door, make_keeper: MakeKeeper, new_email: str
) -> None:
    dora = await make_keeper(door.dora)
    thief_session = await door.site.session_of(dora)
    undo = await move(door, dora, new_email)
    async with door.site.resources.db.transaction() as session:
        dora = await session.get_one(User, dora.id)
        await session.execute(
            text(
                "INSERT INTO identities (id, user_id, provider, subject)"
                " VALUES (gen_random_uuid(), :id, 'google', 'mallory')"
            ),
            {"id": dora.id},
        )
        with pytest.raises(Conflict) as refused:
            await service.sign_up_or_find(session, door.dora)
        assert refused.value.type == "email_reserved"
    further = new_email.replace("work", "play")
    thiefs_undo = await move(door, dora, further, mails=2)
    async with door.site.browser() as owner, door.site.browser() as thief:
        thief.cookies.set(SESSION_COOKIE, thief_session)
        assert await door.who(thief) == further
        answer = await owner.post("/api/auth/keep-email", json={"token": undo})
        assert answer.status_code == 200, answer.text
        assert await door.who(owner) == door.dora
        assert await door.who(thief) is None
        for email in (door.dora, further):
            assert (await door.log_in(thief, email, PASSWORD)).status_code == 401
        for token in (undo, thiefs_undo):
            answer = await thief.post("/api/auth/keep-email", json={"token": token})
            assert answer.json()["error"]["type"] == "link_unusable"
    assert await door.count("identities") == 0


async def test_the_older_way_back_outlives_the_younger(
    door: Door, make_user: MakeUser, new_email: str
) -> None:
    dora = await make_user(door.dora)
    owners = await move(door, dora, new_email)
    async with door.site.resources.db.transaction() as session:
        moved = await session.get_one(User, dora.id)
    thiefs = await move(door, moved, new_email.replace("work", "play"), mails=2)
    async with door.site.browser() as browser:
        for token, email in ((thiefs, new_email), (owners, door.dora)):
            answer = await browser.post("/api/auth/keep-email", json={"token": token})
            assert answer.json()["user"]["email"] == email
