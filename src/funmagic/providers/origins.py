"""Addresses read strictly: one grammar for what a vendor or an operator's row tells us to open.

Two parsers that disagree about an address are how a check is passed by one host and another is
called. So an address is read once, by a grammar narrower than the standard's, and what was read is
what is connected to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from funmagic.providers.addresses import is_loopback
from funmagic.providers.contract import Place, ProviderError, Trouble

URL_LIMIT_CHARS = 4096
PLAIN = re.compile(r"[!-\[\]-~]+")  # printable ASCII without space and backslash
ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
AUTHORITY = re.compile(r"([a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an address leads: lower-case scheme and host (IPv6 without brackets), and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def is_gateway(place: Place, base_url: str | None) -> bool:
    """Whether this address leads to a gateway the operator has named. Raises what `parse` does."""
    return base_url is not None and str(parse(base_url)[0]) in place.gateways


def simulator_of(place: Place, base_url: str | None) -> Origin | None:
    """Where a vendor is simulated; None for the vendor itself, which has no ``base_url``.

    Raises :class:`ProviderError` for a base URL that is not on this machine, or not welcome here:
    keys and requests go to vendors and to nobody an operator's row names.
    """
    if base_url is None:
        return None
    if not place.loopback_allowed:
        refuse("simulated vendors are not allowed in this process")
    origin, _ = parse(base_url)
    if origin.host != "localhost" and not is_loopback(origin.host):
        refuse("a vendor is simulated on this machine or not at all")
    return origin


def parse(url: str) -> tuple[Origin, str]:
    """Where an http(s) address leads, and its path with query; refused where it is not plain."""
    matched = ADDRESS.fullmatch(plain(url))
    if matched is None:
        refuse("address: not scheme://host/path")
    scheme, authority, target = matched[1].lower(), matched[2].lower(), matched[3]
    if scheme not in DEFAULT_PORTS:
        refuse(f"scheme: {scheme!r} is not https")
    if "@" in authority:
        refuse("user information in the address")
    named = AUTHORITY.fullmatch(authority)
    if named is None or len(named[1]) > 253:
        refuse(f"host: {authority[:100]!r} is no plain name and port")
    port = int(named[2]) if named[2] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65_536:
        refuse(f"port: {port}")
    if not target.startswith("/"):
        target = "/" + target
    return Origin(scheme, named[1].strip("[]"), port), target


def plain(url: str) -> str:
    """The same text, where it is of a length and of characters that an address may have."""
    if len(url) > URL_LIMIT_CHARS:
        refuse("address: too long")
    if not PLAIN.fullmatch(url):
        refuse("address: other characters than an address has")
    return url


def refuse(rule: str) -> NoReturn:
    """A rule is broken; asking again would break it again."""
    raise ProviderError(Trouble.BROKEN, f"refused: {rule}"[:500])
