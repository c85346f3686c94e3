"""What fal's adapter makes of results: whose addresses it follows, and what it takes for one."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.providers.canary import canary
from tests.providers.fal_desk import Desk

from funmagic.providers.adapters import fal as adapter
from funmagic.providers.adapters.fal.wire import HANDLE_NAMES, Job, sites_of
from funmagic.providers.contract import Place, ProviderError, Trouble
from funmagic.providers.fetch import Rules

USD_MICROS = 18_000


FOREIGN = [
    "https://evil.example/requests/1",
    "https://127.0.0.1:{port}/fal/queue/fal-ai/bria/requests/1",
    "{base}/queue@127.0.0.1:{port}/x",
    "{base}/queue.evil.example/x",
    "{base}/queue",
    "{base}/rest/storage/auth/token",
    "{base}/queue/../rest/storage/auth/token",
    "{base}/queue/fal-ai/./bria/requests/1",
    "{base}/queue/fal-ai/%2e%2e/rest",
    "{base}/queue/fal-ai/bria\\@127.0.0.1:{port}/",
    "{base}/queue/fal-ai/bria/requests/1?to=x",
    "{base}/queue/fal-ai/bria/requests/1#x",
    "{base}/queue//127.0.0.1:{port}/",
    "{base}/queue/a\r\nHost: evil.example",
    "http{rest}/queue/fal-ai/bria/requests/1",
    "",
    None,
    7,
]


@pytest.mark.hazard("A4")
@pytest.mark.parametrize("foreign", FOREIGN)
async def test_the_key_is_sent_to_fals_queue_and_nowhere_else(desk: Desk, foreign: Any) -> None:
    """Neither where the answer to a create points elsewhere, nor where a stored handle does."""
    call = desk.call()
    async with canary() as bird:
        if isinstance(foreign, str):
            rest = desk.base_url.removeprefix("https")
            foreign = foreign.format(base=desk.base_url, port=bird.port, rest=rest)
        here = f"{desk.base_url}/queue/fal-ai/bria/requests/r1"
        ours = {"status": f"{here}/status", "response": here, "cancel": f"{here}/cancel"}
        for name in ours:
            told = ours | {name: foreign}
            body = {"request_id": "r1"} | {f"{key}_url": url for key, url in told.items()}
            await desk.control.fault("submit", status=200, body=body)
            error = await desk.failed_submit(call)
            assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
            assert "not fal's queue" in error.vendor_message
            asked_before = len(await desk.control.requests())
            stored = {"requestId": "r1"} | {f"{key}Url": url for key, url in told.items()}
            for ask in (desk.fal.poll, desk.fal.cancel):
                with pytest.raises(ProviderError, match="not fal's queue") as caught:
                    await ask(stored, call)
                assert not caught.value.may_repeat
            assert len(await desk.control.requests()) == asked_before
    assert bird.connections == 0


@pytest.mark.hazard("A4")
def test_of_fal_itself_only_its_queues_hosts_are_followed(tmp_path: Path) -> None:
    def job(address: str) -> Job:
        told = {"requestId": "r1"} | dict.fromkeys(HANDLE_NAMES[1:], address)
        return Job.checked(sites_of(Place(models_dir=tmp_path), None), told, HANDLE_NAMES)

    for host in ("queue.fal.run", "queue.falrun.com"):
        address = f"https://{host}/fal-ai/bria/requests/r1/status"
        assert job(address).as_handle()["statusUrl"] == address
    for origin in (
        *("http://queue.fal.run", "https://fal.run", "https://rest.fal.ai", "https://v3.fal.media"),
        *(
            "https://queue.fal.run.evil.example",
            "https://queue.fal.run:444",
            "https://QUEUE.fal.run",
        ),
        *(
            "https://queue.fal.run@evil.example",
            "https://evil.example/queue.fal.run",
            "//queue.fal.run",
        ),
    ):
        with pytest.raises(ProviderError, match="not fal's queue"):
            job(f"{origin}/fal-ai/bria/requests/r1")


@pytest.mark.parametrize("handle", [{}, {"id": "unknown"}, {"requestId": "../x"}])
async def test_a_handle_of_another_shape_is_refused(desk: Desk, handle: dict[str, str]) -> None:
    for ask in (desk.fal.poll, desk.fal.cancel):
        with pytest.raises(ProviderError, match="request id"):
            await ask(handle, desk.call())
    assert await desk.control.requests() == []


@pytest.mark.hazard("A7")
@pytest.mark.parametrize("kind", ["html", "svg"])
@pytest.mark.parametrize("content_type", [None, "image/png"])
async def test_what_is_no_picture_is_refused_whatever_it_is_called(
    desk: Desk, kind: str, content_type: str | None
) -> None:
    await desk.control.outcome(kind, contentType=content_type)
    error = await desk.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert error.cost_usd_micros == USD_MICROS, "fal did the work and is paid for it"


@pytest.mark.hazard("A11")
@pytest.mark.parametrize("tells_length", [True, False])
async def test_two_gigabytes_are_given_up_early(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tells_length: bool
) -> None:
    smaller = Rules(adapter.RESULTS.hosts, adapter.RESULTS.content_types, limit_bytes=16 << 20)
    if not tells_length:  # by the length told, the limit of production is quick enough
        monkeypatch.setattr(adapter, "RESULTS", smaller)
    await desk.control.outcome("huge", bytes=2_000_000_000, contentLength=tells_length)
    call = desk.call()
    pending = await desk.submit(call)
    tracemalloc.start()
    try:
        error = await desk.failed_wait(pending, call)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert "refused: size" in error.vendor_message
    assert peak_bytes < 8 << 20


async def test_a_file_cut_short_is_fetched_again(desk: Desk) -> None:
    await desk.control.outcome("truncated")
    error = await desk.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, True)
    assert error.cost_usd_micros == USD_MICROS


async def test_a_file_that_has_moved_within_fal_is_found(desk: Desk) -> None:
    await desk.control.outcome("redirect")
    assert len((await desk.run()).result.files) == 1


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1:{port}/x.png", "https://v3.fal.media/x.png", "file:///etc/passwd"],
)
async def test_a_file_that_has_moved_elsewhere_is_not_followed(desk: Desk, location: str) -> None:
    async with canary() as bird:
        await desk.control.outcome("redirect", location=location.format(port=bird.port))
        error = await desk.failed_run()
    assert (bird.connections, error.may_repeat) == (0, False)
    assert "refused" in error.vendor_message


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{port}/x.png", "https://127.0.0.1:{port}/x.png", "data:image/png,x"]
)
async def test_a_result_anywhere_else_is_not_fetched(desk: Desk, url: str) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    async with canary() as bird:
        told = {"image": {"url": url.format(port=bird.port)}}
        await desk.control.fault("result", status=200, body=told)
        error = await desk.failed_wait(pending, call)
    assert (bird.connections, error.may_repeat) == (0, False)
