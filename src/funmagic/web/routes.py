"""Every page and the built front end, for the application to register."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from funmagic.web.handlers import credits, home, inbox, sign_in, tools
from funmagic.web.static import serve_static

route_handlers: list[ControllerRouterHandler] = [
    serve_static,
    home.send_to_language,
    home.show_home,
    tools.show_tool,
    sign_in.show_sign_in,
    sign_in.ask_for_link,
    sign_in.open_link,
    sign_in.confirm_link,
    credits.show_credits,
    inbox.list_mails,
    inbox.show_mail,
]
