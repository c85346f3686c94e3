"""What the templates of help, pricing, terms and privacy may read, in the page's language."""

from __future__ import annotations

from dataclasses import dataclass

from funmagic.core.i18n import translate
from funmagic.core.settings import Settings
from funmagic.web.info_texts import NUMBERS, Section, Topic
from funmagic.web.shop_contexts import ShopCard


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs this installation; each part may be empty. ``address`` is a postal one, by lines."""

    name: str
    email: str
    address: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HelpView:
    topics: tuple[Topic, ...]
    operator: Operator


@dataclass(frozen=True, slots=True)
class ArticleView:
    """A text of several sections: terms, privacy."""

    title: str
    description: str
    sections: tuple[Section, ...]
    operator: Operator


@dataclass(frozen=True, slots=True)
class PricingView:
    """What tools cost. ``cards`` are the most used ones; ``has_more`` where there are others."""

    welcome_credits: int
    cards: tuple[ShopCard, ...]
    has_more: bool
    operator: Operator
    is_stale: bool = False


def operator_of(settings: Settings) -> Operator:
    """Who the settings say runs this installation."""
    lines = settings.operator_address.replace("\\n", "\n").splitlines()
    return Operator(
        settings.operator_name,
        settings.operator_email,
        tuple(filter(None, (line.strip() for line in lines))),
    )


def section_in(section: Section, locale: str) -> Section:
    """A section in ``locale``, its numbers filled in."""
    return Section(
        section.id,
        translate(locale, section.title),
        tuple(translate(locale, text, **NUMBERS) for text in section.paragraphs),
    )


def topic_in(topic: Topic, locale: str) -> Topic:
    """A topic in ``locale``."""
    return Topic(
        topic.id,
        translate(locale, topic.title),
        topic.icon,
        tuple(section_in(question, locale) for question in topic.questions),
    )
