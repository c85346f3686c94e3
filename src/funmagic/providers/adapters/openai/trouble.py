"""OpenAI's ways to fail, in our words.

An unsuccessful answer, and an error amid a stream: ``{"error": {message, type, param, code}}``.
Codes say more than numbers: 429 is both "too fast" and "no money left".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, OpenAIError

from funmagic.providers.contract import ProviderError, Trouble
from funmagic.providers.fetch import retry_after_s

MESSAGE_LIMIT_CHARS = 500
# A key as OpenAI's own messages quote it: with stars in its middle.
KEY = re.compile(r"\bsk-[A-Za-z0-9_*.-]{4,}")

BY_CODE: Mapping[str, Trouble] = {
    "moderation_blocked": Trouble.REFUSED,
    "content_policy_violation": Trouble.REFUSED,
    "insufficient_quota": Trouble.UNAUTHORISED,
    "billing_hard_limit_reached": Trouble.UNAUTHORISED,
    "invalid_api_key": Trouble.UNAUTHORISED,
    "model_not_found": Trouble.UNAUTHORISED,
    "rate_limit_exceeded": Trouble.BUSY,
}
BY_STATUS: Mapping[int, Trouble] = {
    400: Trouble.INVALID,
    401: Trouble.UNAUTHORISED,
    402: Trouble.UNAUTHORISED,
    403: Trouble.UNAUTHORISED,
    408: Trouble.TIMEOUT,
    413: Trouble.INVALID,
    415: Trouble.INVALID,
    422: Trouble.INVALID,
    429: Trouble.BUSY,
}
NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)


class Unreadable(Exception):
    """An answer of a kind or length that is not read on."""


def of_error(error: OpenAIError, secrets: Iterable[str]) -> ProviderError:
    """What the SDK's error means. Where the request may have been sent, it may have made a job:
    only a connection that never was, and a 429, may be followed by the same question."""
    if isinstance(error, APIStatusError):
        return _of_answer(error, secrets)
    if isinstance(error, APIConnectionError):
        cause = error.__cause__
        return ProviderError(
            Trouble.TIMEOUT if isinstance(error, APITimeoutError) else Trouble.BROKEN,
            words(f"OpenAI did not answer: {type(cause).__name__}: {cause}", secrets),
            may_repeat=isinstance(cause, NEVER_SENT),
        )
    if isinstance(error, APIError):  # amid a stream
        trouble = next((BY_CODE[it] for it in _names(error) if it in BY_CODE), Trouble.BROKEN)
        return ProviderError(trouble, words(f"amid the stream: {_text(error)}", secrets))
    return ProviderError(Trouble.BROKEN, words(f"{type(error).__name__}: {error}", secrets))


def words(text: str, secrets: Iterable[str]) -> str:
    """A vendor's words for an operator: bounded, in one line, and without our secrets."""
    for secret in secrets:
        text = text.replace(secret, "[key]")
    return re.sub(r"\s+", " ", KEY.sub("[key]", text)).strip()[:MESSAGE_LIMIT_CHARS]


def _of_answer(error: APIStatusError, secrets: Iterable[str]) -> ProviderError:
    status = error.status_code
    found = next((BY_CODE[it] for it in _names(error) if it in BY_CODE), None)
    if found is None and status == 400 and error.param == "model":
        found = Trouble.UNAUTHORISED  # it is not ours (any more)
    trouble = found or BY_STATUS.get(status, Trouble.BROKEN)
    return ProviderError(
        trouble,
        words(f"{status} {_text(error)}", secrets),
        may_repeat=status == 429 and trouble == Trouble.BUSY,
        retry_after_s=_wait_s(error.response.headers),
    )


def _names(error: APIError) -> list[str]:
    return [name for name in (error.code, error.type) if isinstance(name, str)]


def _text(error: APIError) -> str:
    """Type, code, message and request id, as far as they are told."""
    body: Any = error.body
    told = body.get("message") if isinstance(body, dict) else None
    request_id = getattr(error, "request_id", None)
    named = f" [request {request_id}]" if request_id else ""
    return f"{'/'.join(reversed(_names(error)))}: {told or error.message}{named}"


def _wait_s(headers: Mapping[str, str]) -> float | None:
    """How long to wait, by OpenAI's own header in milliseconds, else by the standard's."""
    wait_ms = retry_after_s(headers.get("retry-after-ms"))
    return retry_after_s(headers.get("retry-after")) if wait_ms is None else wait_ms / 1000
