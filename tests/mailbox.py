"""Reads the mail sink as a person reads their mail."""

from __future__ import annotations

import asyncio
import email
import re
from email.message import Message
from pathlib import Path

LINK = re.compile(r"https?://\S+\?token=(\S+)")


async def newest_mail(maildir: Path, to: str, *, mails: int = 1, wait_s: float = 20.0) -> Message:
    """The newest message to ``to``; waits until there are ``mails`` of them."""
    for _ in range(int(wait_s / 0.05)):
        messages = mails_to(maildir, to)
        if len(messages) >= mails:
            return messages[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"no mail to {to}")


def mails_to(maildir: Path, to: str) -> list[Message]:
    """All there are so far, the newest first."""
    messages = (email.message_from_bytes(path.read_bytes()) for path in _newest_first(maildir))
    return [message for message in messages if to in str(message["To"])]


def _newest_first(maildir: Path) -> list[Path]:
    return sorted(maildir.glob("new/*"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def text_of(message: Message) -> str:
    """The plain-text part."""
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            return payload.decode(part.get_content_charset() or "utf-8")
    raise AssertionError("the mail has no text part")


def token_in(message: Message) -> str:
    """The token of the first link that carries one."""
    found = LINK.search(text_of(message))
    assert found, text_of(message)
    return found.group(1)
