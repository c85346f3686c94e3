"""A mail server that delivers to nobody: every message lands in a Maildir.

Run as ``python -m funmagic.embedded.mail PORT MAILDIR``. The development inbox shows the Maildir.
"""

from __future__ import annotations

import asyncio
import mailbox
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from funmagic.embedded.process import Child
from funmagic.embedded.server import Server, Site, answers, child_environment, free_ports

_MESSAGE_LIMIT_BYTES = 10_000_000
#: The oldest messages beyond this many are removed: an inbox for trying things out.
_MESSAGES_KEPT = 500


class Mail(Server):
    """The sink as one of the embedded servers."""

    name = "mail"
    title = "Mail sink"
    stop_patience_s = 2.0

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.port = 0

    @property
    def maildir(self) -> Path:
        return self.data / "inbox"

    def prepare(self) -> None:
        super().prepare()
        mailbox.Maildir(self.maildir, create=True)
        self.port = self.port or free_ports(1)[0]

    def spawn(self) -> Child:
        return Child(
            self.name,
            [sys.executable, "-P", "-m", "funmagic.embedded.mail", str(self.port), self.maildir],
            log=self.site.logs / "mail.log",
            janitor=self.site.janitor,
            environment=child_environment({"PYTHONPATH": ":".join(filter(None, sys.path))}),
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        return answers(self.port)

    def environment(self) -> dict[str, str]:
        return {
            "SMTP_URL": f"smtp://127.0.0.1:{self.port}",
            "DEV_INBOX_DIR": str(self.maildir),
        }


class MaildirSink:
    """Accepts every message for every address."""

    def __init__(self, maildir: Path) -> None:
        self._box = mailbox.Maildir(maildir, create=True)

    # The name and the arguments are aiosmtpd's hook.
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        recipients = ", ".join(envelope.rcpt_tos).encode("ascii", "replace")
        self._box.add(b"X-Envelope-To: " + recipients + b"\r\n" + content)
        self._remove_oldest()
        return "250 kept"

    def _remove_oldest(self) -> None:
        folder = Path(self._box._path) / "new"
        by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        for path in by_age[:-_MESSAGES_KEPT]:
            path.unlink(missing_ok=True)


async def serve(port: int, maildir: Path) -> None:
    """Listen on loopback until the process is ended."""
    sink = MaildirSink(maildir)

    def greet() -> SMTP:
        return SMTP(sink, enable_SMTPUTF8=True, data_size_limit=_MESSAGE_LIMIT_BYTES)

    server = await asyncio.get_running_loop().create_server(greet, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
