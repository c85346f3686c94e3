"""The first super admin: made from the command line, missed by the doctor and at every start."""

from __future__ import annotations

import asyncio
import re

import pytest
from click.testing import CliRunner, Result
from litestar import Litestar
from pydantic import SecretStr
from sqlalchemy import text
from tests.conftest import MakeUser, Site, environment_of

from funmagic import doctor
from funmagic.app import with_layers
from funmagic.cli import main
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings

NOBODY_LEFT = text("UPDATE users SET role = 'user'")
NOWHERE = SecretStr("postgresql://x@127.0.0.1:9/x")  # the discard port: nobody listens
LINK = re.compile(r"https?://\S+/sign-in/confirm\?token=(\S+)")


async def create(settings: Settings, email: str) -> Result:
    """``funmagic admin create``, as an operator calls it."""
    environment = environment_of(settings)
    command = ["admin", "create", email]
    return await asyncio.to_thread(CliRunner().invoke, main, command, env=environment)


@pytest.mark.hazard("U2")
async def test_an_operator_makes_the_first_one_who_signs_in_once_by_the_link(
    site: Site, settings: Settings, resources: Resources
) -> None:
    async with resources.db.transaction() as session:
        await session.execute(NOBODY_LEFT)
    made = await create(settings, " Boss@Example.com ")
    assert made.exit_code == 0, made.output
    assert "boss@example.com is a super admin" in made.output
    found = LINK.search(made.output)
    assert found
    async with site.browser() as browser, site.browser() as thief:
        shown = await browser.get("/en/sign-in/confirm", params={"token": found[1]})
        assert "boss@example.com" in shown.text
        form = {"token": found[1]}
        clicked = await browser.post("/en/sign-in/confirm", data=form)
        assert clicked.headers["location"] == "/en/dashboard"
        assert (await browser.get("/en/dashboard/users")).status_code == 200
        assert (await thief.post("/en/sign-in/confirm", data=form)).status_code == 410
        welcome = (await browser.get("/api/credits")).json()["available"]
        assert welcome == settings.welcome_credits
    async with resources.db.transaction() as session:
        acts = text("SELECT actor_id, data FROM audit_log WHERE action = 'role.changed'")
        told = [tuple(act) for act in await session.execute(acts)]
    assert told == [(None, {"from": "user", "to": "super_admin"})]


async def test_somebody_who_is_there_is_raised_and_may_ask_for_another_link(
    settings: Settings, make_user: MakeUser, resources: Resources
) -> None:
    await make_user("cy@example.com", 7)
    outputs = [(await create(settings, "cy@example.com")).output for _ in range(2)]
    assert all(LINK.search(output) for output in outputs)
    assert outputs[0] != outputs[1]
    async with resources.db.transaction() as session:
        role = "SELECT role FROM users WHERE email = 'cy@example.com'"
        assert await session.scalar(text(role)) == "super_admin"
        acts = text("SELECT count(*) FROM audit_log WHERE action = 'role.changed'")
        assert await session.scalar(acts) == 1
        hour = text("SELECT bool_and(expires_at - now() <= interval '1 hour') FROM mailed_links")
        assert await session.scalar(hour)
    refused = await create(settings, "nonsense")
    assert refused.exit_code == 1
    assert "does not look like an e-mail address" in refused.output


async def test_a_house_without_one_is_noticed(
    settings: Settings,
    resources: Resources,
    application: Litestar,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def started(settings: Settings) -> bool:
        """Start and stop; whether the log warned of it."""
        caplog.clear()
        with_layers(application, settings)
        async with application.lifespan():
            return "funmagic admin create" in caplog.text

    async def missed_by_the_doctor() -> bool:
        sick = [finding.title for finding in await doctor.examine() if not finding.is_well]
        return "Super admin" in sick

    for name, value in environment_of(settings).items():
        monkeypatch.setenv(name, value)
    assert not await started(settings)
    assert not await missed_by_the_doctor()
    async with resources.db.transaction() as session:
        await session.execute(NOBODY_LEFT)
    assert await started(settings)
    assert await missed_by_the_doctor()
    assert not await started(settings.model_copy(update={"database_url": NOWHERE}))
