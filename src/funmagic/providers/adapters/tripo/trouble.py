"""Tripo's ways to fail, in our words.

Every failure has a code of Tripo's own, in the body of an answer (which may be a 200) or in a task
that failed. Behind the code stands the HTTP status, for answers by whatever is in front of Tripo.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from funmagic.providers.adapters.tripo.sdk import Task, TaskStatus, TripoAPIError
from funmagic.providers.contract import ProviderError, Trouble
from funmagic.providers.fetch import retry_after_s

MESSAGE_LIMIT_CHARS = 500

BY_CODE: Mapping[int, Trouble] = {
    # The key is wrong, or of another region; the model or a version of it is not ours (any more);
    # the credits have run out.
    **dict.fromkeys((2, 1002, 1005, 2010, 2015, 2017), Trouble.UNAUTHORISED),
    **dict.fromkeys((1000, 1001, 2001, 2014, 2018), Trouble.BROKEN),
    **dict.fromkeys((1003, 1004, 2002, 2003, 2004, 2006, 2007), Trouble.INVALID),
    **dict.fromkeys((1007, 2000), Trouble.BUSY),
    2008: Trouble.REFUSED,
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
#: Tripo's own failures: the next answer to the same question may be another one.
SERVERS = (1000, 1001, 2014)


class Unanswered(Exception):
    """No answer came. ``never_sent`` where the question certainly did not reach Tripo."""

    def __init__(self, trouble: Trouble, message: str, *, never_sent: bool = False) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.never_sent = never_sent

    @classmethod
    def because_of(cls, error: Exception) -> Unanswered:
        """Without a connection nothing was sent; after that, nobody knows."""
        return cls(
            Trouble.TIMEOUT if isinstance(error, TimeoutError) else Trouble.BROKEN,
            f"Tripo did not answer: {type(error).__name__}: {error}"[:MESSAGE_LIMIT_CHARS],
            never_sent=isinstance(
                error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            ),
        )


class Answered(Exception):
    """Tripo answered, and not with a success."""

    def __init__(self, status: int, retry_after: str | None, body: bytes) -> None:
        super().__init__(f"Tripo answered {status}")
        self.status = status
        self.retry_after = retry_after
        self.body = body


def of_answer(answer: Answered, *, creates: bool, key: str) -> ProviderError:
    """What an unsuccessful status means, and whether to ask again.

    A create that found no room made nothing; after any other answer, who knows. Any other question
    may be asked again where Tripo itself was in trouble. A 401 is about the key, whatever its code.
    """
    told = _object(answer.body)
    status, code = answer.status, _code(told.get("code"))
    trouble = BY_CODE.get(code, BY_STATUS.get(status, Trouble.BROKEN))
    if status == 401:
        trouble = Trouble.UNAUTHORISED
    has_no_room = status == 429 or trouble == Trouble.BUSY
    text = _text(told) if told else answer.body.decode(errors="replace")
    return ProviderError(
        trouble,
        words(f"{status} {code or ''}: {text}", key),
        may_repeat=has_no_room or (not creates and (status in (408, 409) or status >= 500)),
        retry_after_s=retry_after_s(answer.retry_after),
    )


def of_code(error: TripoAPIError, *, creates: bool, key: str) -> ProviderError:
    """What a failure told with an HTTP status of success means."""
    code = _code(error.code)
    trouble = BY_CODE.get(code, Trouble.BROKEN)
    told = {
        "message": error.message,
        "suggestion": error.suggestion,
        "request_id": error.request_id,
    }
    return ProviderError(
        trouble,
        words(f"{code}: {_text(told)}", key),
        may_repeat=trouble == Trouble.BUSY or (not creates and code in SERVERS),
    )


def of_task(task: Task, key: str, cost_usd_micros: int) -> ProviderError:
    """What a task means that ended without a model. Older ones name refusal in their status."""
    code = _code(task.error_code)
    trouble = BY_CODE.get(code, Trouble.BROKEN)
    if task.status == TaskStatus.BANNED:
        trouble = Trouble.REFUSED
    if trouble not in (Trouble.REFUSED, Trouble.INVALID):
        trouble = Trouble.BROKEN  # whatever it was, it was not this call's to get right
    text = f"task {task.status.value}: {code or ''}: {task.error_msg or ''}"
    return ProviderError(trouble, words(text, key), cost_usd_micros=cost_usd_micros)


def words(text: str, key: str) -> str:
    """A vendor's words for an operator: bounded, in one line, and without our key."""
    for secret in (key, key.removeprefix("tsk_")):
        if secret:
            text = text.replace(secret, "[key]")
    return re.sub(r"\s+", " ", text).strip()[:MESSAGE_LIMIT_CHARS]


def _text(told: Mapping[str, Any]) -> str:
    said = " ".join(str(told[name]) for name in ("message", "suggestion") if told.get(name))
    request_id = told.get("request_id")
    return f"{said} (request {request_id})" if request_id else said


def _code(value: Any) -> int:
    """A code as a number; 0 where there is none."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) else 0


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
