"""Everything below ``/api/me`` that joins domains."""

from __future__ import annotations

from litestar import Router

from funmagic.web.me import profile

router = Router("/api/me", route_handlers=[profile.show_me, profile.change_me])
