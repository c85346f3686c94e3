"""Who may what: every address of the back office by every role."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.conftest import MakeUser, Site
from tests.uploads import describe

SOMEWHERE = f"/api/admin/tools/{uuid4()}"
SOMEBODY = f"/api/admin/users/{uuid4()}"
# Roles are given by super_admins alone: see the tests of roles.
FOR_SUPER_ADMINS = {("PATCH", "/api/admin/users/{user_id}")}
ROUTES = [
    ("GET", "/api/admin/tools", 200),
    ("POST", "/api/admin/tools", 422),
    ("GET", SOMEWHERE, 404),
    ("PATCH", SOMEWHERE, 404),
    ("GET", f"{SOMEWHERE}/config", 404),
    ("PUT", f"{SOMEWHERE}/config", 422),
    ("GET", "/api/admin/providers", 200),
    ("GET", "/api/admin/providers/local", 200),
    ("PUT", "/api/admin/providers/local", 422),
    ("POST", "/api/admin/providers/local/health", 200),
    ("GET", "/api/admin/users", 200),
    ("GET", SOMEBODY, 404),
    ("GET", f"{SOMEBODY}/avatar", 404),
]


@pytest.mark.hazard("A6")
async def test_the_back_office_is_open_to_admins_alone(site: Site, make_user: MakeUser) -> None:
    answers = {}
    for role in (None, "user", "admin", "super_admin"):
        user = await make_user(f"{role}@example.com", role=role) if role else None
        async with site.browser(user) as browser:
            for method, path, _ in ROUTES:
                answer = await browser.request(method, path, json={} if method != "GET" else None)
                answers[role, method, path] = answer.status_code
    allowed = {(method, path): status for method, path, status in ROUTES}
    for (role, *route), status in answers.items():
        wanted = {None: 401, "user": 403}.get(role) or allowed[tuple(route)]  # type: ignore[index]
        assert status == wanted, (role, route)


async def test_every_address_of_the_back_office_is_tried(site: Site) -> None:
    async with site.browser() as browser:
        schema = (await browser.get("/api/docs/openapi.json")).json()
    documented = {
        (method.upper(), path)
        for path, methods in schema["paths"].items()
        for method in methods
        if path.startswith("/api/admin")
    }
    assert len(documented - FOR_SUPER_ADMINS) == len(ROUTES), documented


@pytest.mark.hazard("A6")
@pytest.mark.parametrize(("role", "status"), [("user", 403), ("admin", 200), ("super_admin", 200)])
async def test_only_admins_upload_pictures_of_tools(
    site: Site, make_user: MakeUser, role: str, status: int
) -> None:
    async with site.browser(await make_user(f"{role}@example.com", role=role)) as browser:
        answer = await describe(browser, size=100, type="image/png", route="tool-media")
        photo = await describe(browser, size=100, type="image/png")
    assert answer.status_code == status
    assert photo.status_code == 200, "everybody uploads photos of their own"


async def test_nobody_uploads_without_signing_in(site: Site) -> None:
    async with site.browser() as browser:
        for route in ("tool-media", "tool-input"):
            assert (await describe(browser, size=1, route=route)).status_code == 401
