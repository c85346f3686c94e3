"""What help, terms and privacy say: English message ids, translated where they are shown.

Every sentence is true of the product as it stands. Numbers are filled in from the constants the
code keeps to, so that a page cannot promise what is no longer so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from funmagic.accounts import devices, erasure, exports, links, sessions
from funmagic.core.i18n import N_
from funmagic.mail import service as mail
from funmagic.tasks.steps import MAX_INPUT_BYTES


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with paragraphs; ``id`` is its place in the page's address (``#credits``)."""

    id: str
    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Topic:
    """Questions that belong together; ``icon`` stands beside their heading."""

    id: str
    title: str
    icon: str
    questions: tuple[Section, ...]


#: What the texts' placeholders stand for.
NUMBERS: Final[dict[str, int]] = {
    "megabytes": MAX_INPUT_BYTES >> 20,
    "link_minutes": int(links.LIFETIMES["sign_in"].total_seconds()) // 60,
    "grace_days": erasure.GRACE.days,
    "export_days": exports.KEEP.days,
    "session_days": sessions.SESSION_LIFETIME.days,
    "idle_days": sessions.IDLE_LIFETIME.days,
    "browser_days": devices.DEVICE_LIFETIME.days,
    "mail_days": mail.KEEP.days,
}

HELP: Final = (
    Topic(
        "tools",
        N_("Using tools"),
        "wand-sparkles",
        (
            Section(
                "begin",
                N_("How do I use a tool?"),
                (
                    N_(
                        "Open the tool, choose a photo and press its button. You see every step "
                        "live, and the result stays on the tool's page for you to download."
                    ),
                    N_(
                        "You can look at everything without an account. Signing in is asked for "
                        "when you press the button; your photo and your choices are kept meanwhile."
                    ),
                ),
            ),
            Section(
                "photos",
                N_("Which photos can I use?"),
                (
                    N_(
                        "PNG, JPEG, WebP and GIF, up to {megabytes} MB. Of a moving GIF the first "
                        "picture is taken."
                    ),
                ),
            ),
            Section(
                "leave",
                N_("Can I close the page while a tool works?"),
                (
                    N_(
                        "Yes. The run goes on without you. Come back to the tool's page later, on "
                        "any device you are signed in on, and your result is there."
                    ),
                ),
            ),
            Section(
                "stop",
                N_("Can I stop a run?"),
                (
                    N_(
                        "Yes, press Cancel. What has not begun ends at once and costs nothing. "
                        "What has begun is asked to stop; you are charged only if the result "
                        "comes all the same."
                    ),
                ),
            ),
            Section(
                "rate",
                N_("Who can rate a tool?"),
                (
                    N_(
                        "Whoever has finished a run of it. You have one rating for each tool, and "
                        "can change it or take it back at any time."
                    ),
                ),
            ),
        ),
    ),
    Topic(
        "credits",
        N_("Credits"),
        "coins",
        (
            Section(
                "price",
                N_("What does a run cost?"),
                (
                    N_(
                        "The price in credits stands on the button you press. If it changes before "
                        "you press it, you are asked again with the new price."
                    ),
                ),
            ),
            Section(
                "charge",
                N_("When am I charged?"),
                (
                    N_(
                        "When you press the button, the credits are held. They are charged when "
                        "the result is there, and come back at once if there is none. A result "
                        "that is of no use, such as an empty picture, counts as none."
                    ),
                ),
            ),
            Section(
                "history",
                N_("Where do I see what I spent?"),
                (
                    N_(
                        "Your credits page lists every movement: what was held, charged and given "
                        "back, and for which run."
                    ),
                ),
            ),
        ),
    ),
    Topic(
        "account",
        N_("Your account"),
        "user-round",
        (
            Section(
                "sign-in",
                N_("How do I sign in?"),
                (
                    N_(
                        "Type your e-mail address and open the link we send you; no password is "
                        "needed. You can set a password too, or use an account you have elsewhere "
                        "where that is offered."
                    ),
                ),
            ),
            Section(
                "mail",
                N_("The link does not arrive. What now?"),
                (
                    N_(
                        "Look into your spam folder and check the address. A link works once, for "
                        "{link_minutes} minutes; ask for a new one if it has grown old."
                    ),
                ),
            ),
            Section(
                "look",
                N_("Can I change the language and the colours?"),
                (
                    N_(
                        "The language and light or dark are at the top of every page. Six colours "
                        "wait in your profile. What you choose is kept."
                    ),
                ),
            ),
            Section(
                "leaving",
                N_("Can I take my data with me, or delete everything?"),
                (
                    N_(
                        "Both, in your profile. A copy of all that is yours is made as one "
                        "archive. A deleted account is gone for good after {grace_days} days; "
                        "until then you can change your mind."
                    ),
                ),
            ),
        ),
    ),
)

