"""What Tripo's adapter sends, field by field, as a server that knows nothing of Tripo gets it."""

from __future__ import annotations

import email
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.providers.canary import Canary, Visit, canary, head, whole
from tests.providers.tripo_desk import OFFER, PHOTO, call_over, connection_to, request

from funmagic.providers.adapters.tripo import Tripo
from funmagic.providers.contract import Pending, Place

TOKEN = "file_0b9f1a52-6f5e-4b1c-9b57-0f9d2a1c3e4d"
TASK = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANSWERS: dict[str, dict[str, Any]] = {
    "/x/v3/files": {"file_token": TOKEN},
    "/x/v3/generation/image-to-model": {"task_id": TASK, "status": "queued"},
    f"/x/v3/tasks/{TASK}": {"task_id": TASK, "status": "running", "progress": 37},
    "/x/v3/account/balance": {"balance": 12.5, "frozen": 2.25},
}


async def answer(visit: Visit) -> None:
    told = {"code": 0, "status": "success", "data": ANSWERS[visit.target]}
    await whole(json.dumps(told).encode(), "application/json")(visit)


@pytest.fixture
async def server() -> AsyncIterator[Canary]:
    async with canary(answer) as place:
        yield place


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[Tripo]:
    tripo = Tripo()
    tripo.open(Place(models_dir=tmp_path, loopback_allowed=True))
    yield tripo
    await tripo.close()


def base_url(server: Canary) -> str:
    return f"http://127.0.0.1:{server.port}/x"


async def created(server: Canary, adapter: Tripo, folder: Path, model: str, **options: Any) -> Any:
    """The JSON of the one create that a call with these options sends."""
    call = call_over(
        connection_to(base_url(server)),
        folder,
        model=model,
        options=OFFER.options_of(model).model_validate(options),
    )
    pending = await adapter.submit(request(), call)
    assert pending == Pending({"taskId": TASK}, 0, 0.3)
    upload, create = server.visits
    assert (upload.method, upload.target) == ("POST", "/x/v3/files")
    assert (create.method, create.target) == ("POST", "/x/v3/generation/image-to-model")
    assert create.headers["content-type"] == "application/json"
    return json.loads(create.body)


async def test_a_photo_is_one_part_of_a_form(
    server: Canary, adapter: Tripo, tmp_path: Path
) -> None:
    await created(server, adapter, tmp_path, OFFER.models[0])
    upload = server.visits[0]
    form = email.message_from_bytes(
        f"Content-Type: {upload.headers['content-type']}\r\n\r\n".encode() + upload.body
    )
    assert form.get_content_type() == "multipart/form-data"
    _, part = form.walk()
    assert part.get_content_disposition() == "form-data"
    assert part.get_param("name", header="content-disposition") == "file"
    assert (part.get_filename(), part.get_content_type()) == ("photo.jpeg", "image/jpeg")
    assert part.get_payload(decode=True) == PHOTO.read_bytes()
    assert upload.headers["content-length"] == str(len(upload.body))


QUALITIES = {"textureQuality": "extreme", "autoSize": True}
OF_ALL = {
    "textureAlignment": "geometry",
    "orientation": "align_image",
    "enableImageAutofix": True,
    "faceLimit": 5000,
}
SENT_OF_ALL = {
    "texture_alignment": "geometry",
    "orientation": "align_image",
    "enable_image_autofix": True,
    "face_limit": 5000,
}
SENT_QUALITIES = {"texture_quality": "extreme", "auto_size": True}
FINE = {"geometryQuality": "detailed", "smartLowPoly": True}
SENT_FINE = {"geometry_quality": "detailed", "smart_low_poly": True}


