"""Every route of the product, and who may ask for it.

A new route needs a line here: without it the tests fail. ``FURTHER`` are the ids of things that
stand elsewhere than in a path.
"""

from __future__ import annotations

from uuid import uuid4

from tests.security import things
from tests.security.rules import (
    ID,
    LOCALE,
    Key,
    Rule,
    admins,
    everybody,
    owner,
    people,
)

LOCAL = {"key": "local"}
NO_TOOL = {"tool_id": str(uuid4())}
REMOVER = {"slug": "background-remove"}
NEVER_AGAIN = {"Last-Event-ID": "999999"}  # so that a stream of an ended task ends at once

TABLE: dict[Key, Rule] = {
    # the product's own health and description
    ("GET", "/healthz"): everybody(),
    ("GET", "/readyz"): everybody(),
    ("GET", "/api/docs"): everybody(),
    ("GET", "/api/docs/openapi.json"): everybody(),
    ("GET", "/api/docs/{path}"): everybody(404, path={"path": "nothing"}),
    ("GET", "/static/{name}"): everybody(404, path={"name": "nothing"}),
    ("GET", "/media/{asset_id}"): everybody(404, path={"asset_id": str(uuid4())}),
    # ways in and out
    ("POST", "/api/auth/magic-link"): everybody(202, body={"email": "somebody@example.com"}),
    ("POST", "/api/auth/logout"): everybody(204),
    ("GET", "/api/auth/session"): everybody(),
    # oneself
    ("GET", "/api/me"): people(),
    ("PATCH", "/api/me"): people(body={"name": "Some Body"}),
    # tools on offer
    ("GET", "/api/tools"): everybody(),
    ("GET", "/api/tools/{slug}"): everybody(path=REMOVER),
    # files
    ("POST", "/api/upload"): people(
        body={
            "route": "tool-input",
            "files": [{"name": "a.png", "size": 10, "type": "image/png"}],
        },
    ),
    ("GET", "/api/assets/{asset_id}"): owner(things.photo, path={"asset_id": ID}),
    ("POST", "/api/assets/{asset_id}/confirmation"): owner(things.photo, path={"asset_id": ID}),
    ("GET", "/api/assets/{asset_id}/download"): owner(things.photo, 302, path={"asset_id": ID}),
    ("POST", "/api/assets/{asset_id}/save"): owner(things.result, path={"asset_id": ID}),
    ("DELETE", "/api/assets/{asset_id}/save"): owner(things.result, path={"asset_id": ID}),
    # tasks
    ("POST", "/api/tasks"): owner(
        things.photo, 201, body={"tool": REMOVER["slug"], "input": {"image": ID}}
    ),
    ("GET", "/api/tasks"): people(),
    ("GET", "/api/tasks/{task_id}"): owner(things.task, path={"task_id": ID}),
    ("POST", "/api/tasks/{task_id}/cancellation"): owner(things.task, path={"task_id": ID}),
    ("POST", "/api/tasks/{task_id}/retry"): owner(things.ended_task, 201, path={"task_id": ID}),
    ("GET", "/api/tasks/{task_id}/stream"): owner(
        things.ended_task, 204, path={"task_id": ID}, headers=NEVER_AGAIN
    ),
    # credits
    ("GET", "/api/credits"): people(),
    ("GET", "/api/credits/transactions"): people(),
    # the back office
    ("GET", "/api/admin/tools"): admins(),
    ("POST", "/api/admin/tools"): admins(422, body={}),
    ("GET", "/api/admin/tools/{tool_id}"): admins(404, path=NO_TOOL),
    ("PATCH", "/api/admin/tools/{tool_id}"): admins(404, path=NO_TOOL, body={}),
    ("GET", "/api/admin/tools/{tool_id}/config"): admins(404, path=NO_TOOL),
    ("PUT", "/api/admin/tools/{tool_id}/config"): admins(422, path=NO_TOOL, body={}),
    ("GET", "/api/admin/providers"): admins(),
    ("GET", "/api/admin/providers/{key}"): admins(path=LOCAL),
    ("PUT", "/api/admin/providers/{key}"): admins(422, path=LOCAL, body={}),
    ("POST", "/api/admin/providers/{key}/health"): admins(path=LOCAL, body={}),
    # pages
    ("GET", "/"): everybody(302),
    ("GET", "/{locale}"): everybody(path=LOCALE),
    ("GET", "/{locale}/tools/{slug}"): everybody(path=LOCALE | REMOVER),
    ("GET", "/{locale}/sign-in"): everybody(303, path=LOCALE, otherwise={"anonymous": 200}),
    ("POST", "/{locale}/sign-in"): everybody(path=LOCALE, form={"email": "some@example.com"}),
    ("GET", "/{locale}/sign-in/confirm"): everybody(410, path=LOCALE),
    ("POST", "/{locale}/sign-in/confirm"): everybody(410, path=LOCALE, form={"token": "none"}),
    ("GET", "/{locale}/credits"): people(path=LOCALE),
    ("GET", "/dev/inbox"): everybody(),
    ("GET", "/dev/inbox/{name}"): everybody(404, path={"name": "nothing"}),
    # pages of the back office
    ("GET", "/{locale}/dashboard"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools/new"): admins(path=LOCALE),
    ("GET", "/{locale}/dashboard/tools/{tool_id}"): admins(404, path=LOCALE | NO_TOOL),
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
        ),
    ),
    (
        ("GET", "/{locale}/tools/{slug}"),
        owner(things.task, path=LOCALE | REMOVER, query={"task": ID}, otherwise={"anonymous": 200}),
    ),
)
