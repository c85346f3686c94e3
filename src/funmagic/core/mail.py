"""Outgoing mail over SMTP."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Final
from urllib.parse import unquote, urlsplit

import aiosmtplib

ANSWER_TIMEOUT_S: Final = 20.0  # for one answer of the server
SEND_TIMEOUT_S: Final = 60.0  # for all of them together
QUIT_TIMEOUT_S: Final = 2.0
PERMANENT: Final = 500  # replies from here on say that asking again is of no use (RFC 5321, 4.2.1)


class MailError(Exception):
    """The server did not accept the mail; it may be sent again.

    The text is ours, with the server's reply code: a server's own words may quote what it was sent.
    """


class MailRefused(MailError):
    """The server will not accept this mail: sending it again is of no use."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message to one person, as plain text and HTML."""

    to: str
    subject: str
    text: str
    html: str


class Mailer:
    """Sends through ``smtp://`` (STARTTLS where offered) or ``smtps://``."""

    def __init__(self, smtp_url: str, mail_from: str) -> None:
        parts = urlsplit(smtp_url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ValueError("SMTP_URL must be smtp://host:port or smtps://user:password@host:port")
        self._hostname = parts.hostname
        self._use_tls = parts.scheme == "smtps"
        self._port = parts.port or (465 if self._use_tls else 25)
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._mail_from = mail_from

    async def send(self, mail: Mail, *, name: str | None = None) -> None:
        """Hand the message over. Raises :class:`MailError`, and :class:`MailRefused` where the
        server will not have it.

        ``name`` makes the message's id (without it a random one): who receives a mail twice under
        one id can tell.
        """
        try:
            message = self._message(mail, name)
        except ValueError as error:  # a line break in a header
            raise MailRefused(type(error).__name__) from None
        client = aiosmtplib.SMTP(
            hostname=self._hostname,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._use_tls,
            timeout=ANSWER_TIMEOUT_S,
        )
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await client.connect()
                await client.send_message(message)
            with suppress(aiosmtplib.SMTPException):  # it has the mail already
                await client.quit(timeout=QUIT_TIMEOUT_S)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise _as_mail_error(error) from None
        finally:
            client.close()

    def _message(self, mail: Mail, name: str | None) -> EmailMessage:
        domain = self._mail_from.rpartition("@")[2].rstrip(">")
        message = EmailMessage()
        message["From"] = self._mail_from
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = f"<{name}@{domain}>" if name else make_msgid(domain=domain)
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message


def _as_mail_error(error: Exception) -> MailError:
    """What went wrong, without a word of the server's.

    A permanent reply to the recipient or the message ends it. One to our greeting, password or own
    address does not: that is for the operator to put right, and then the mail can still go.
    """
    codes: list[int] = []
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
    elif isinstance(error, aiosmtplib.SMTPResponseException):
        codes = [error.code]
    text = " ".join([type(error).__name__, *map(str, codes)])
    about_the_mail = isinstance(error, aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError)
    if about_the_mail and min(codes) >= PERMANENT:
        return MailRefused(text)
    if isinstance(error, aiosmtplib.SMTPNotSupported | ValueError):
        return MailRefused(text)
    return MailError(text)
