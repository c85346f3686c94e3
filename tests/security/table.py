"""Every route of the product, and who may ask for it.

A new route needs a line here: without it the tests fail. ``FURTHER`` are the ids of things that
stand elsewhere than in a path.
"""

from __future__ import annotations

from uuid import uuid4

from tests.security import things
from tests.security.rules import (
    ANY_KEY,
    EMAIL,
    ID,
    LOCALE,
    Key,
    Rule,
    admins,
    everybody,
    owner,
    people,
    super_admins,
)

LOCAL = {"key": "local"}
NO_ASSET = {"asset_id": str(uuid4())}
GOOGLE = {"provider": "google"}
NO_TOKEN = {"token": "none"}
REMOVER = {"slug": "background-remove"}
SOMEBODY = {"email": "somebody@example.com"}
PASSWORD = {"password": "a word nobody else has"}
NEVER_AGAIN = {"Last-Event-ID": "999999"}  # so that a stream of an ended task ends at once


def strangers() -> Rule:
    """A page for those who have not signed in; others are sent on."""
    return everybody(303, path=LOCALE, otherwise={"anonymous": 200})


TABLE: dict[Key, Rule] = {
    # the product's own health and description
    ("GET", "/healthz"): everybody(scope=ANY_KEY),
    ("GET", "/readyz"): everybody(scope=ANY_KEY),
    ("GET", "/api/docs"): everybody(),
    ("GET", "/api/docs/openapi.json"): everybody(),
    ("GET", "/api/docs/{path}"): everybody(404, path={"path": "nothing"}),
    ("GET", "/favicon.ico"): everybody(302),
    ("GET", "/static/{name}"): everybody(404, path={"name": "nothing"}),
    ("GET", "/media/{asset_id}"): everybody(404, path=NO_ASSET, scope=ANY_KEY),
    ("GET", "/media/{asset_id}/{size}"): everybody(
        404, path=NO_ASSET | {"size": "320.webp"}, scope=ANY_KEY
    ),
    # ways in and out
    ("POST", "/api/auth/magic-link"): everybody(202, body=SOMEBODY),
    ("POST", "/api/auth/register"): everybody(202, body=SOMEBODY | PASSWORD),
    ("POST", "/api/auth/verify-email"): everybody(422, body=NO_TOKEN),
    ("POST", "/api/auth/login"): everybody(401, body=SOMEBODY | PASSWORD),
    ("POST", "/api/auth/forgot-password"): everybody(202, body=SOMEBODY),
    ("POST", "/api/auth/reset-password"): everybody(422, body=NO_TOKEN | PASSWORD),
    ("POST", "/api/auth/confirm-email"): everybody(422, body=NO_TOKEN),
    ("POST", "/api/auth/keep-email"): everybody(422, body=NO_TOKEN),
    ("POST", "/api/auth/logout"): everybody(204, is_last=True),
    ("GET", "/api/auth/session"): everybody(),
    ("GET", "/api/auth/methods"): everybody(scope=ANY_KEY),
    # by way of others: which are off in these tests
    ("GET", "/api/auth/oauth/{provider}"): everybody(404, path=GOOGLE),
    ("GET", "/api/auth/oauth/{provider}/callback"): everybody(404, path=GOOGLE),
    ("POST", "/api/auth/oauth/{provider}/callback"): everybody(
        404, path=GOOGLE, form={"state": "none"}, scope=ANY_KEY
    ),
    ("POST", "/api/auth/oauth/email"): everybody(422, body=SOMEBODY | {"attempt": str(uuid4())}),
    ("GET", "/api/auth/identities"): people(),
    ("DELETE", "/api/auth/identities/{provider}"): owner(
        things.identity, 204, path={"provider": ID}, unknown=lambda: "apple", is_fresh=True
    ),
    # where one is signed in
    ("GET", "/api/auth/sessions"): people(),
    ("DELETE", "/api/auth/sessions"): people(204),
    ("DELETE", "/api/auth/sessions/{session_id}"): owner(
        things.session, 204, path={"session_id": ID}
    ),
    ("POST", "/api/auth/reauthenticate/link"): people(202, body={}),
    ("POST", "/api/auth/reauthenticate"): people(
        401, body={"password": "not theirs"}, otherwise={"anonymous": 401}
    ),
    # oneself
    ("GET", "/api/me"): people(scope="profile:read"),
    ("PATCH", "/api/me"): people(body={"name": "Some Body"}),
    ("DELETE", "/api/me"): people(body={"confirm": EMAIL}, is_fresh=True, is_last=True),
    ("POST", "/api/me/restoration"): people(),
    ("PUT", "/api/me/password"): people(204, body=PASSWORD, is_fresh=True),
    ("DELETE", "/api/me/password"): people(204, is_fresh=True),
    ("POST", "/api/me/email"): people(202, body={"email": "new@example.com"}, is_fresh=True),
    ("POST", "/api/me/exports"): people(202, is_fresh=True),
    ("GET", "/api/me/exports"): people(),
    ("GET", "/api/me/exports/{export_id}/download"): owner(
        things.export, 302, path={"export_id": ID}
    ),
    ("GET", "/api/me/avatar"): people(404, scope="profile:read"),
    ("PUT", "/api/me/avatar"): owner(things.avatar, body={"assetId": ID}),
    ("DELETE", "/api/me/avatar"): people(),
    ("GET", "/api/me/keys"): people(),
    ("POST", "/api/me/keys"): people(
        201, body={"name": "A program", "scopes": ["tasks:read"]}, is_fresh=True
    ),
    ("DELETE", "/api/me/keys/{key_id}"): owner(things.key, 204, path={"key_id": ID}),
    # tools on offer
    ("GET", "/api/tools"): everybody(scope=ANY_KEY),
    ("GET", "/api/tools/{slug}"): everybody(path=REMOVER, scope=ANY_KEY),
    ("PUT", "/api/tools/{slug}/rating"): people(422, path=REMOVER, body={}),
    ("DELETE", "/api/tools/{slug}/rating"): people(path=REMOVER),
    ("PUT", "/api/tools/{slug}/bookmark"): people(path=REMOVER),
    ("DELETE", "/api/tools/{slug}/bookmark"): people(path=REMOVER),
    ("GET", "/api/bookmarks"): people(),
    # files
    ("POST", "/api/upload"): people(
        body={
            "route": "tool-input",
            "files": [{"name": "a.png", "size": 10, "type": "image/png"}],
        },
        scope="assets:write",
    ),
    ("GET", "/api/assets/{asset_id}"): owner(
        things.photo, path={"asset_id": ID}, scope="assets:read"
    ),
    ("POST", "/api/assets/{asset_id}/confirmation"): owner(
        things.photo, path={"asset_id": ID}, scope="assets:write"
    ),
    ("GET", "/api/assets/{asset_id}/download"): owner(
        things.photo, 302, path={"asset_id": ID}, scope="assets:read"
    ),
    ("POST", "/api/assets/{asset_id}/save"): owner(
        things.result, path={"asset_id": ID}, scope="assets:write"
    ),
    ("DELETE", "/api/assets/{asset_id}/save"): owner(
        things.result, path={"asset_id": ID}, scope="assets:write"
    ),
    # tasks
    ("POST", "/api/tasks"): owner(
        things.photo,
        201,
        body={"tool": REMOVER["slug"], "input": {"image": ID}},
        scope="tasks:write",
    ),
    ("GET", "/api/tasks"): people(scope="tasks:read"),
    ("GET", "/api/tasks/{task_id}"): owner(things.task, path={"task_id": ID}, scope="tasks:read"),
    ("POST", "/api/tasks/{task_id}/cancellation"): owner(
        things.task,
        path={"task_id": ID},
        scope="tasks:write",
        otherwise={"owner": 409},  # a program has cancelled it just before
    ),
    ("POST", "/api/tasks/{task_id}/retry"): owner(
        things.ended_task, 201, path={"task_id": ID}, scope="tasks:write"
    ),
    ("GET", "/api/tasks/{task_id}/stream"): owner(
        things.ended_task, 204, path={"task_id": ID}, headers=NEVER_AGAIN, scope="tasks:read"
    ),
    # credits
    ("GET", "/api/credits"): people(scope="credits:read"),
    ("GET", "/api/credits/transactions"): people(scope="credits:read"),
    # the back office
    ("GET", "/api/admin/tools"): admins(),
    ("POST", "/api/admin/tools"): admins(status=422, body={}),
    ("GET", "/api/admin/tools/{tool_id}"): admins(things.tool, path={"tool_id": ID}),
    ("PATCH", "/api/admin/tools/{tool_id}"): admins(things.tool, path={"tool_id": ID}, body={}),
    ("GET", "/api/admin/tools/{tool_id}/config"): admins(things.tool, path={"tool_id": ID}),
    ("PUT", "/api/admin/tools/{tool_id}/config"): admins(
        things.tool, 422, path={"tool_id": ID}, body={}
    ),
    ("GET", "/api/admin/users"): admins(),
    ("GET", "/api/admin/users/{user_id}"): admins(things.person, path={"user_id": ID}),
    ("GET", "/api/admin/users/{user_id}/avatar"): admins(things.person, 404, path={"user_id": ID}),
    ("PATCH", "/api/admin/users/{user_id}"): super_admins(
        things.person, path={"user_id": ID}, body={"role": "admin"}, is_fresh=True
    ),
    ("GET", "/api/admin/providers"): admins(),
    ("GET", "/api/admin/providers/{key}"): admins(path=LOCAL),
    ("PUT", "/api/admin/providers/{key}"): admins(status=422, path=LOCAL, body={}),
    ("POST", "/api/admin/providers/{key}/health"): admins(path=LOCAL, body={}),
    # pages
    ("GET", "/"): everybody(302),
    ("GET", "/tools"): everybody(302),
    ("GET", "/tools/{slug}"): everybody(302, path=REMOVER),
    ("GET", "/help"): everybody(302),
    ("GET", "/pricing"): everybody(302),
    ("GET", "/terms"): everybody(302),
    ("GET", "/privacy"): everybody(302),
    ("GET", "/sign-in"): everybody(302),
    ("GET", "/register"): everybody(302),
    ("GET", "/credits"): everybody(302),
    ("GET", "/bookmarks"): everybody(302),
    ("GET", "/profile"): everybody(302),
    ("GET", "/dashboard"): everybody(302),
    ("GET", "/robots.txt"): everybody(),
    ("GET", "/sitemap.xml"): everybody(),
    ("GET", "/sitemap/{name}"): everybody(path={"name": "pages.xml"}),
    ("GET", "/{locale}/help"): everybody(path=LOCALE),
    ("GET", "/{locale}/pricing"): everybody(path=LOCALE),
    ("GET", "/{locale}/terms"): everybody(path=LOCALE),
    ("GET", "/{locale}/privacy"): everybody(path=LOCALE),
    ("GET", "/{locale}"): everybody(path=LOCALE),
    ("GET", "/{locale}/tools"): everybody(path=LOCALE),
    ("GET", "/{locale}/tools/{slug}"): everybody(path=LOCALE | REMOVER),
    ("GET", "/{locale}/sign-in"): strangers(),
    ("GET", "/{locale}/register"): strangers(),
    ("GET", "/{locale}/sign-in/email"): strangers(),
    ("GET", "/{locale}/forgot-password"): everybody(path=LOCALE),
    ("GET", "/{locale}/verify-email"): everybody(410, path=LOCALE),
    ("GET", "/{locale}/reset-password"): everybody(410, path=LOCALE),
    ("GET", "/{locale}/confirm-email"): everybody(410, path=LOCALE),
    ("POST", "/{locale}/confirm-email"): everybody(422, path=LOCALE, form=NO_TOKEN),
    ("GET", "/{locale}/keep-email"): everybody(410, path=LOCALE),
    ("POST", "/{locale}/keep-email"): everybody(422, path=LOCALE, form=NO_TOKEN),
    ("POST", "/{locale}/sign-in"): everybody(path=LOCALE, form={"email": "some@example.com"}),
    ("GET", "/{locale}/sign-in/confirm"): everybody(410, path=LOCALE),
    ("POST", "/{locale}/sign-in/confirm"): everybody(410, path=LOCALE, form=NO_TOKEN),
    ("GET", "/{locale}/credits"): people(path=LOCALE),
    ("GET", "/{locale}/bookmarks"): people(path=LOCALE),
    ("GET", "/{locale}/profile"): people(path=LOCALE),
    ("GET", "/{locale}/profile/security"): people(path=LOCALE),
    ("GET", "/{locale}/profile/keys"): people(path=LOCALE),
    ("GET", "/{locale}/profile/data"): people(path=LOCALE),
    ("GET", "/{locale}/reauthentication"): people(path=LOCALE, otherwise={"anonymous": 401}),
    ("GET", "/{locale}/reauthentication/done"): people(path=LOCALE),
    ("GET", "/dev/inbox"): everybody(),
    ("GET", "/dev/inbox/{name}"): everybody(404, path={"name": "nothing"}),
    # pages of the back office
    ("GET", "/{locale}/dashboard"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools/new"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools/{tool_id}"): admins(
        things.tool, path=LOCALE | {"tool_id": ID}
    ),
    ("GET", "/{locale}/dashboard/users"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/users/{user_id}"): admins(
        things.person, path=LOCALE | {"user_id": ID}
    ),
    ("GET", "/{locale}/dashboard/providers"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/providers/{key}"): admins(path=LOCALE | LOCAL),
}

FURTHER: tuple[tuple[Key, Rule], ...] = (
    (
        ("POST", "/api/tasks"),
        owner(
            things.drawing,
            201,
            body={"tool": "figme", "step": "3d-gen", "input": {}, "parentTaskId": ID},
            scope="tasks:write",
        ),
    ),
    (
        ("GET", "/{locale}/tools/{slug}"),
        owner(things.task, path=LOCALE | REMOVER, query={"task": ID}, otherwise={"anonymous": 200}),
    ),
)
