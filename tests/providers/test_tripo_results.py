"""What Tripo's adapter makes of results: whose addresses it follows, and what it takes for one."""

from __future__ import annotations

import tracemalloc
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.providers.canary import Network, canary
from tests.providers.tripo_desk import USD_MICROS, TripoDesk, call_over, connection_to

from funmagic.providers.adapters import tripo as adapter
from funmagic.providers.adapters.tripo import Tripo
from funmagic.providers.adapters.tripo.sdk import Task
from funmagic.providers.adapters.tripo.wire import site_of
from funmagic.providers.contract import Pending, Place, ProviderError, Trouble
from funmagic.providers.fetch import Fetcher, Rules


def done(**output: Any) -> dict[str, Any]:
    """A task that has ended well, with these addresses."""
    data = {"task_id": "t", "status": "success", "credits_consumed": 30, "output": output}
    return {"code": 0, "status": "success", "data": data}


FOREIGN = [
    "http://127.0.0.1:{port}/model.glb",
    "https://127.0.0.1:{port}/model.glb",
    "https://localhost:{port}/model.glb",
    "https://[::1]:{port}/model.glb",
    "https://169.254.169.254/latest/meta-data",
    "https://tripo-data.rg1.data.tripo3d.com/model.glb",
    "https://{host}@127.0.0.1:{port}/model.glb",
    "https://{host}.evil.example/model.glb",
    "file:///etc/passwd",
    "data:model/gltf-binary;base64,Z2xURg==",
    "//127.0.0.1:{port}/model.glb",
    "/etc/passwd",
]


@pytest.mark.hazard("A4")
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_a_result_anywhere_else_is_not_fetched(tripo: TripoDesk, foreign: str) -> None:
    """Of a Tripo on this machine, everything is on this machine, and there."""
    call = tripo.call()
    pending = await tripo.submit(call)
    async with canary() as bird:
        url = foreign.format(port=bird.port, host=urlsplit(tripo.base_url).netloc)
        await tripo.control.fault("task", status=200, body=done(model_url=url))
        error = await tripo.failed_wait(pending, call)
    assert (bird.connections, error.may_repeat) == (0, False)
    assert (error.cost_usd_micros, "refused" in error.vendor_message) == (USD_MICROS, True)
    assert await tripo.seen("file") == []


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    ("url", "is_connected"),
    [
        ("https://tripo-data.rg1.data.tripo3d.com/x/model.glb?Policy=a&Signature=b", True),
        ("https://cdn.tripo3d.ai/output/model.glb", True),
        ("http://cdn.tripo3d.ai/output/model.glb", False),
        ("https://cdn.tripo3d.ai:8443/output/model.glb", False),
        ("https://tripo3d.com.evil.example/model.glb", False),
        ("https://eviltripo3d.com/model.glb", False),
        ("https://tripo3d.com@evil.example/model.glb", False),
        ("https://storage.example/model.glb", False),
        ("https://10.0.0.7/model.glb", False),
    ],
)
@pytest.mark.parametrize("is_private", [False, True])
async def test_of_tripo_itself_only_its_own_hosts_at_public_addresses_are_connected(
    tmp_path: Any, url: str, is_connected: bool, is_private: bool
) -> None:
    place = Place(models_dir=tmp_path)
    network = Network()

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("10.0.0.7",) if is_private else ("93.184.215.14",)

    tripo = Tripo()
    tripo.open(place)
    tripo._fetcher = Fetcher(place, resolve=resolve, network=network)
    call = call_over(connection_to(None), tmp_path)
    task = Task.from_dict(done(model_url=url)["data"])
    with pytest.raises(ProviderError) as caught:
        await tripo._result(site_of(place, None), task, call)
    was_connected = is_connected and not is_private
    assert network.connects == ([("93.184.215.14", 443)] if was_connected else [])
    assert caught.value.may_repeat is was_connected


@pytest.mark.hazard("A4")
@pytest.mark.parametrize("at", ["http://127.0.0.1:{port}/", "https://cdn.tripo3d.ai/", "file:///"])
async def test_a_file_that_has_moved_elsewhere_is_not_followed(tripo: TripoDesk, at: str) -> None:
    async with canary() as bird:
        await tripo.control.outcome("redirect", location=at.format(port=bird.port))
        error = await tripo.failed_run()
    assert (bird.connections, error.may_repeat) == (0, False)


async def test_a_file_that_has_moved_within_tripo_is_found(tripo: TripoDesk) -> None:
    await tripo.control.outcome("redirect")
    assert len((await tripo.run()).result.files) == 2


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    "handle",
    [{}, {"id": "x"}, {"taskId": "../account/balance"}, {"taskId": "a?b"}, {"taskId": 7}],
)
async def test_a_handle_that_leads_elsewhere_is_refused(
    tripo: TripoDesk, handle: dict[str, Any]
) -> None:
    with pytest.raises(ProviderError, match="without an id") as caught:
        await tripo.tripo.poll(handle, tripo.call())
    assert (caught.value.may_repeat, await tripo.control.requests()) == (False, [])


