"""Every mail about an account, in the reader's language, as text and HTML in one frame."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core import formats
from funmagic.core.clock import now
from funmagic.core.i18n import N_, translate
from funmagic.core.mail import Mail
from funmagic.core.resources import Resources
from funmagic.mail.service import post

PROVIDER_NAMES: Final = {"google": "Google", "facebook": "Facebook", "apple": "Apple"}

GREETING = N_("Hello,")
NOT_ME = N_("If you did not ask for it, ignore this mail: nothing happens.")
NOT_ME_SECURE = N_("If this was not you, set a new password at once: it signs everybody else out.")
ANOTHER_BUTTON = N_("Set a new password")

NOTICE_LIFETIME: Final = timedelta(days=3)
PARAGRAPH: Final = "margin:0 0 16px;font:16px/1.5 sans-serif;color:#18181b"
SMALL: Final = "margin:0;font:14px/1.5 sans-serif;color:#52525b"
BUTTON: Final = (
    "display:inline-block;padding:12px 20px;border-radius:8px;background:#18181b;"
    "color:#ffffff;text-decoration:none;font:600 16px sans-serif"
)


def magic_link_mail(to: str, url: str, locale: str) -> Mail:
    """The sign-in mail. ``url`` carries the token and appears nowhere but here."""
    return _mail(
        to,
        locale,
        subject=N_("Your sign-in link for FunMagic"),
        action=N_("Sign in to FunMagic"),
        url=url,
        notes=(N_("This link works once, for 10 minutes."), NOT_ME),
    )


def confirm_account_mail(to: str, url: str, locale: str) -> Mail:
    """To somebody who registered: the account is made when ``url`` is opened."""
    return _mail(
        to,
        locale,
        subject=N_("Confirm your address for FunMagic"),
        words=(N_("One step is left: tell us that this address is yours."),),
        action=N_("Confirm my address"),
        url=url,
        notes=(N_("This link works once, for 24 hours."), NOT_ME),
    )


def account_exists_mail(to: str, url: str, locale: str) -> Mail:
    """To somebody who registered, or moved to, an address that has an account; ``url`` signs in."""
    return _mail(
        to,
        locale,
        subject=N_("You have a FunMagic account already"),
        words=(
            N_("Somebody, most likely you, wanted to use this address for a FunMagic account."),
            N_("It has one already. Sign in by this link; you can set a new password there."),
        ),
        action=N_("Sign in to FunMagic"),
        url=url,
        notes=(N_("This link works once, for 10 minutes."), NOT_ME),
    )


def reset_password_mail(to: str, url: str, locale: str) -> Mail:
    """To somebody who forgot their password."""
    return _mail(
        to,
        locale,
        subject=N_("Set a new password for FunMagic"),
        words=(N_("You asked to set a new password."),),
        action=N_("Set a new password"),
        url=url,
        notes=(N_("This link works once, for 30 minutes."), NOT_ME),
    )


def no_account_mail(to: str, url: str, locale: str) -> Mail:
    """To an address without an account for which a new password was asked; ``url`` signs in."""
    return _mail(
        to,
        locale,
        subject=N_("There is no FunMagic account for this address"),
        words=(
            N_("You asked to set a new password, but this address has no account with us yet."),
            N_("Perhaps you used another address. To begin with this one, open this link."),
        ),
        action=N_("Begin with this address"),
        url=url,
        notes=(N_("This link works once, for 10 minutes."), NOT_ME),
    )


def password_changed_mail(to: str, url: str, locale: str, *, is_removed: bool = False) -> Mail:
    """After a password was set, changed or removed; ``url`` is where a new one is asked for."""
    return _mail(
        to,
        locale,
        subject=(
            N_("Your FunMagic password was removed")
            if is_removed
            else N_("Your FunMagic password was changed")
        ),
        words=(
            N_("The password of your account was just removed. You still sign in by mail.")
            if is_removed
            else N_("The password of your account was just changed."),
        ),
        action=ANOTHER_BUTTON,
        url=url,
        notes=(NOT_ME_SECURE,),
    )


def new_sign_in_mail(to: str, url: str, locale: str, *, device: str, at: datetime) -> Mail:
    """After a sign-in with a browser not seen before; ``device`` is like "Firefox on Linux"."""
    return _mail(
        to,
        locale,
        subject=N_("New sign-in to your FunMagic account"),
        words=(N_("Somebody just signed in to your account: {device}, {time}."),),
        params={"device": device, "time": time_of(at, locale)},
        action=ANOTHER_BUTTON,
        url=url,
        notes=(N_("If this was you, there is nothing to do."), NOT_ME_SECURE),
    )


def change_email_mail(to: str, url: str, locale: str) -> Mail:
    """To the new address somebody wants for their account."""
    return _mail(
        to,
        locale,
        subject=N_("Confirm your new address for FunMagic"),
        words=(N_("You asked to use this address for your FunMagic account from now on."),),
        action=N_("Use this address"),
        url=url,
        notes=(N_("This link works once, for 24 hours."), NOT_ME),
    )


def email_changed_mail(to: str, url: str, locale: str, *, new_email: str) -> Mail:
    """To the address an account had before; ``url`` gives it back."""
    return _mail(
        to,
        locale,
        subject=N_("Your FunMagic account has a new address"),
        words=(
            N_("Your account now uses {email} in place of this address."),
            N_(
                "If this was not you, take your account back. Everybody is signed out then, and"
                " passwords, connected accounts and keys are removed."
            ),
        ),
        params={"email": new_email},
        action=N_("Take my account back"),
        url=url,
        notes=(N_("This link works once, for 7 days."),),
    )


def link_identity_mail(to: str, url: str, locale: str, *, provider: str) -> Mail:
    """To the address an account elsewhere named without proof that it is its owner's."""
    return _mail(
        to,
        locale,
        subject=N_("Sign in to FunMagic with {provider}"),
        words=(
            N_("You signed in with {provider}. Tell us once that this address is yours."),
            N_("From then on {provider} alone signs you in."),
        ),
        params={"provider": PROVIDER_NAMES[provider]},
        action=N_("Connect {provider} and sign in"),
        url=url,
        notes=(
            N_("This link works once, for 24 hours."),
            N_("If this was not you, do not open it: it would let somebody else in."),
        ),
    )


