"""Every page and the built front end, for the application to register."""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from funmagic.web.handlers import (
    address,
    addresses,
    bookmarks,
    catalog,
    credits,
    home,
    inbox,
    info,
    mailed_links,
    profile,
    sign_in,
    tools,
)
from funmagic.web.static import serve_static

route_handlers: list[ControllerRouterHandler] = [
    serve_static,
    home.send_to_language,
    home.show_home,
    addresses.send_to_page,
    addresses.send_to_tool,
    addresses.send_to_icon,
    addresses.show_robots,
    addresses.show_sitemap,
    addresses.show_part,
    info.show_help,
    info.show_pricing,
    info.show_terms,
    info.show_privacy,
    catalog.show_catalog,
    tools.show_tool,
    bookmarks.show_bookmarks,
    sign_in.show_sign_in,
    sign_in.come_in,
    sign_in.show_register,
    sign_in.show_forgot_password,
    sign_in.show_email_needed,
    mailed_links.open_link,
    mailed_links.confirm_link,
    mailed_links.open_confirmation,
    mailed_links.open_reset,
    address.open_email_change,
    address.change_email,
    address.open_way_back,
    address.keep_email,
    profile.show_profile,
    profile.show_security,
    profile.show_keys,
    profile.show_data,
    profile.draw_proof,
    profile.show_proved,
    credits.show_credits,
    inbox.list_mails,
    inbox.show_mail,
]
