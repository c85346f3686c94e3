"""The tree of errors people can meet.

    FunMagicError                 500  internal
    ├── Invalid                   422  invalid_input
    ├── Unauthenticated           401  unauthenticated
    ├── NotEnoughCredits          402  insufficient_credits
    ├── Forbidden                 403  forbidden
    ├── NotFound                  404  not_found
    ├── Conflict                  409  conflict
    ├── TooLarge                  413  too_large
    ├── TooManyRequests           429  rate_limited
    └── Unavailable               503  unavailable

``message`` is an English message id for people; it is translated where the answer is written.
``type`` is stable and for programs. ``retry_after_s`` is whole seconds, sent as ``Retry-After``.
``fields`` maps an input field's JSON name to a message id of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from funmagic.core.i18n import N_


class FunMagicError(Exception):
    """Base of every error the product raises on purpose."""

    status = 500
    type = "internal"
    default_message = N_("Something went wrong on our side. Please try again.")

    def __init__(
        self,
        message: str | None = None,
        *,
        type: str | None = None,
        retry_after_s: int | None = None,
        fields: Mapping[str, str] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> None:
        self.message = message or self.default_message
        self.retry_after_s = retry_after_s
        self.fields = dict(fields or {})
        self.params = dict(params or {})
        if type is not None:
            self.type = type
        super().__init__(self.message)


class Invalid(FunMagicError):
    status = 422
    type = "invalid_input"
    default_message = N_("Invalid input. Please check your settings.")


class Unauthenticated(FunMagicError):
    status = 401
    type = "unauthenticated"
    default_message = N_("Please sign in first.")


class NotEnoughCredits(FunMagicError):
    status = 402
    type = "insufficient_credits"
    default_message = N_("Not enough credits. Please purchase more.")


class Forbidden(FunMagicError):
    status = 403
    type = "forbidden"
    default_message = N_("You are not allowed to do this.")


class NotFound(FunMagicError):
    status = 404
    type = "not_found"
    default_message = N_("We could not find what you asked for.")


class Conflict(FunMagicError):
    status = 409
    type = "conflict"
    default_message = N_("This was changed in the meantime. Please try again.")


class TooLarge(FunMagicError):
    status = 413
    type = "too_large"
    default_message = N_("This is too large.")


class TooManyRequests(FunMagicError):
    status = 429
    type = "rate_limited"
    default_message = N_("Too many requests. Please wait.")


class Unavailable(FunMagicError):
    status = 503
    type = "unavailable"
    default_message = N_("This is not available right now. Please try again in a moment.")