def identity_connected_mail(to: str, url: str, locale: str, *, provider: str) -> Mail:
    """After an account elsewhere was made a way in; ``url`` is where it can be taken back."""
    return _mail(
        to,
        locale,
        subject=N_("{provider} now signs in to your FunMagic account"),
        words=(N_("An account at {provider} was just connected to yours here."),),
        params={"provider": PROVIDER_NAMES[provider]},
        action=N_("See what is connected"),
        url=url,
        notes=(
            N_("If this was you, there is nothing to do."),
            N_("If this was not you, disconnect it at once and sign all other devices out."),
        ),
    )


def key_created_mail(to: str, url: str, locale: str, *, name: str) -> Mail:
    """After a key for programs was made; ``url`` is where it can be revoked."""
    return _mail(
        to,
        locale,
        subject=N_("A new API key for your FunMagic account"),
        words=(N_("The API key “{name}” was just made. Programs that have it act for you."),),
        params={"name": name},
        action=N_("See your API keys"),
        url=url,
        notes=(
            N_("If this was you, there is nothing to do."),
            N_("If this was not you, revoke it at once and sign all other devices out."),
        ),
    )


def reauthenticate_mail(to: str, url: str, locale: str) -> Mail:
    """To somebody signed in who must show once more who they are."""
    return _mail(
        to,
        locale,
        subject=N_("Confirm that it is you"),
        words=(N_("You are about to change something that matters. Confirm that it is you."),),
        action=N_("It is me"),
        url=url,
        notes=(
            N_("This link works once, for 10 minutes, in the browser you asked from."),
            NOT_ME,
        ),
    )


