"""JSON of the ways in that need nobody else, of the ways back, and of signing out."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from pydantic import Field

from funmagic.accounts import entrance, sessions
from funmagic.accounts.models import User
from funmagic.accounts.profile import BAD_NAME, plain_name
from funmagic.core import errors
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.resources import Resources

MAX_EMAIL_CHARS = 400
MAX_NEXT_CHARS = 4_000
MAX_PASSWORD_CHARS = 4_000  # what is said of one that is too long, ``passwords`` says
MAX_TOKEN_CHARS = 100


class AddressRequest(CamelModel):
    """``next`` is a path on this site; anything else is taken as ``/``."""

    email: str = Field(max_length=MAX_EMAIL_CHARS)
    next: str | None = Field(default=None, max_length=MAX_NEXT_CHARS)


class RegisterRequest(AddressRequest):
    """A password has 8 to 256 characters of any kind, and is none that is common."""

    password: str = Field(max_length=MAX_PASSWORD_CHARS)
    name: str = Field(default="", max_length=400)


class LoginRequest(CamelModel):
    email: str = Field(max_length=MAX_EMAIL_CHARS)
    password: str = Field(max_length=MAX_PASSWORD_CHARS)


class TokenRequest(CamelModel):
    token: str = Field(max_length=MAX_TOKEN_CHARS)


class ResetRequest(TokenRequest):
    password: str = Field(max_length=MAX_PASSWORD_CHARS)


class VerifyRequest(TokenRequest):
    """In another browser than the one that asked, the password or ``withoutPassword`` is needed."""

    password: str | None = Field(default=None, max_length=MAX_PASSWORD_CHARS)
    without_password: bool = False


class SentView(CamelModel):
    sent: bool


class UserView(CamelModel):
    id: str
    email: str
    name: str
    role: str

    @classmethod
    def of(cls, user: User) -> UserView:
        return cls(id=str(user.id), email=user.email, name=user.name, role=user.role)


class SessionView(CamelModel):
    user: UserView | None


class SignedInView(CamelModel):
    """Who signed in, and the path they were on before."""

    user: UserView
    next: str


@post("/magic-link", status_code=202)
async def send_magic_link(
    request: Request[Any, Any, Any], data: JSONBody[AddressRequest]
) -> SentView:
    """Mail a sign-in link. The answer is the same for known and unknown addresses."""
    await entrance.ask_for_link(request, data.email, next=data.next, locale=request_locale(request))
    return SentView(sent=True)


@post("/register", status_code=202)
async def register(request: Request[Any, Any, Any], data: JSONBody[RegisterRequest]) -> SentView:
    """Mail a link that makes the account. The answer is the same where there is one already."""
    name = plain_name(data.name)
    if name is None:
        raise errors.Invalid(fields={"name": BAD_NAME})
    await entrance.register(
        request,
        data.email,
        data.password,
        name=name,
        next=data.next,
        locale=request_locale(request),
    )
    return SentView(sent=True)


@post("/verify-email", status_code=200)
async def verify_email(
    request: Request[Any, Any, Any], data: JSONBody[VerifyRequest]
) -> SignedInView:
    """Use a confirmation link: the account is made and signed in."""
    user, next_path = await entrance.confirm_account(
        request, data.token, password=data.password, without_password=data.without_password
    )
    return SignedInView(user=UserView.of(user), next=next_path)


@post("/login", status_code=200)
async def log_in(request: Request[Any, Any, Any], data: JSONBody[LoginRequest]) -> SessionView:
    """Sign in by password."""
    user = await entrance.log_in(request, data.email, data.password)
    return SessionView(user=UserView.of(user))


@post("/forgot-password", status_code=202)
async def forgot_password(
    request: Request[Any, Any, Any], data: JSONBody[AddressRequest]
) -> SentView:
    """Mail a link to set a new password. The answer is the same for unknown addresses."""
    await entrance.ask_for_reset(
        request, data.email, next=data.next, locale=request_locale(request)
    )
    return SentView(sent=True)


@post("/reset-password", status_code=200)
async def reset_password(
    request: Request[Any, Any, Any], data: JSONBody[ResetRequest]
) -> SignedInView:
    """Set a new password by a mailed link and sign in; every other session ends."""
    user, next_path = await entrance.reset_password(request, data.token, data.password)
    return SignedInView(user=UserView.of(user), next=next_path)


@post("/confirm-email", status_code=200)
async def confirm_email(request: Request[Any, Any, Any], data: JSONBody[TokenRequest]) -> UserView:
    """Use the link mailed to a new address, in the browser that asked or signed in."""
    return UserView.of(await entrance.confirm_email_change(request, data.token))


@post("/keep-email", status_code=200)
async def keep_email(request: Request[Any, Any, Any], data: JSONBody[TokenRequest]) -> SessionView:
    """Take an account back to the address it had, by the link mailed there; signs in."""
    user = await entrance.keep_email(request, data.token)
    return SessionView(user=UserView.of(user))


@post("/logout", status_code=204)
async def sign_out(request: Request[Any, Any, Any], resources: NamedDependency[Resources]) -> None:
    """End this browser's session. Signing out twice is fine."""
    async with resources.db.transaction() as session:
        await sessions.sign_out(request, session)


@get("/session")
async def show_session(user_or_none: NamedDependency[User | None]) -> SessionView:
    """Who is signed in here."""
    return SessionView(user=UserView.of(user_or_none) if user_or_none else None)


router = Router(
    "/api/auth",
    route_handlers=[
        send_magic_link,
        register,
        verify_email,
        log_in,
        forgot_password,
        reset_password,
        confirm_email,
        keep_email,
        sign_out,
        show_session,
    ],
)
