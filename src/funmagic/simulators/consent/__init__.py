"""The pages of simulated sign-in providers: who would you like to be, and may they know it?

Simulators reach out to nobody, so people are sent back to this machine alone. Their pages carry a
content security policy of their own, which lets them post to that address.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader
from litestar import MediaType, Response

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_KEPT = 1_000

_pages = Environment(loader=PackageLoader(__name__, "."), autoescape=True)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Somebody:
    """A demo person. Without ``email`` their account has none, as with a telephone number alone."""

    id: str
    first_name: str
    last_name: str
    email: str | None

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


class Kept(Generic[T]):
    """Things found again by a random token; the oldest go where there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()

    def put(self, thing: T, prefix: str = "") -> str:
        token = prefix + secrets.token_urlsafe(24)
        self._kept[token] = thing
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return token

    def get(self, token: str) -> T | None:
        return self._kept.get(token)

    def take(self, token: str) -> T | None:
        return self._kept.pop(token, None)

    def clear(self) -> None:
        self._kept.clear()


def is_ours(redirect_uri: str) -> bool:
    """Whether somebody may be sent there."""
    parts = urlsplit(redirect_uri)
    return parts.scheme in {"http", "https"} and parts.hostname in LOOPBACK


def draw(template: str, *, status: int = 200, goes_to: str = "", **context: Any) -> Response[str]:
    """One page; ``goes_to`` is the address its form may lead to besides itself."""
    nonce = secrets.token_urlsafe(16)
    parts = urlsplit(goes_to)
    there = f" {parts.scheme}://{parts.netloc}" if goes_to else ""
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}';"
        f" form-action 'self'{there}; base-uri 'none'; frame-ancestors 'none'"
    )
    html = _pages.get_template(template).render(nonce=nonce, goes_to=goes_to, **context)
    headers = {"content-security-policy": policy, "cache-control": "no-store"}
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)