@pytest.mark.hazard("M22")
@pytest.mark.parametrize(
    "outcome",
    [
        {"kind": "html"},
        {"kind": "html", "contentType": "text/html"},
        {"kind": "html", "contentType": "application/octet-stream"},
        {"kind": "short"},
        {"kind": "short", "contentLength": False},
        {"kind": "ok", "contentType": "image/png"},
        {"kind": "ok", "contentType": "model/fbx"},
        {"kind": "huge", "bytes": 1_000_000},
    ],
)
async def test_what_is_no_whole_model_is_no_result(
    tripo: TripoDesk, outcome: dict[str, Any]
) -> None:
    await tripo.control.outcome(**outcome)
    error = await tripo.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert error.cost_usd_micros == USD_MICROS, "Tripo did the work and is paid for it"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"glTF",
        b"glTF\2\0\0\0\x14\0\0\0\0\0\0\0JSO",
        b"glTF\1\0\0\0\x14\0\0\0\0\0\0\0JSON",
        b"glTF\2\0\0\0\x15\0\0\0\0\0\0\0JSON",
        b"glTF\2\0\0\0\x14\0\0\0\1\0\0\0JSON",
        b"glTF\2\0\0\0\x14\0\0\0\0\0\0\0BIN\0",
    ],
)
def test_a_model_is_as_long_as_it_says_and_begins_with_json(tmp_path: Any, head: bytes) -> None:
    path = tmp_path / "model.glb"
    path.write_bytes(head)
    assert not adapter._is_whole(path)
    path.write_bytes(b"glTF\2\0\0\0\x14\0\0\0\0\0\0\0JSON")
    assert adapter._is_whole(path)


async def test_a_model_of_no_announced_kind_is_believed_by_its_bytes(tripo: TripoDesk) -> None:
    await tripo.control.outcome("ok", contentType="binary/octet-stream")
    model, _ = (await tripo.run()).result.files
    assert model.content_type == "model/gltf-binary"


async def test_a_file_cut_short_is_fetched_again(tripo: TripoDesk) -> None:
    await tripo.control.outcome("truncated")
    error = await tripo.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, True)
    assert error.cost_usd_micros == USD_MICROS


@pytest.mark.hazard("A11")
@pytest.mark.parametrize("tells_length", [True, False])
async def test_two_gigabytes_are_given_up_early(
    tripo: TripoDesk, monkeypatch: pytest.MonkeyPatch, tells_length: bool
) -> None:
    if not tells_length:  # by the length told, the limit of production is quick enough
        usual = adapter.MODELS
        smaller = Rules(usual.hosts, usual.content_types, limit_bytes=16 << 20)
        monkeypatch.setattr(adapter, "MODELS", smaller)
    await tripo.control.outcome("huge", bytes=2_000_000_000, contentLength=tells_length)
    call = tripo.call()
    pending = await tripo.submit(call)
    tracemalloc.start()
    try:
        error = await tripo.failed_wait(pending, call)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert "size" in error.vendor_message
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize("output", [{}, {"model_url": 7}, {"model_url": {}}, {"model": ""}])
async def test_a_result_without_a_model_is_none(tripo: TripoDesk, output: dict[str, Any]) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    await tripo.control.fault("task", status=200, body=done(**output))
    error = await tripo.failed_wait(pending, call)
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert error.cost_usd_micros == USD_MICROS


async def test_a_model_needs_no_picture(tripo: TripoDesk) -> None:
    await tripo.control.outcome("no_picture")
    result = (await tripo.run()).result
    assert [file.content_type for file in result.files] == ["model/gltf-binary"]
    assert "pictureTrouble" not in result.meta


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 500},
        {"cut": "before"},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": "x", "headers": {"content-type": "image/png"}},
    ],
)
async def test_a_picture_is_not_worth_a_model(tripo: TripoDesk, fault: dict[str, Any]) -> None:
    await tripo.control.fault("file", match={"path": "rendered"}, **fault)
    call = tripo.call()
    result = (await tripo.run(call)).result
    (model,) = result.files
    assert list(call.work_dir.iterdir()) == [model.path]
    assert (result.cost_usd_micros, bool(result.meta["pictureTrouble"])) == (USD_MICROS, True)


@pytest.mark.hazard("A4")
async def test_a_picture_anywhere_else_is_not_fetched_either(tripo: TripoDesk) -> None:
    call = tripo.call()
    seen = await tripo.run(call)
    model_path = (await tripo.seen("file"))[0]
    async with canary() as bird:
        urls = {
            "model_url": f"{tripo.base_url.removesuffix('/tripo')}{model_path['path']}"
            f"?{model_path['query']}",
            "rendered_image_url": f"http://127.0.0.1:{bird.port}/x.png",
        }
        await tripo.control.fault("task", status=200, body=done(**urls))
        result = (await tripo.wait(Pending({"taskId": seen.result.meta["taskId"]}, 0), call)).result
    assert (len(result.files), bird.connections) == (1, 0)
    assert "refused" in result.meta["pictureTrouble"]