def deletion_asked_mail(to: str, url: str, locale: str, *, due_at: datetime) -> Mail:
    """After somebody asked to be deleted; ``url`` is where they can think better of it."""
    return _mail(
        to,
        locale,
        subject=N_("Your FunMagic account will be deleted"),
        words=(
            N_("You asked to delete your account. It will be gone on {time}."),
            N_("Until then, sign in and keep it if you change your mind."),
        ),
        params={"time": time_of(due_at, locale)},
        action=N_("Keep my account"),
        url=url,
        notes=(N_("If this was not you, sign in at once and keep your account."),),
    )


def deletion_cancelled_mail(to: str, url: str, locale: str) -> Mail:
    """After somebody kept their account; ``url`` is its page."""
    return _mail(
        to,
        locale,
        subject=N_("Your FunMagic account stays"),
        words=(N_("Your account will not be deleted. Nothing of it was lost."),),
        action=N_("Go to my account"),
        url=url,
    )


def deleted_mail(to: str, locale: str) -> Mail:
    """The last mail, after an account was erased."""
    return _mail(
        to,
        locale,
        subject=N_("Your FunMagic account is deleted"),
        words=(
            N_("Your account and everything you made with it are deleted."),
            N_("What the law makes us keep of payments no longer carries your name."),
        ),
    )


def export_ready_mail(to: str, url: str, locale: str, *, expires_at: datetime) -> Mail:
    """When a copy of somebody's data can be fetched at ``url``, a page that wants a sign-in."""
    return _mail(
        to,
        locale,
        subject=N_("Your data from FunMagic is ready"),
        words=(N_("The copy of your data you asked for is ready. It is kept until {time}."),),
        params={"time": time_of(expires_at, locale)},
        action=N_("Fetch my data"),
        url=url,
    )


async def tell(resources: Resources, session: AsyncSession, mail: Mail, *, kind: str) -> None:
    """Post a notice, a mail without a link that runs out, in the caller's transaction."""
    await post(session, resources.vault, mail, kind=kind, expires_at=now() + NOTICE_LIFETIME)


def time_of(at: datetime, locale: str) -> str:
    """An instant in words of ``locale``, in UTC and saying so: a mail does not know a place."""
    return f"{formats.moment(at.astimezone(UTC), locale)} UTC"


def _mail(
    to: str,
    locale: str,
    *,
    subject: str,
    words: tuple[str, ...] = (),
    action: str = "",
    url: str = "",
    notes: tuple[str, ...] = (),
    params: dict[str, str] | None = None,
) -> Mail:
    """The frame of every mail: greeting, words, one button with its address, notes.

    All words are message ids; ``params`` fill them and are escaped in the HTML.
    """

    def spoken(messages: tuple[str, ...]) -> list[str]:
        return [translate(locale, message, **(params or {})) for message in messages]

    greeting, title, button = spoken((GREETING, subject, action))
    told, noted = spoken(words), spoken(notes)
    parts = [greeting, *told]
    html = "".join(f'<p style="{PARAGRAPH}">{escape(part)}</p>' for part in parts)
    if url:
        parts.append(f"{button}:\n{url}")
        html += (
            f'<p style="{PARAGRAPH}"><a href="{escape(url)}" style="{BUTTON}">'
            f"{escape(button)}</a></p>"
        )
    if noted:
        parts.append("\n".join(noted))
        html += f'<p style="{SMALL}">{"<br>".join(escape(note) for note in noted)}</p>'
    return Mail(
        to=to,
        subject=title,
        text="\n\n".join(parts) + "\n",
        html=(
            f'<!doctype html><html lang="{escape(locale)}"><head><meta charset="utf-8">'
            f"<title>{escape(title)}</title></head>"
            f'<body style="margin:0;padding:32px">{html}</body></html>'
        ),
    )