@pytest.mark.parametrize(
    ("model", "options", "sent"),
    [
        *((model, {}, {}) for model in OFFER.models),
        *((model, OF_ALL, SENT_OF_ALL) for model in OFFER.models),
        *((model, {"pbr": False}, {"pbr": False}) for model in OFFER.models),
        *((model, {"texture": False}, {"texture": False, "pbr": False}) for model in OFFER.models),
        *(
            (model, QUALITIES | FINE, SENT_QUALITIES | SENT_FINE)
            for model in ("v3.1-20260211", "v3.0-20250812")
        ),
        *((model, QUALITIES, SENT_QUALITIES) for model in ("P1-20260311", "P2-20260801")),
        ("v3.1-20260211", {"faceLimit": 1_500_000}, {"face_limit": 1_500_000}),
        ("v3.1-20260211", {"textureQuality": "detailed"}, {"texture_quality": "detailed"}),
    ],
)
async def test_a_create_names_the_photo_the_model_and_what_is_not_usual(
    server: Canary,
    adapter: Tripo,
    tmp_path: Path,
    model: str,
    options: dict[str, Any],
    sent: dict[str, Any],
) -> None:
    got = await created(server, adapter, tmp_path, model, **options)
    assert got == {"input": TOKEN, "model": model, **sent}


async def test_every_question_carries_the_key_and_a_trace_and_no_more(
    server: Canary, adapter: Tripo, tmp_path: Path
) -> None:
    connection = connection_to(base_url(server))
    call = call_over(connection, tmp_path)
    pending = await adapter.submit(request(), call)
    assert isinstance(pending, Pending)
    again = await adapter.poll(pending.handle, call)
    assert again == Pending({"taskId": TASK}, 37, 0.3)
    health = await adapter.check_health(connection)
    assert "12.5 credits, 2.25 set aside" in health.message
    asked = [(visit.method, visit.target) for visit in server.visits]
    assert asked == [
        ("POST", "/x/v3/files"),
        ("POST", "/x/v3/generation/image-to-model"),
        ("GET", f"/x/v3/tasks/{TASK}"),
        ("GET", "/x/v3/account/balance"),
    ]
    assert server.connections == 4, "a kept connection may be closed just as we write to it"
    traces = set()
    for visit in server.visits:
        headers = dict(visit.headers)
        traces.add(headers.pop("x-tripo-trace-id"))
        for name in ("content-type", "content-length"):
            assert (headers.pop(name, None) is not None) is (visit.method == "POST")
        assert headers == {
            "host": f"127.0.0.1:{server.port}",
            "authorization": "Bearer tsk_ada_secret",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": "tripo3d-python/1.0.0",
            "connection": "close",
        }
    assert len(traces) == 4
    assert all(UUID.fullmatch(trace) for trace in traces)


@pytest.mark.hazard("M9")
async def test_a_redirect_is_not_followed_with_the_key_in_hand(
    adapter: Tripo, tmp_path: Path
) -> None:
    """Neither would a create be sent to two places."""
    async with canary() as bird:

        async def elsewhere(visit: Visit) -> None:
            if visit.target == "/x/v3/files":
                await answer(visit)
            else:
                there = f"http://127.0.0.1:{bird.port}/"
                await visit.say(head(307, location=there, content_length="0"))

        async with canary(elsewhere) as place:
            connection = connection_to(base_url(place))
            call = call_over(connection, tmp_path)
            for ask in (adapter.submit(request(), call), adapter.poll({"taskId": TASK}, call)):
                with pytest.raises(Exception, match="307"):
                    await ask
            assert (await adapter.check_health(connection)).ok is False
        assert (bird.connections, len(place.visits)) == (0, 4)


async def test_a_certificate_of_strangers_is_not_believed(
    tmp_path: Path, tls: Any, certificate: Any
) -> None:
    """The simulators' own is, where it is known; the SDK alone would know no way."""
    for ca_file, is_believed in ((None, False), (certificate.ca_file, True)):
        tripo = Tripo()
        tripo.open(Place(models_dir=tmp_path, loopback_allowed=True, ca_file=ca_file))
        async with canary(answer, tls) as place:
            url = f"https://127.0.0.1:{place.port}/x"
            health = await tripo.check_health(connection_to(url))
            assert (health.ok, len(place.visits)) == (is_believed, int(is_believed))
