"""Everything below ``/api/me`` that joins domains, and people's pictures for admins."""

from __future__ import annotations

from litestar import Router

from funmagic.web.me import avatar, profile

me = Router(
    "/api/me",
    route_handlers=[
        profile.show_me,
        profile.change_me,
        avatar.show_avatar,
        avatar.choose_avatar,
        avatar.remove_avatar,
    ],
)
router = Router("/", route_handlers=[me, avatar.show_avatar_of])
