"""HTTP at the edges: JSON models, JSON errors, and what every answer carries."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError

from funmagic.core import errors
from funmagic.core.db import DatabaseAway
from funmagic.core.i18n import N_, negotiate, translate
from funmagic.core.log import logger
from funmagic.core.storage import StorageError

log = logger(__name__)

# One of our own servers is away: the same request or task may succeed later.
OUTAGES = (
    DatabaseAway,
    RedisConnectionError,
    RedisTimeoutError,
    StorageError,
    ConnectionError,
)
OUTAGE_RETRY_AFTER_S = 5


class CamelModel(BaseModel):
    """A JSON body or answer: camelCase outside, snake_case inside, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


def as_funmagic_error(error: Exception) -> errors.FunMagicError:
    """Any exception as the tree's: validation, routing, outages; the rest is ``internal``."""
    if isinstance(error, errors.FunMagicError):
        return error
    if isinstance(error, ValidationException):
        extra = error.extra if isinstance(error.extra, list) else []
        return errors.Invalid(
            fields={str(item.get("key", "body")): field_message(item["message"]) for item in extra}
        )
    if isinstance(error, HTTPException):
        return _of_status(error.status_code)
    if isinstance(error, OUTAGES):
        return errors.Unavailable(retry_after_s=OUTAGE_RETRY_AFTER_S)
    if isinstance(error, DBAPIError) and _is_bad_data(error):
        return errors.Invalid()
    return errors.FunMagicError()


def json_error(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """The one shape of every JSON error: ``{"error": {type, message, retryAfter?, fields?}}``.

    A price that has changed comes with the new one: ``credits``.
    """
    problem = as_funmagic_error(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request failed", path=request.url.path, exc_info=error)
    locale = request_locale(request)
    body: dict[str, Any] = {
        "type": problem.type,
        "message": translate(locale, problem.message, **problem.params),
    }
    if problem.retry_after_s is not None:
        body["retryAfter"] = problem.retry_after_s
    if "credits" in problem.params:
        body["credits"] = problem.params["credits"]
    if problem.fields:
        body["fields"] = {
            name: translate(locale, message) for name, message in problem.fields.items()
        }
    headers = error_headers(error, problem)
    return Response({"error": body}, status_code=problem.status, headers=headers)


def error_headers(error: Exception, problem: errors.FunMagicError) -> dict[str, str]:
    """What an error's answer says beside its body: when to come again, which methods there are."""
    headers: dict[str, str] = {}
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(problem.retry_after_s)
    if isinstance(error, HTTPException) and error.headers and "allow" in error.headers:
        headers["Allow"] = error.headers["allow"]
    return headers


def request_locale(request: Request[Any, Any, Any]) -> str:
    """The locale an API answer speaks: the ``fm_locale`` cookie, else ``Accept-Language``."""
    return negotiate(request.cookies.get("fm_locale"), request.headers.get("accept-language", ""))


def field_message(reason: str) -> str:
    """What a person is told of a field, as a message id; a validator's own words stay with us."""
    if reason == "Field required":
        return N_("This is required.")
    return N_("This value is not valid.")


def _is_bad_data(error: DBAPIError) -> bool:
    """Class 22, data exception: a NUL in a text, a number out of range. Never our own text SQL."""
    return str(getattr(error.orig, "sqlstate", None) or "").startswith("22")


_BY_STATUS: dict[int, Callable[[], errors.FunMagicError]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    413: errors.TooLarge,
    429: errors.TooManyRequests,
    503: errors.Unavailable,
}


def _of_status(status: int) -> errors.FunMagicError:
    if status in _BY_STATUS:
        return _BY_STATUS[status]()
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        problem: errors.FunMagicError = errors.Invalid(
            N_("This address does not take that method."), type="method_not_allowed"
        )
        problem.status = status
        return problem
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        problem = errors.Invalid()
        problem.status = status
        return problem
    return errors.FunMagicError()
