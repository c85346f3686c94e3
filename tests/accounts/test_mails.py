"""Every mail about an account says the same as text and as HTML, in the reader's language."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from html import unescape

import pytest

from funmagic.accounts import links, mails
from funmagic.core.i18n import LOCALES
from funmagic.core.mail import Mail

AT = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
URL = "https://fun.example/en/page?token=abc&more=<1>"
LINKED: dict[str, Callable[[str, str, str], Mail]] = {
    "sign_in": mails.magic_link_mail,
    "confirm_account": mails.confirm_account_mail,
    "reset_password": mails.reset_password_mail,
    "change_email": mails.change_email_mail,
    "keep_email": partial(mails.email_changed_mail, new_email="<b>@example.com"),
    "link_identity": partial(mails.link_identity_mail, provider="facebook"),
    "reauthenticate": mails.reauthenticate_mail,
}
OTHERS: dict[str, Callable[[str, str, str], Mail]] = {
    "account_exists": mails.account_exists_mail,
    "no_account": mails.no_account_mail,
    "password_changed": mails.password_changed_mail,
    "password_removed": partial(mails.password_changed_mail, is_removed=True),
    "new_sign_in": partial(mails.new_sign_in_mail, device="Firefox on <Linux>", at=AT),
    "identity_connected": partial(mails.identity_connected_mail, provider="apple"),
    "key_created": partial(mails.key_created_mail, name="<CI>"),
    "deletion_asked": partial(mails.deletion_asked_mail, due_at=AT),
    "deletion_cancelled": mails.deletion_cancelled_mail,
    "deleted": lambda to, _url, locale: mails.deleted_mail(to, locale),
    "export_ready": partial(mails.export_ready_mail, expires_at=AT),
}
# Letters no mail of another language has: Han, kana, Hangul, and Vietnamese tones.
SCRIPTS = {
    r"[\u4e00-\u9fff]": {"zh", "ja"},
    r"[\u3040-\u30ff]": {"ja"},
    r"[\uac00-\ud7a3]": {"ko"},
    r"[\u1ea0-\u1ef9]": {"vi"},
}
WORDS = {600: "10 minutes", 1_800: "30 minutes", 86_400: "24 hours", 604_800: "7 days"}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("kind", [*LINKED, *OTHERS])
def test_a_mail_says_the_same_in_both_parts(kind: str, locale: str) -> None:
    mail = (LINKED | OTHERS)[kind]("ada@example.com", URL, locale)
    assert mail.to == "ada@example.com"
    for said in (mail.subject, mail.text):
        assert said.strip()
        assert "{" not in said
    for script, speakers in SCRIPTS.items():
        assert (locale in speakers) == bool(re.search(script, mail.subject + mail.text))
    english = (LINKED | OTHERS)[kind]("ada@example.com", URL, "en")
    assert (locale == "en") == (mail.subject == english.subject)
    assert (URL in mail.text) == (kind != "deleted")
    body = mail.html.partition("<body")[2]
    assert "<Linux>" not in body
    assert "<b>@" not in body
    shown = unescape(re.sub(r"<[^>]+>", "\n", f"<body{body}"))
    for line in filter(None, mail.text.splitlines()):
        assert line.removesuffix(":") in shown or line == URL
    assert mail.html.count("<a ") == (kind != "deleted")


@pytest.mark.parametrize("purpose", LINKED)
def test_a_mail_says_how_long_its_link_works(purpose: str) -> None:
    lifetime_s = int(links.LIFETIMES[purpose].total_seconds())
    assert WORDS[lifetime_s] in LINKED[purpose]("ada@example.com", URL, "en").text


def test_every_purpose_has_its_mail_its_page_and_its_lifetime() -> None:
    assert set(LINKED) == set(links.LIFETIMES) == set(links.PAGES)


def test_a_time_is_said_with_its_zone() -> None:
    said = mails.new_sign_in_mail("ada@example.com", URL, "en", device="Firefox", at=AT).text
    assert "Mar 4, 2026" in said
    assert "UTC" in said
