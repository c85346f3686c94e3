"""Everything below ``/api/me`` that joins domains, and people's pictures for admins."""

from __future__ import annotations

from litestar import Router

from funmagic.web.me import avatar, deletion, exports, profile, security

me = Router(
    "/api/me",
    route_handlers=[
        profile.show_me,
        profile.change_me,
        avatar.show_avatar,
        avatar.choose_avatar,
        avatar.remove_avatar,
        security.change_password,
        security.remove_password,
        security.ask_email_change,
        exports.ask_export,
        exports.list_exports,
        exports.download_export,
        deletion.ask_deletion,
        deletion.restore_me,
    ],
)
router = Router("/", route_handlers=[me, avatar.show_avatar_of])
