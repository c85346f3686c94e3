"""What a provider of identities is to us: where people are asked, and who an answer says they are.

Refusal              the round trip ends without a person; ``kind`` is what the page is told
├── Denied           oauth_denied    the person said no
├── Failed           oauth_failed    the provider, or what it said, is not to be believed
├── Expired          oauth_expired   nobody of this browser waits for the answer
└── Taken            oauth_taken     the account there is connected to another one here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

MAX_SUBJECT_CHARS = 255
MAX_EMAIL_CHARS = 254
MAX_NAME_CHARS = 100


class Refusal(Exception):
    """No person comes of this round trip. The message is for the log and holds no secret."""

    kind = "oauth_failed"


class Denied(Refusal):
    kind = "oauth_denied"


class Failed(Refusal):
    kind = "oauth_failed"


class Expired(Refusal):
    kind = "oauth_expired"


class Taken(Refusal):
    kind = "oauth_taken"


@dataclass(frozen=True, slots=True)
class Challenge:
    """What we send along and want to hear again.

    ``state`` finds the attempt, ``nonce`` is in the identity token, ``verifier`` is the PKCE secret
    (RFC 7636). ``asks_again`` wants the person to show who they are even if they did just before.
    """

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    asks_again: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a provider vouches for. ``subject`` is its own, unchanging id of the account.

    ``email`` is as the provider says it; only where ``is_email_verified`` may it open an account.
    """

    provider: str
    subject: str
    email: str | None
    is_email_verified: bool
    name: str


class Way(Protocol):
    """One provider of identities."""

    name: str
    denials: frozenset[str]  # the errors that mean: the person said no
    posts_its_answer: bool  # by a form from its own page, to which our cookies are not sent

    async def address(self, challenge: Challenge) -> str:
        """Where to send the browser. Raises :class:`Failed`."""
        ...

    async def person(self, answer: Mapping[str, str], challenge: Challenge) -> Person:
        """Who came back with this answer. Raises :class:`Denied` and :class:`Failed`."""
        ...


def code_of(answer: Mapping[str, str], *, denials: frozenset[str]) -> str:
    """The code in an answer. Raises :class:`Denied` and :class:`Failed`."""
    error = answer.get("error")
    if error is not None:
        raise Denied(error) if error in denials else Failed(f"it says {plain(error, 60)!r}")
    code = answer.get("code")
    if not code:
        raise Failed("its answer has neither code nor error")
    return code


def person(
    provider: str, *, subject: Any, email: Any, is_email_verified: bool, name: Any
) -> Person:
    """A person of what a provider said, which may be anything. Raises :class:`Failed`."""
    if not _is_plain(subject, MAX_SUBJECT_CHARS) or not subject.isascii():
        raise Failed("it names nobody")
    if not _is_plain(email, MAX_EMAIL_CHARS):
        email = None
    return Person(
        provider=provider,
        subject=subject,
        email=email,
        is_email_verified=is_email_verified and email is not None,
        name=plain(name, MAX_NAME_CHARS) if isinstance(name, str) else "",
    )


def _is_plain(text: Any, length: int) -> bool:
    return isinstance(text, str) and 0 < len(text) <= length and text.isprintable()


def plain(text: str, length: int) -> str:
    """One line of printable characters, at most so long."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:length].strip()
