"""Every route by every role with every kind of id: nobody gets what is not theirs."""

from __future__ import annotations

import itertools

import httpx
import pytest
from litestar import Litestar
from tests.security.house import NOT_HERE, ROLES, TO_SIGN_IN, House, Seen, wanted
from tests.security.rules import Key, routes_of
from tests.security.table import FURTHER, TABLE

from funmagic.app import litestar_app
from funmagic.core.settings import Settings

EVERY_RULE = (*TABLE.items(), *FURTHER)
# What may stand where an id is wanted. A browser would take the dots of a path away itself.
MALFORMED = (
    "not-an-id", "0", "%00", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "'%20or%20'1'='1", "%7bid%7d", "%ff",
    "a" * 300, "00000000-0000-0000-0000-00000000000g",
)  # fmt: skip


def what_to_add(missing: set[Key]) -> str:
    lines = "\n".join(f"    {key!r}: …," for key in sorted(missing))
    return (
        "these routes are in no table: say in tests/security/table.py who may ask for them,\n"
        "as everybody(), people(), owner(things.…), admins() or super_admins():\n" + lines
    )


@pytest.mark.hazard("A1")
def test_every_route_is_in_the_table(settings: Settings) -> None:
    app = litestar_app(settings)
    routes = routes_of(app)
    assert not routes - set(TABLE), what_to_add(routes - set(TABLE))
    assert not set(TABLE) - routes, "these lines of the table are of no route"
    assert {key for key, _ in FURTHER} <= routes
    assert documented(app) <= routes


def documented(app: Litestar) -> set[Key]:
    paths = app.openapi_schema.to_schema()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


@pytest.mark.hazard("A1")
async def test_every_role_gets_what_the_table_says(house: House) -> None:
    differences = []
    for key, rule in EVERY_RULE:
        visitors = await house.visitors(key, rule)
        thing_id = await rule.thing(house, visitors["owner"]) if rule.thing else ""
        # The owner last: what the others did must have changed nothing.
        for role in sorted(ROLES, key=lambda role: role == "owner"):
            answer = await house.ask(key, rule, visitors[role], thing_id=thing_id)
            expected = wanted(key, rule, role)
            if answer.status_code != expected:
                differences.append((*key, role, expected, answer.status_code, answer.text[:200]))
    assert not differences, "\n".join(map(str, differences))


@pytest.mark.hazard("A1")
async def test_somebody_elses_id_is_answered_like_one_that_does_not_exist(house: House) -> None:
    differences = []
    for key, rule in EVERY_RULE:
        if rule.thing is None:
            continue
        visitors = await house.visitors(key, rule)
        thing_id = await rule.thing(house, visitors["owner"])
        nothing = rule.unknown()
        for role in ("stranger", "admin", "super_admin"):
            foreign = await house.ask(key, rule, visitors[role], thing_id=thing_id)
            unknown = await house.ask(key, rule, visitors[role], thing_id=nothing)
            pair = Seen.of(foreign, thing_id), Seen.of(unknown, nothing)
            if pair[0] != pair[1] or pair[0].status != NOT_HERE:
                differences.append((*key, role, *pair))
    assert not differences, "\n".join(map(str, differences))


@pytest.mark.hazard("A1")
async def test_what_is_no_id_at_all_finds_nothing_and_breaks_nothing(house: House) -> None:
    differences = []
    for key, rule in EVERY_RULE:
        visitors = await house.visitors(key, rule, is_to_change=False)
        for name, value in itertools.product(rule.path, MALFORMED):
            for role in ("anonymous", "super_admin") if value == MALFORMED[0] else ("super_admin",):
                answer = await house.ask(
                    key, rule, visitors[role], thing_id=value, path={name: value}
                )
                if not (answer.is_client_error or is_on_the_way_in(answer)):
                    differences.append((*key, role, value, answer.status_code))
    assert not differences, "\n".join(map(str, differences))


def is_on_the_way_in(answer: httpx.Response) -> bool:
    return answer.status_code == TO_SIGN_IN and "/sign-in?" in answer.headers["location"]
