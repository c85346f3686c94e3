"""Every route by every role with every kind of id: nobody gets what is not theirs."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest
from litestar import Litestar
from tests.security.house import (
    NOT_HERE,
    ROLES,
    TO_SIGN_IN,
    House,
    Seen,
    Visitor,
    is_page,
    told,
    wanted,
)
from tests.security.rules import ANY_KEY, Access, Key, Rule, routes_of
from tests.security.table import FURTHER, TABLE

from funmagic.accounts.keys import SCOPES

EVERY_RULE = (*TABLE.items(), *FURTHER)
# What may stand where an id is wanted. A browser would take the dots of a path away itself.
MALFORMED = (
    "not-an-id", "0", "%00", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "'%20or%20'1'='1", "%7bid%7d", "%ff",
    "a" * 300, "00000000-0000-0000-0000-00000000000g",
)  # fmt: skip
# A key nobody has; a scheme of somebody else's. One route meets the one, the next the other.
NOBODYS = itertools.cycle((f"Bearer fm_{'x' * 43}", "Basic YTpi"))
LONG_AGO = timedelta(hours=1)


@pytest.mark.hazard("A1")
def test_every_route_is_in_the_table(application: Litestar) -> None:
    routes = routes_of(application)
    assert not routes - set(TABLE), what_to_add(routes - set(TABLE))
    assert not set(TABLE) - routes, "these lines of the table are of no route"
    assert {key for key, _ in FURTHER} <= routes
    paths = application.openapi_schema.to_schema()["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert documented <= routes


def what_to_add(missing: set[Key]) -> str:
    lines = "\n".join(f"    {key!r}: …," for key in sorted(missing))
    return (
        "these routes are in no table: say in tests/security/table.py who may ask for them,\n"
        "as everybody(), people(), owner(things.…), admins() or super_admins():\n" + lines
    )


@pytest.mark.timeout(400)  # more than a thousand requests
@pytest.mark.hazard("A1")
async def test_everybody_gets_what_the_table_says(house: House) -> None:
    """The one who may asks last: what the others did must have changed nothing."""
    differences = []
    for key, rule in EVERY_RULE:
        scene = await Scene.of(house, key, rule)
        for ask_as in (by_role, by_id, by_authorization, by_key, by_who_may):
            differences += [str((*key, *each)) async for each in ask_as(scene)]
    assert not differences, "\n".join(differences)


@pytest.mark.hazard("A1")
async def test_what_is_no_id_at_all_finds_nothing_and_breaks_nothing(house: House) -> None:
    differences = []
    values = itertools.cycle(MALFORMED)
    for key, rule in EVERY_RULE:
        visitors = await house.visitors(rule)
        for name, role in itertools.product(rule.path, ("anonymous", "super_admin", "super_admin")):
            value = next(values)
            answer = await house.ask(key, rule, visitors[role], thing_id=value, path={name: value})
            if not (answer.is_client_error or is_on_the_way_in(answer)):
                differences.append((*key, role, value, answer.status_code, told(answer)))
    assert not differences, "\n".join(map(str, differences))


@dataclass(frozen=True, slots=True)
class Scene:
    """One route, a visitor of every role before it, and the thing its rule is about.

    ``person`` is among those who may.
    """

    house: House
    key: Key
    rule: Rule
    visitors: dict[str, Visitor]
    person: Visitor
    thing_id: str

    @classmethod
    async def of(cls, house: House, key: Key, rule: Rule) -> Scene:
        visitors = await house.visitors(rule)
        is_for_admins = rule.access in {Access.ADMINS, Access.SUPER_ADMINS}
        person = visitors["super_admin" if is_for_admins else "owner"]
        thing_id = await rule.thing(house, person) if rule.thing else ""
        return cls(house, key, rule, visitors, person, thing_id)

    async def ask(
        self, visitor: Visitor, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        return await self.house.ask(
            self.key, self.rule, visitor, thing_id=self.thing_id, headers=headers
        )

    def wanted(self, role: str) -> int:
        return wanted(self.key, self.rule, role)


Differences = AsyncIterator[tuple[object, ...]]


async def by_role(scene: Scene) -> Differences:
    for role in ROLES:
        if role != scene.person.role:
            answer = await scene.ask(scene.visitors[role])
            if answer.status_code != scene.wanted(role):
                yield role, scene.wanted(role), answer.status_code, told(answer)


async def by_id(scene: Scene) -> Differences:
    """A stranger's id is answered like one that does not exist, word by word."""
    if scene.rule.access is not Access.OWNER:
        return
    nothing = scene.rule.unknown()
    visitor = scene.visitors["stranger"]
    foreign = await scene.ask(visitor)
    unknown = await scene.house.ask(scene.key, scene.rule, visitor, thing_id=nothing)
    pair = Seen.of(foreign, scene.thing_id), Seen.of(unknown, nothing)
    if pair[0] != pair[1] or pair[0].status != NOT_HERE:
        yield visitor.role, *pair


async def by_authorization(scene: Scene) -> Differences:
    """Who brings ``Authorization`` need not come from our own pages, so a cookie counts nothing.

    A key that opens nothing is said to be none; of other schemes we know nothing.
    """
    authorization = next(NOBODYS)
    expected = {scene.wanted("anonymous")}
    if authorization.startswith("Bearer") and scene.rule.scope != ANY_KEY:
        expected = {401, TO_SIGN_IN} if is_page(scene.key) else {401}
    answer = await scene.ask(scene.person, {"Authorization": authorization})
    if answer.status_code not in expected:
        yield authorization, expected, answer.status_code, told(answer)


async def by_key(scene: Scene) -> Differences:
    """A key opens what its scopes say and nothing else."""
    tries: list[tuple[tuple[str, ...], set[int]]]
    match scene.rule.scope:
        case None:
            tries = [(SCOPES, {403, NOT_HERE} if is_page(scene.key) else {403})]
        case "any":
            tries = [(SCOPES, {scene.wanted("anonymous")})]
        case scope:
            others = tuple(each for each in SCOPES if each != scope)
            tries = [(others, {403}), ((scope,), {scene.rule.status})]
    for scopes, expected in tries:
        answer = await scene.ask(await scene.house.program(scene.person, *scopes))
        if answer.status_code not in expected:
            yield scopes, expected, answer.status_code, told(answer)


async def by_who_may(scene: Scene) -> Differences:
    """What matters wants to know anew who is there; other things do not bother people."""
    changes_something = scene.key[0] != "GET"
    if changes_something:
        await scene.house.prove(scene.person, ago=LONG_AGO)
    answer = await scene.ask(scene.person)
    if changes_something:
        await scene.house.prove(scene.person)
    is_asked = answer.status_code == 403 and told(answer) == "reauthentication_required"
    if is_asked != scene.rule.is_fresh:
        yield "proved long ago", scene.rule.is_fresh, answer.status_code, told(answer)
    if is_asked:
        answer = await scene.ask(scene.person)
    if answer.status_code != scene.wanted(scene.person.role):
        yield scene.person.role, scene.wanted(scene.person.role), answer.status_code, told(answer)


def is_on_the_way_in(answer: httpx.Response) -> bool:
    return answer.status_code == TO_SIGN_IN and "/sign-in?" in answer.headers["location"]
