"""The templates' environment: strict, escaped, in the page's language."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context, Macro
from jinja2.utils import htmlsafe_json_dumps
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.template import TemplateConfig
from markupsafe import Markup

from funmagic.core import formats
from funmagic.core.i18n import browser_messages, ntranslate, translate
from funmagic.core.settings import Settings
from funmagic.web.static import front_end

PACKAGE = Path(__file__).parents[2]
MOST_KEPT: Final = 2_000  # of about 2 kB each
MOST_PARTS: Final = 1_000  # of about 6 kB each
MOST_PATH_CHARS: Final = 200  # a page's path is in its parts, once or twice for each language
# A name of the public pages or of the dashboard, or ``tools/<folder>/<file>`` of a tool's own.
FOLDERS = (PACKAGE / "web" / "templates", PACKAGE / "dashboard" / "templates", PACKAGE)

_drawn: dict[tuple[str, str, tuple[Hashable, ...]], str] = {}
_parts: dict[tuple[str, Hashable], Markup] = {}


def template_config(settings: Settings) -> TemplateConfig[JinjaTemplateEngine]:
    """For the application: our environment in Litestar's clothes."""
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment(settings)))


def environment(settings: Settings) -> Environment:
    """Jinja with our words, icons and addresses; an unknown name is an error."""
    env = Environment(
        loader=FileSystemLoader(FOLDERS),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=not settings.is_production,
    )
    built = front_end()
    env.globals.update(
        _=_translated,
        ngettext=_numbered,
        href=_href,
        icon=icon,
        symbol=symbol,
        drawn_symbol=drawn_symbol,
        draw=icon,  # the same inside macros that have a parameter called icon
        brand_mark=brand_mark,
        static=built.url,
        preloads=built.preloads,
        messages_json=_messages_json,
        kept=_kept,
        part=_part,
    )
    env.filters.update(number=_number, dollars=_dollars, moment=_moment, ago=_ago)
    return env


@cache
def _messages_json(locale: str) -> Markup:
    """The browser's messages, for a script element."""
    return htmlsafe_json_dumps(browser_messages(locale))


@lru_cache(maxsize=1_000)  # a page of the catalog has more than a hundred
def icon(name: str, classes: str = "") -> Markup:
    """An inline icon, hidden from assistive technology: words stand beside it."""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24"'
        ' fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'
        ' stroke-linejoin="round" aria-hidden="true" class="{}">{}</svg>'
    ).format(classes, Markup(front_end().icons[name]))  # noqa: S704  # of our own build


def symbol(name: str) -> Markup:
    """An icon's drawing, for a page that has it often: shown wherever :func:`drawn_symbol` is."""
    return Markup('<symbol id="icon-{}" viewBox="0 0 24 24">{}</symbol>').format(
        name,
        Markup(front_end().icons[name]),  # noqa: S704  # of our own build
    )


def drawn_symbol(name: str, classes: str = "") -> Markup:
    """An inline icon by its symbol, which has to be on the page."""
    return Markup(
        '<svg aria-hidden="true" class="drawn-symbol {}"><use href="#icon-{}"/></svg>'
    ).format(classes, name)


def brand_mark(name: str, classes: str = "") -> Markup:
    """Another company's mark, inline and in the colour of the words beside it."""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24"'
        ' fill="currentColor" aria-hidden="true" class="{}">{}</svg>'
    ).format(classes, Markup(front_end().icons[f"brand-{name}"]))  # noqa: S704  # of our own build


@pass_context
def _kept(context: Context, macro: Macro, *arguments: Hashable) -> str:
    """What a macro draws of these arguments, drawn once a process and language.

    Only for a macro that reads nothing but its arguments and the page's language.
    """
    key = (macro.name, context["page"].locale, arguments)
    drawn = _drawn.get(key)
    if drawn is None:
        if len(_drawn) >= MOST_KEPT:
            _drawn.clear()
        drawn = _drawn[key] = macro(*arguments)
    return drawn


@pass_context
def _part(context: Context, name: str) -> Markup:
    """A part of the frame, which reads nothing but ``page``. Visitors see the same one on a public
    page however often the rest of it changes; it is drawn once a process for them."""
    page = context["page"]
    is_kept = (
        page.viewer is None and page.public_path is not None and len(page.path) <= MOST_PATH_CHARS
    )
    drawn = _parts.get((name, page)) if is_kept else None
    if drawn is None:
        drawn = Markup(context.environment.get_template(name).render(page=page))  # noqa: S704
        if is_kept:
            if len(_parts) >= MOST_PARTS:
                _parts.clear()
            _parts[name, page] = drawn
    return drawn


@pass_context
def _translated(context: Context, message: str, **params: Any) -> str:
    return translate(context["page"].locale, message, **params)


@pass_context
def _numbered(context: Context, singular: str, plural: str, number: int, **params: Any) -> str:
    return ntranslate(context["page"].locale, singular, plural, number, **params)


@pass_context
def _href(context: Context, path: str) -> str:
    """An address in the page's language: ``href("/credits")`` is ``/en/credits``."""
    return f"/{context['page'].locale}{path}"


@pass_context
def _number(context: Context, value: float, digits: int | None = None) -> str:
    return formats.number(value, context["page"].locale, digits)


@pass_context
def _dollars(context: Context, micros: int) -> str:
    return formats.dollars(micros, context["page"].locale)


@pass_context
def _moment(context: Context, at: datetime) -> Markup:
    """A time element; the browser rewrites it in the reader's own time zone."""
    text = formats.moment(at, context["page"].locale)
    return Markup('<time datetime="{}">{} UTC</time>').format(at.isoformat(), text)


@pass_context
def _ago(context: Context, at: datetime) -> Markup:
    """How long ago an instant was, as the page was drawn."""
    text = formats.ago(at, context["page"].locale)
    return Markup('<time datetime="{}" data-as-it-is>{}</time>').format(at.isoformat(), text)
