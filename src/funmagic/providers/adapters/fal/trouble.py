"""fal's ways to fail, in our words.

A *model* fails with a list of details, each with a type; the *platform* around it with one text and
an ``error_type``, told in the body or in a header. A job that ended in failure shows it in its
status, or only when its result is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx

from funmagic.providers.contract import ProviderError, Trouble
from funmagic.providers.fetch import retry_after_s

MESSAGE_LIMIT_CHARS = 500

BY_TYPE: Mapping[str, Trouble] = {
    "content_policy_violation": Trouble.REFUSED,
    **dict.fromkeys(
        (
            *("image_too_small", "image_too_large", "image_load_error", "file_download_error"),
            *("face_detection_error", "file_too_large", "unsupported_image_format"),
            *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of"),
            *("sequence_too_short", "sequence_too_long", "one_of", "missing", "bad_request"),
            *("feature_not_supported",),
        ),
        Trouble.INVALID,
    ),
    **dict.fromkeys(
        ("request_timeout", "startup_timeout", "generation_timeout", "runner_connection_timeout"),
        Trouble.TIMEOUT,
    ),
    "runner_scheduling_failure": Trouble.BUSY,
    **dict.fromkeys(
        (
            *("no_media_generated", "downstream_service_error", "downstream_service_unavailable"),
            *("internal_server_error", "internal_error", "runner_server_error"),
            *("runner_disconnected", "runner_connection_refused", "runner_connection_error"),
            *("runner_incomplete_response", "client_disconnected", "client_cancelled"),
        ),
        Trouble.BROKEN,
    ),
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
    503: Trouble.BUSY,
    504: Trouble.TIMEOUT,
}


class Unanswered(Exception):
    """No answer came. ``never_sent`` where the question certainly did not reach fal."""

    def __init__(self, trouble: Trouble, message: str, *, never_sent: bool = False) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.never_sent = never_sent

    @classmethod
    def because_of(cls, error: httpx.TransportError) -> Unanswered:
        """Without a connection nothing was sent; after that, nobody knows."""
        is_late = isinstance(error, httpx.TimeoutException)
        return cls(
            Trouble.TIMEOUT if is_late else Trouble.BROKEN,
            f"fal did not answer: {type(error).__name__}: {error}"[:MESSAGE_LIMIT_CHARS],
            never_sent=isinstance(
                error,
                (
                    *(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout),
                    *(httpx.UnsupportedProtocol, httpx.LocalProtocolError),
                ),
            ),
        )


class Answered(Exception):
    """fal answered, and not with a success."""

    def __init__(self, status: int, headers: httpx.Headers, body: bytes) -> None:
        super().__init__(f"fal answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


def of_answer(answer: Answered, *, creates: bool, key: str) -> ProviderError:
    """What an unsuccessful answer means, and whether to ask again.

    A create that was answered 429 made nothing; after any other answer, who knows. Any other
    question may be asked again where fal itself was in trouble, but not where the model was: then
    the job has ended.
    """
    types, text = _told(answer)
    found = next((BY_TYPE[name] for name in types if name in BY_TYPE), None)
    status = answer.status
    may_pass = status in (408, 409, 429) or (status >= 500 and not _is_the_models(answer))
    return ProviderError(
        found or BY_STATUS.get(status, Trouble.BROKEN),
        words(f"{status} {' '.join(types)}: {text}", key),
        may_repeat=status == 429 if creates else may_pass,
        retry_after_s=retry_after_s(answer.headers.get("retry-after")),
    )


def of_status(error: str | None, error_type: str | None, key: str) -> ProviderError:
    """What the status of a job that ended in failure means."""
    kind = str(error_type or "")
    return ProviderError(BY_TYPE.get(kind, Trouble.BROKEN), words(f"{kind}: {error}", key))


def words(text: str, key: str) -> str:
    """A vendor's words for an operator: bounded, in one line, and without our key."""
    for secret in (key, key.partition(":")[2]):
        if secret:
            text = text.replace(secret, "[key]")
    return re.sub(r"\s+", " ", text).strip()[:MESSAGE_LIMIT_CHARS]


def _told(answer: Answered) -> tuple[list[str], str]:
    """The types an answer names, and its text."""
    body = _json(answer.body)
    if not isinstance(body, dict):
        kinds = [answer.headers.get("x-fal-error-type")]
        return [kind for kind in kinds if kind], answer.body.decode(errors="replace")
    detail = body.get("detail")
    entries = [it for it in detail if isinstance(it, dict)] if isinstance(detail, list) else []
    kinds = [body.get("error_type"), answer.headers.get("x-fal-error-type")]
    kinds += [entry.get("type") for entry in entries]
    text = "; ".join(str(entry.get("msg")) for entry in entries) or str(detail or body)
    return list(dict.fromkeys(kind for kind in kinds if isinstance(kind, str))), text


def _is_the_models(answer: Answered) -> bool:
    body = _json(answer.body)
    return isinstance(body, dict) and isinstance(body.get("detail"), list)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
