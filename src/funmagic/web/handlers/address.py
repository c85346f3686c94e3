"""The pages of a change of address: the link to the new one, and the way back from the old one.

Looking at either is free; one button does it.
"""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from funmagic.accounts import entrance
from funmagic.accounts.models import User
from funmagic.core.errors import FunMagicError
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.web.account_contexts import ConfirmView
from funmagic.web.handlers.mailed_links import MAX_TOKEN_CHARS, Form, answer, read, spent
from funmagic.web.pages import AnyRequest, known_locale


@get("/{locale:str}/confirm-email", include_in_schema=False)
async def open_email_change(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    token: FromQuery[str] = "",
) -> Template:
    """Whether the account is to have this address from now on."""
    known_locale(locale)
    link = await read(resources, token, "change_email")
    view = spent(locale, link)
    if link is not None and link.usable:
        view = ConfirmView(
            title=translate(locale, N_("Your new address is")),
            email=link.email,
            text=translate(
                locale, N_("You sign in with it from now on. The old one gets a mail about it.")
            ),
            button=translate(locale, N_("Use this address")),
            icon="mail-check",
            action_path=f"/{locale}/confirm-email",
            token=token,
            is_usable=True,
        )
    return await answer(request, resources, user_or_none, view)


@post("/{locale:str}/confirm-email", include_in_schema=False, status_code=200)
async def change_email(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    data: Form,
) -> Template:
    """The button: the account has the new address."""
    known_locale(locale)
    link = await read(resources, data.token, "change_email")
    try:
        changed = await entrance.confirm_email_change(request, data.token[:MAX_TOKEN_CHARS])
    except FunMagicError as error:
        view = spent(locale, link, translate(locale, error.message, **error.params))
        return await answer(request, resources, user_or_none, view, status_code=error.status)
    view = ConfirmView(
        title=translate(locale, N_("Your address is changed")),
        text=translate(locale, N_("Your account now uses {email}."), email=changed.email),
        button=translate(locale, N_("Go to your profile")),
        icon="circle-check",
        action_path=f"/{locale}/profile",
    )
    return await answer(request, resources, user_or_none, view, status_code=200)


@get("/{locale:str}/keep-email", include_in_schema=False)
async def open_way_back(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    token: FromQuery[str] = "",
) -> Template:
    """Whether the account is to have its old address again."""
    known_locale(locale)
    link = await read(resources, token, "keep_email")
    view = spent(locale, link)
    if link is not None and link.usable:
        view = ConfirmView(
            title=translate(locale, N_("Was it not you?")),
            text=translate(
                locale,
                N_(
                    "Your account gets its old address {email} back. Everybody is signed out, and"
                    " its password, keys and connected accounts are removed."
                ),
                email=link.email,
            ),
            button=translate(locale, N_("Take my account back")),
            icon="shield-alert",
            action_path=f"/{locale}/keep-email",
            token=token,
            is_usable=True,
        )
    return await answer(request, resources, user_or_none, view)


@post("/{locale:str}/keep-email", include_in_schema=False, status_code=200)
async def keep_email(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    locale: FromPath[str],
    data: Form,
) -> Template:
    """The button: the account has its old address again, and nobody is signed in."""
    known_locale(locale)
    link = await read(resources, data.token, "keep_email")
    try:
        user = await entrance.keep_email(request, data.token[:MAX_TOKEN_CHARS])
    except FunMagicError as error:
        view = spent(locale, link, translate(locale, error.message, **error.params))
        return await answer(request, resources, None, view, status_code=error.status)
    view = ConfirmView(
        title=translate(locale, N_("Your account is back")),
        text=translate(
            locale,
            N_("It has its old address again, and you are the only one signed in."),
        ),
        button=translate(locale, N_("Set a new password")),
        icon="shield-check",
        action_path=f"/{locale}/profile/security",
    )
    return await answer(request, resources, user, view, status_code=200)
