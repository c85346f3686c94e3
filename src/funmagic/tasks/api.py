"""JSON and live events of one's own tasks."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream
from pydantic import Field

from funmagic.accounts.guards import is_admin
from funmagic.accounts.models import User
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.paging import DEFAULT_LIMIT, Page, check_limit, decode_id, encode_cursor
from funmagic.core.resources import Resources
from funmagic.tasks import cancel, service
from funmagic.tasks.hub import EventHub
from funmagic.tasks.models import ENDED
from funmagic.tasks.orders import NewTask
from funmagic.tasks.stream import TaskStream
from funmagic.tasks.views import TaskRow, TaskView, task_rows, task_view

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class TaskRequest(CamelModel):
    """``expectedCredits`` is the price the person saw; another price is refused, not charged.

    ``parentTaskId`` is the finished task that a step which follows another starts from.
    """

    tool: str = Field(min_length=1, max_length=100)
    step: str | None = Field(default=None, max_length=60)
    input: dict[str, Any] = Field(default_factory=dict)
    parent_task_id: UUID | None = None
    expected_credits: int | None = Field(default=None, ge=0)


class RetryRequest(CamelModel):
    """``expectedCredits`` as for a new task."""

    expected_credits: int | None = Field(default=None, ge=0)


class CreatedView(CamelModel):
    task_id: UUID
    status: str
    credits: int


@post("/", status_code=201, opt={"limit": "30 per minute", "scope": "tasks:write"})
async def create_task(
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    data: JSONBody[TaskRequest],
    idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> CreatedView:
    """Start a task. With an ``Idempotency-Key`` a repeated request returns the same task.

    Admins may try a tool that is switched off.
    """
    new = NewTask(data.tool, data.step, data.input, data.expected_credits, data.parent_task_id)
    async with resources.db.transaction() as session:
        created = await service.create(
            session, user, new, idempotency_key=idempotency_key, hidden_too=is_admin(user)
        )
    await service.dispatch(resources, created.id)
    return _created_view(created)


@get("/", opt={"scope": "tasks:read"})
async def list_tasks(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    tool: Annotated[str | None, QueryParameter(max_length=100)] = None,
    limit: FromQuery[int] = DEFAULT_LIMIT,
    cursor: FromQuery[str | None] = None,
) -> Page[TaskRow]:
    """One's own tasks, newest first."""
    check_limit(limit)
    before = decode_id(cursor) if cursor else None
    async with resources.db.transaction() as session:
        found = await service.recent_of(session, user, tool, limit + 1, before=before)
        rows = await task_rows(resources, session, found[:limit], locale=request_locale(request))
    more = len(found) > limit
    return Page[TaskRow](
        items=rows, next_cursor=encode_cursor(str(found[limit - 1].id)) if more else None
    )


@get("/{task_id:uuid}", opt={"scope": "tasks:read"})
async def show_task(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    task_id: FromPath[UUID],
) -> TaskView:
    """One of one's own tasks with its steps, results and receipt."""
    async with resources.db.transaction() as session:
        task = await service.owned_by(session, user.id, task_id)
        return await task_view(resources, session, task, locale=request_locale(request))


@post("/{task_id:uuid}/cancellation", status_code=200, opt={"scope": "tasks:write"})
async def cancel_task(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    task_id: FromPath[UUID],
) -> TaskView:
    """Ask for a task's end. One that runs may still complete, where its vendor was faster."""
    async with resources.db.transaction() as session:
        told = await cancel.request(session, user.id, task_id)
    await cancel.tell(resources, task_id, told)
    async with resources.db.transaction() as session:
        task = await service.owned_by(session, user.id, task_id)
        return await task_view(resources, session, task, locale=request_locale(request))


@post(
    "/{task_id:uuid}/retry",
    status_code=201,
    opt={"limit": "30 per minute", "scope": "tasks:write"},
)
async def retry_task(
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    task_id: FromPath[UUID],
    data: JSONBody[RetryRequest | None] = None,
    idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> CreatedView:
    """The same tool, step, input and parent again, at today's price, from a task that has ended."""
    async with resources.db.transaction() as session:
        created = await service.repeat(
            session,
            user,
            task_id,
            expected_credits=data.expected_credits if data else None,
            idempotency_key=idempotency_key,
            hidden_too=is_admin(user),
        )
    await service.dispatch(resources, created.id)
    return _created_view(created)


@get("/{task_id:uuid}/stream", opt={"scope": "tasks:read"})
async def stream_task(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    task_id: FromPath[UUID],
) -> Response[Any]:
    """Live events. Reconnecting with the id of the last event of an ended task answers 204."""
    hub: EventHub = request.app.state["event_hub"]
    last_seq = _last_event_id(request)
    async with resources.db.transaction() as session:
        task = await service.owned_by(session, user.id, task_id)
    if task.status in ENDED and last_seq >= task.last_seq:
        return Response(None, status_code=204)
    stream = TaskStream(
        resources,
        hub,
        user_id=user.id,
        task_id=task.id,
        last_seq=last_seq,
        locale=request_locale(request),
    )
    return Stream(stream.frames(), media_type="text/event-stream", headers=STREAM_HEADERS)


def _created_view(created: service.Created) -> CreatedView:
    return CreatedView(task_id=created.id, status=created.status, credits=created.price_credits)


def _last_event_id(request: Request[Any, Any, Any]) -> int:
    given = request.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0


router = Router(
    "/api/tasks",
    route_handlers=[create_task, list_tasks, show_task, cancel_task, retry_task, stream_task],
)