TERMS: Final = (
    Section(
        "service",
        N_("What this is"),
        (
            N_(
                "FunMagic offers tools that change pictures and make new ones, many of them by "
                "artificial intelligence. These terms hold between you and whoever runs this site, "
                "who is named on this page. By using the tools you agree to them."
            ),
        ),
    ),
    Section(
        "account",
        N_("Your account"),
        (
            N_(
                "You need an account to run tools, with an e-mail address that is yours. Keep your "
                "ways of signing in to yourself, and tell us if you think somebody else uses them. "
                "If you are not of age where you live, ask those who answer for you first."
            ),
        ),
    ),
    Section(
        "credits",
        N_("Credits"),
        (
            N_(
                "Credits are for running tools on this site and nothing else: they are not money, "
                "and cannot be passed on or paid out, unless the law says otherwise."
            ),
            N_(
                "A run costs what its button said when you pressed it. The credits are held until "
                "the run ends: charged with the result, given back without one. Unused credits go "
                "when you delete your account."
            ),
        ),
    ),
    Section(
        "pictures",
        N_("Your pictures"),
        (
            N_(
                "What you upload stays yours. You allow us to store it and to have it worked on, "
                "only so far as running the tool you chose needs it. Upload only what you may: "
                "your own pictures, or those whose makers, and the people shown, agree."
            ),
        ),
    ),
    Section(
        "results",
        N_("Results"),
        (
            N_(
                "You may use your results as you like, as far as the law and the rights of others "
                "allow. Software makes mistakes, and others may get results that look alike: check "
                "a result before you rely on it, and say that it was made by artificial "
                "intelligence where that matters or the law asks for it."
            ),
        ),
    ),
    Section(
        "rules",
        N_("What is not allowed"),
        (
            N_(
                "Nothing that is against the law: no sexual pictures of children, no pictures that "
                "undress, degrade or threaten people, nothing meant to deceive others about who "
                "somebody is or what somebody did."
            ),
            N_(
                "No attacks on this site, no getting around its limits and prices, no use of other "
                "people's accounts. Programs may use it with a key from your profile, within the "
                "same limits. We may refuse runs and close accounts that break these rules."
            ),
        ),
    ),
    Section(
        "availability",
        N_("What we promise, and what we cannot"),
        (
            N_(
                "We work with care, but cannot promise that every tool is there at all times or "
                "suits every purpose. Tools come, change and go, and so do prices; a run that has "
                "begun keeps its price. Keep copies of what matters to you."
            ),
            N_(
                "Where something goes wrong we answer for it as the law demands, and no further. "
                "Your rights as a consumer are not touched."
            ),
        ),
    ),
    Section(
        "end",
        N_("Ending and changes"),
        (
            N_(
                "You can leave at any time by deleting your account. If these terms change, the "
                "new ones hold from the day they stand here, for runs you start after it."
            ),
        ),
    ),
)

PRIVACY: Final = (
    Section(
        "short",
        N_("In short"),
        (
            N_(
                "Your pictures are private. No advertising, no counting of visitors by others, "
                "nothing loaded from other companies, nothing sold. You can take all your data "
                "with you and delete it."
            ),
        ),
    ),
    Section(
        "account",
        N_("What we know of you"),
        (
            N_(
                "Your e-mail address; your name and picture if you give them; your language and "
                "colours; your password as a hash that cannot be turned back; accounts elsewhere "
                "that you connected, by their ids; where you are signed in, by browser and time."
            ),
            N_(
                "What you do here: your runs with their settings, photos and results, your credits "
                "and their history, your ratings and bookmarks, and acts that matter for security."
            ),
            N_(
                "We need this to do what you ask of us, to keep the site safe, and to keep books "
                "as the law demands."
            ),
        ),
    ),
    Section(
        "pictures",
        N_("Your photos and results"),
        (
            N_(
                "They lie in a private storage, and only you can open them. Our staff cannot see "
                "them in this product. They stay until you delete your account."
            ),
            N_(
                "Some tools work on our own servers. Others send your photo, with the settings of "
                "the run, to a company that runs the model; your name and address are not sent. "
                "Depending on the tool this is fal.ai, OpenAI or Tripo, which may be in another "
                "country and have rules of their own for how long they keep it."
            ),
        ),
    ),
    Section(
        "cookies",
        N_("Cookies"),
        (
            N_(
                "There are only those that are needed: for staying signed in, up to {session_days} "
                "days, and {idle_days} days without a visit; for knowing this browser as yours, up "
                "to {browser_days} days; and for your language, a year."
            ),
            N_(
                "Your colours, and for an hour the photo you chose before signing in, are kept in "
                "your browser and not sent to us until you press the button."
            ),
        ),
    ),
    Section(
        "logs",
        N_("Records of requests and mails"),
        (
            N_(
                "Our log says which address was asked for, when, and how it went. To slow down "
                "guessing we count tries by network address for up to a day. What became of a mail "
                "is on record for {mail_days} days, without its text and your address."
            ),
        ),
    ),
    Section(
        "rights",
        N_("What you can do"),
        (
            N_(
                "See and change what we know of you in your profile. Ask there for a copy of "
                "everything, which is kept for {export_days} days. Delete your account there: "
                "after {grace_days} days your files, runs, ratings and all that is personal are "
                "gone. Entries of the credit ledger stay, under a number that no longer leads "
                "to you."
            ),
            N_(
                "You can also write to us about any of this, and complain to the authority that "
                "watches over data protection where you live."
            ),
        ),
    ),
)
