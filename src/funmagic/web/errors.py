"""Error pages: what happened, in words, and a way on."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from litestar import Response
from markupsafe import Markup

from funmagic.core.http import as_funmagic_error, error_headers
from funmagic.core.i18n import N_, translate
from funmagic.core.log import logger
from funmagic.web.contexts import ErrorView
from funmagic.web.pages import AnyRequest, drawn, own_path, page_locale, page_of
from funmagic.web.static import PREFIX

log = logger(__name__)

# Status to title and icon; others are shown like 500.
TITLES: Final = {
    401: (N_("Please sign in"), "log-in"),
    403: (N_("This is not for you"), "lock"),
    404: (N_("Page not found"), "search-x"),
    405: (N_("This does not work that way"), "circle-alert"),
    413: (N_("Too large"), "file-warning"),
    422: (N_("That did not work"), "circle-alert"),
    429: (N_("A little too fast"), "hourglass"),
    500: (N_("Something broke"), "bug"),
    503: (N_("Back in a moment"), "cloud-off"),
}
# The page where no template can be drawn.
PLAIN: Final = Markup(
    '<!doctype html><html lang="{locale}"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme"'
    ' content="light dark"><meta name="robots" content="noindex"><title>{title} · FunMagic</title>'
    '<h1>{title}</h1><p>{message}</p><p><a href="/{locale}/">FunMagic</a></p></html>'
)
WORTH_REPEATING: Final = frozenset({429, 500, 503})
WORTH_SEARCHING: Final = frozenset({404, 405})


def html_error(request: AnyRequest, error: Exception) -> Response[Any]:
    """A page for any error. It asks nothing of the database, which may be what is missing.

    In the place of a built file, which no person looks at, it is a line; and where even this page
    cannot be drawn, a plain one.
    """
    problem = as_funmagic_error(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("page failed", path=request.url.path, exc_info=error)
    locale = page_locale(request)
    title, icon = TITLES.get(problem.status, TITLES[500])
    view = ErrorView(
        status=problem.status,
        title=translate(locale, title),
        message=translate(locale, problem.message, **problem.params),
        icon=icon,
        retry_path=_retry_path(request) if problem.status in WORTH_REPEATING else None,
        retry_after_s=problem.retry_after_s,
        can_search=problem.status in WORTH_SEARCHING,
    )
    headers = error_headers(error, problem)
    if request.url.path.startswith(f"{PREFIX}/"):
        line = f"{view.title}\n"
        return Response(line, status_code=view.status, headers=headers, media_type="text/plain")
    try:
        return _whole_page(request, view, headers)
    except Exception as trouble:  # what broke the page may be what breaks this one
        log.error("error page failed", path=request.url.path, exc_info=trouble)
        html = PLAIN.format(locale=locale, title=view.title, message=view.message)
        return Response(html, status_code=view.status, headers=headers, media_type="text/html")


def _whole_page(request: AnyRequest, view: ErrorView, headers: dict[str, str]) -> Response[bytes]:
    """The page, drawn here and not as it is sent: there nothing could help it any more."""
    page = page_of(request, None, knows_viewer=False)
    template = drawn(request, "pages/error.html", page, view, status_code=view.status)
    return Response(
        template.to_asgi_response(None, request).body,
        status_code=view.status,
        headers=template.headers | headers,
        cookies=template.cookies,
        media_type="text/html",
    )


def _retry_path(request: AnyRequest) -> str | None:
    return own_path(request) if request.method == "GET" else None
