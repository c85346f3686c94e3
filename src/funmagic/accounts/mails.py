"""The mails of signing in, in the reader's language, as text and HTML."""

from __future__ import annotations

from html import escape

from funmagic.core.i18n import N_, translate
from funmagic.core.mail import Mail

SUBJECT = N_("Your sign-in link for FunMagic")
GREETING = N_("Hello,")
ACTION = N_("Sign in to FunMagic")
LIFETIME = N_("This link works once, for 10 minutes.")
NOT_ME = N_("If you did not ask for it, ignore this mail: nothing happens.")


def magic_link_mail(to: str, url: str, locale: str) -> Mail:
    """The sign-in mail. ``url`` carries the token and appears nowhere but here."""
    subject, greeting, action, lifetime, not_me = (
        translate(locale, message) for message in (SUBJECT, GREETING, ACTION, LIFETIME, NOT_ME)
    )
    text = f"{greeting}\n\n{action}:\n{url}\n\n{lifetime}\n{not_me}\n"
    paragraph = '<p style="margin:0 0 16px;font:16px/1.5 sans-serif;color:#18181b">'
    button = (
        "display:inline-block;padding:12px 20px;border-radius:8px;background:#18181b;"
        "color:#ffffff;text-decoration:none;font:600 16px sans-serif"
    )
    html = (
        f'<!doctype html><html lang="{escape(locale)}"><body style="margin:0;padding:32px">'
        f"{paragraph}{escape(greeting)}</p>"
        f'{paragraph}<a href="{escape(url)}" style="{button}">{escape(action)}</a></p>'
        f"{paragraph}{escape(lifetime)}<br>{escape(not_me)}</p>"
        "</body></html>"
    )
    return Mail(to=to, subject=subject, text=text, html=html)
