"""Structured logs: one JSON object a line in production, readable lines in development.

The id of a request is bound to every line written while it is served, and travels with the jobs it
starts, so one id finds the whole story.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from funmagic.core.clock import now
from funmagic.core.settings import Settings

SECRET_NAME = re.compile(r"(token|secret|password|authorization|cookie|api_?key|credential)", re.I)
REQUEST_ID = re.compile(r"\A[A-Za-z0-9_-]{8,64}\Z")

_requests = logging.getLogger("funmagic.request")
_encoder = msgspec.json.Encoder()
_request_id: ContextVar[str] = ContextVar("request_id", default="")


class _RequestLine(msgspec.Struct):
    """The members of a request's line, in the order that other lines have."""

    method: str
    path: str
    status: int
    duration_ms: float
    event: str
    request_id: str
    level: str
    logger: str
    timestamp: datetime


class _Lines(logging.StreamHandler[TextIO]):
    """Writes JSON lines; those of requests that end in the same turn of the loop all at once.

    A write for each of them would take longer than all the rest that is done for a page that is
    kept. Every other line is written at once, and after those that came before it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[_RequestLine] = []

    def add(self, line: _RequestLine) -> None:
        """Write a line before the loop waits again."""
        self._waiting.append(line)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write_waiting()
        except Exception:
            self.handleError(record)
        super().emit(record)

    def flush(self) -> None:
        self._write_waiting()
        super().flush()

    def _write_waiting(self) -> None:
        with self.lock or nullcontext():
            waiting, self._waiting = self._waiting, []
            if waiting:
                self.stream.write(_encoder.encode_lines(waiting).decode())


def configure(settings: Settings) -> None:
    """Set up structlog and route the standard library's loggers through it."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain tracebacks: the pretty ones print local variables, secrets among them.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = (
        _Lines(sys.stderr) if settings.log_format == "json" else logging.StreamHandler(sys.stderr)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in (
        *("botocore", "aiobotocore", "asyncio", "urllib3"),
        *("httpx", "httpcore", "httpx2", "httpcore2"),
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def logger(name: str) -> Any:
    """The logger of one module."""
    return structlog.stdlib.get_logger(name)


def answered(method: str, path: str, status: int, duration_ms: float, request_id: str) -> None:
    """One line for a request, the same as :func:`logger` would write.

    Every request has one. Written by the way of all others, it would take longer than all the rest
    that is done for a page that is kept.
    """
    if not _requests.isEnabledFor(logging.INFO):
        return
    handlers = logging.root.handlers
    if len(handlers) != 1 or not isinstance(handlers[0], _Lines):
        logger(_requests.name).info(
            "request", method=method, path=path, status=status, duration_ms=duration_ms
        )
        return
    line = _RequestLine(
        method, path, status, duration_ms, "request", request_id, "info", _requests.name, now()
    )
    handlers[0].add(line)


def begin(request_id: str, **values: str) -> None:
    """The start of a request or a job: what it is known by goes on every line written from here on
    in this context, instead of what was said of the one before."""
    clear_contextvars()
    _request_id.set(request_id)
    if values:
        bind_contextvars(**values)


def request_id() -> str | None:
    """The id of the request this context is of, to be sent along with a job."""
    return _request_id.get() or None


def _add_request_id(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if request_id := _request_id.get():
        event["request_id"] = request_id
    return event


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in event:
        if SECRET_NAME.search(name):
            event[name] = "[redacted]"
    return event
