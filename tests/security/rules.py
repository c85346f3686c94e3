"""Who may ask for what: the words in which the table of routes is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from litestar import Litestar
from litestar.routes import HTTPRoute

if TYPE_CHECKING:
    from tests.security.house import House, Visitor

Key = tuple[str, str]  # method, path: ("GET", "/api/tasks/{task_id}")
Maker = Callable[["House", "Visitor"], Awaitable[str]]

ID: Final = "{the id}"  # stands for the id of the owned thing, in a path, a query or a body
EMAIL: Final = "{their address}"  # stands for the address of whoever asks
ANY_KEY: Final = "any"  # in place of a scope: open to everybody, so no key is looked at
LOCALE: Final = {"locale": "en"}


class Access(Enum):
    """To whom a route answers."""

    EVERYBODY = "everybody"
    PEOPLE = "whoever is signed in"
    OWNER = "the owner of what is named"
    ADMINS = "admins"
    SUPER_ADMINS = "super_admins"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route does for whom.

    ``status`` is what those get who may ask; ``otherwise`` what single roles get in place of it.
    ``path`` fills the address in, ``query``, ``body`` and ``form`` go along; :data:`ID` in any of
    them is the id of what ``thing`` makes, for its owner where it has one. ``unknown`` makes an id
    of the same form that nothing has. ``scope`` is what a program's key needs; with none no key is
    taken. What ``is_fresh`` needs proof of who is there that is not old; after what ``is_last``
    nobody can ask for anything more.
    """

    access: Access
    status: int = 200
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    thing: Maker | None = None
    unknown: Callable[[], str] = lambda: str(uuid4())
    scope: str | None = None
    is_fresh: bool = False
    is_last: bool = False
    otherwise: Mapping[str, int] = field(default_factory=dict)


def everybody(status: int = 200, **more: Any) -> Rule:
    return Rule(Access.EVERYBODY, status, **more)


def people(status: int = 200, **more: Any) -> Rule:
    return Rule(Access.PEOPLE, status, **more)


def owner(thing: Maker, status: int = 200, **more: Any) -> Rule:
    return Rule(Access.OWNER, status, thing=thing, **more)


def admins(thing: Maker | None = None, status: int = 200, **more: Any) -> Rule:
    return Rule(Access.ADMINS, status, thing=thing, **more)


def super_admins(thing: Maker | None = None, status: int = 200, **more: Any) -> Rule:
    return Rule(Access.SUPER_ADMINS, status, thing=thing, **more)


def routes_of(app: Litestar) -> set[Key]:
    """Every method and path somebody can call, pages included."""
    return {
        (method, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method != "OPTIONS"  # answered by the framework, with the methods and nothing else
    }


def filled(value: Any, meant: str, stands: str = ID) -> Any:
    """``value`` with what is meant in place of what stands for it, however deep."""
    if isinstance(value, str):
        return value.replace(stands, meant)
    if isinstance(value, Mapping):
        return {name: filled(each, meant, stands) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, meant, stands) for each in value]
    return value
