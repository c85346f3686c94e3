"""Structured logs: one JSON object a line in production, readable lines in development.

The id of a request is bound to every line written while it is served, and travels with the jobs it
starts, so one id finds the whole story.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any, TextIO

import msgspec
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from funmagic.core.clock import now
from funmagic.core.settings import Settings

SECRET_NAME = re.compile(r"(token|secret|password|authorization|cookie|api_?key|credential)", re.I)
REQUEST_ID = re.compile(r"\A[A-Za-z0-9_-]{8,64}\Z")

_requests = logging.getLogger("funmagic.request")
_json: logging.StreamHandler[TextIO] | None = None  # where JSON lines go


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


def configure(settings: Settings) -> None:
    """Set up structlog and route the standard library's loggers through it."""
    global _json  # one handler a process, as the root logger's
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    _json = handler if settings.log_format == "json" else None
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
    if _json is None or _json not in logging.root.handlers:
        logger(_requests.name).info(
            "request", method=method, path=path, status=status, duration_ms=duration_ms
        )
        return
    line = _RequestLine(
        method, path, status, duration_ms, "request", request_id, "info", _requests.name, now()
    )
    _json.stream.write(msgspec.json.encode(line).decode() + "\n")


def bind(**values: str) -> None:
    """Put values on every line written from here on in this context."""
    bind_contextvars(**values)


def clear() -> None:
    """Forget what was bound: the start of a new request or job."""
    clear_contextvars()


def request_id() -> str | None:
    """The id bound to this context, to be sent along with a job."""
    value = get_contextvars().get("request_id")
    return value if isinstance(value, str) else None


def _redact(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in event:
        if SECRET_NAME.search(name):
            event[name] = "[redacted]"
    return event
