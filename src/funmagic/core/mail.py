"""Outgoing mail over SMTP."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

import aiosmtplib

SEND_TIMEOUT_S = 20.0


class MailError(Exception):
    """The mail was not accepted by the server; it may be sent again."""


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

    async def send(self, mail: Mail) -> None:
        """Hand the message over. Raises :class:`MailError`."""
        message = EmailMessage()
        message["From"] = self._mail_from
        message["To"] = mail.to
        message["Subject"] = mail.subject
        message["Date"] = formatdate(localtime=False)
        message["Message-ID"] = make_msgid(domain=self._mail_from.rpartition("@")[2].rstrip(">"))
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        try:
            await aiosmtplib.send(
                message,
                hostname=self._hostname,
                port=self._port,
                username=self._username,
                password=self._password,
                use_tls=self._use_tls,
                timeout=SEND_TIMEOUT_S,
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailError(str(error)) from error
