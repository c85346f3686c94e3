"""The development inbox: the mails an installation started by ``funmagic up`` has sent."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from email import message_from_binary_file, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from funmagic.accounts.models import User
from funmagic.core.errors import NotFound
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.web.contexts import InboxView, MailLine, MailView
from funmagic.web.pages import AnyRequest, drawn, page_of, viewer_of

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
MAILS_SHOWN: Final = 50
MAX_TEXT_CHARS: Final = 100_000
NAME = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._,:=-]{0,200}\Z")
LINK = re.compile(r"https?://[^\s<>\"']+")


@get("/dev/inbox", include_in_schema=False)
async def list_mails(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
) -> Template:
    """The newest mails. Where no inbox is configured there is no such page."""
    lines = await asyncio.to_thread(
        _lines, _folder(resources.settings, request.headers.get("host", ""))
    )
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
    return drawn(request, "pages/inbox.html", page_of(request, viewer), InboxView(mails=lines))


@get("/dev/inbox/{name:str}", include_in_schema=False)
async def show_mail(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    name: FromPath[str],
) -> Template:
    """One mail as text with clickable addresses; nothing of its HTML is rendered."""
    view = await asyncio.to_thread(
        _mail, _folder(resources.settings, request.headers.get("host", "")), name
    )
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
    return drawn(request, "pages/mail.html", page_of(request, viewer), view)


def _folder(settings: Settings, host: str) -> Path:
    """Where the mails lie. Never in production, and only under our own name or this machine's: a
    page elsewhere whose name was pointed at us must not read them (DNS rebinding)."""
    folder = settings.dev_inbox_dir
    names = {*LOOPBACK_NAMES, urlsplit(settings.public_url).hostname}
    if folder is None or settings.is_production or urlsplit(f"//{host}").hostname not in names:
        raise NotFound
    return folder


def _files(folder: Path) -> list[Path]:
    files = [path for part in ("new", "cur") for path in (folder / part).glob("*")]
    return sorted(files, key=lambda path: (path.stat().st_mtime, path.name), reverse=True)


def _lines(folder: Path) -> tuple[MailLine, ...]:
    lines = []
    for path in _files(folder)[:MAILS_SHOWN]:
        mail = _read(path)
        lines.append(
            MailLine(
                path=f"/dev/inbox/{path.name}",
                to=str(mail["to"] or ""),
                subject=str(mail["subject"] or ""),
                at=_arrived(path),
            )
        )
    return tuple(lines)


def _mail(folder: Path, name: str) -> MailView:
    path = next((path for path in _files(folder) if path.name == name), None)
    if path is None or not NAME.match(name):
        raise NotFound
    mail = _read(path)
    body = mail.get_body(("plain", "html"))
    text = str(body.get_content())[:MAX_TEXT_CHARS] if body is not None else ""
    return MailView(
        sender=str(mail["from"] or ""),
        to=str(mail["to"] or ""),
        subject=str(mail["subject"] or ""),
        at=_arrived(path),
        pieces=tuple(_pieces(text.strip())),
    )


def _read(path: Path) -> EmailMessage:
    with path.open("rb") as file:
        return message_from_binary_file(file, policy=policy.default)


def _arrived(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _pieces(text: str) -> list[tuple[str, str | None]]:
    """The text cut at its addresses, which become links."""
    pieces: list[tuple[str, str | None]] = []
    end = 0
    for found in LINK.finditer(text):
        pieces.append((text[end : found.start()], None))
        pieces.append((found.group(), found.group()))
        end = found.end()
    pieces.append((text[end:], None))
    return [piece for piece in pieces if piece[0]]
