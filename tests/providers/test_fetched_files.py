"""What a fetch takes for a result, how much of it, and what is left of one that fails."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from tests.providers.canary import PNG, Network, Script, Visit, canary, head, redirect, whole
from tests.providers.fetching import PUBLIC, VENDOR, Names, get, left_in, refusal, simulated

from funmagic.core.clock import now
from funmagic.providers import fetch
from funmagic.providers.contract import File, Place, ProviderError, Trouble
from funmagic.providers.fetch import Fetcher, Rules
from funmagic.providers.origins import Origin

GIB = 1 << 30


async def test_three_redirects_are_followed_and_no_fourth(tmp_path: Path) -> None:
    for hops, ends_well in ((3, True), (4, False)):

        async def answer(visit: Visit, hops: int = hops) -> None:
            step = int(visit.target.strip("/") or 0)
            await (redirect(f"/{step + 1}", 307) if step < hops else whole())(visit)

        seller, answered = await simulated(tmp_path, answer, path="/0")
        assert isinstance(answered, File) is ends_well, answered
        assert len(seller.visits) == 4
        (tmp_path / "result.png").unlink(missing_ok=True)


PICTURES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + bytes(60),
    "image/webp": b"RIFF\x40\0\0\0WEBPVP8 " + bytes(60),
    "image/gif": b"GIF89a" + bytes(60),
    "image/svg+xml": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "text/html": b"<!doctype html><script>alert(1)</script>",
    "application/octet-stream": bytes(64),
}


@pytest.mark.hazard("A7")
@pytest.mark.parametrize("announced", PICTURES)
@pytest.mark.parametrize("sent", PICTURES)
async def test_only_a_picture_of_the_announced_and_wanted_kind_is_kept(
    tmp_path: Path, announced: str, sent: str
) -> None:
    _, answered = await simulated(tmp_path, whole(PICTURES[sent], announced))
    if announced == sent and sent in ("image/png", "image/jpeg", "image/webp"):
        assert answered == File(tmp_path / "result.png", announced)
    else:
        assert isinstance(answered, ProviderError)
        assert (answered.trouble, answered.may_repeat) == (Trouble.BROKEN, False)


GLB = b"glTF\x02\0\0\0" + bytes(60)


@pytest.mark.hazard("A7")
@pytest.mark.parametrize("announced", ["model/gltf-binary", "application/octet-stream"])
async def test_a_model_is_believed_by_its_first_bytes(tmp_path: Path, announced: str) -> None:
    rules = Rules((), ("model/gltf-binary",), vague_types=("application/octet-stream",))
    _, answered = await simulated(tmp_path, whole(GLB, announced), rules)
    assert answered == File(tmp_path / "result.png", "model/gltf-binary")
    (tmp_path / "result.png").unlink()
    for sent in (b"", GLB[1:], *PICTURES.values()):
        _, answered = await simulated(tmp_path, whole(sent, announced), rules)
        assert isinstance(answered, ProviderError)
        assert not answered.may_repeat
    _, answered = await simulated(tmp_path, whole(GLB, "image/png"))
    assert isinstance(answered, ProviderError)


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_an_address_that_expires_may_be_told_anew(tmp_path: Path, status: int) -> None:
    for expire in (True, False):
        _, answered = await simulated(tmp_path, whole(status=status), Rules((), expire=expire))
        assert isinstance(answered, ProviderError)
        assert (answered.trouble, answered.may_repeat) == (Trouble.BROKEN, expire)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "image/png"),
        (PNG[:8], ""),
        (PNG, "image/png, text/html"),
        (PNG, "text/html; image/png"),
        (PNG[:7], "image/png"),
    ],
)
async def test_an_answer_of_no_kind_is_no_file(
    tmp_path: Path, body: bytes, content_type: str
) -> None:
    _, answered = await simulated(tmp_path, whole(body, content_type))
    assert isinstance(answered, ProviderError)
    assert not answered.may_repeat


async def test_parameters_of_a_type_and_its_case_do_not_matter(tmp_path: Path) -> None:
    _, answered = await simulated(tmp_path, whole(PNG, "Image/PNG; charset=binary"))
    assert answered == File(tmp_path / "result.png", "image/png")


@pytest.mark.hazard("A11")
@pytest.mark.parametrize("framing", ["length", "chunked", "until the end", "false length", "gzip"])
async def test_two_gigabytes_cost_neither_memory_nor_disk_nor_time(
    tmp_path: Path, framing: str
) -> None:
    limit_bytes = 24 * fetch.MEBIBYTE
    block = PNG + bytes((1 << 16) - len(PNG))
    seen: list[Visit] = []

    async def pour(visit: Visit) -> None:
        seen.append(visit)
        first = {
            "length": head(content_type="image/png", content_length=str(2 * GIB)),
            "chunked": head(content_type="image/png", transfer_encoding="chunked"),
            "until the end": head(content_type="image/png", connection="close"),
            "false length": head(content_type="image/png", content_length="9" * 18),
            "gzip": head(content_type="image/png", content_encoding="gzip"),
        }[framing]
        chunk = b"10000\r\n" + block + b"\r\n" if framing == "chunked" else block
        await visit.say(first)
        while visit.sent_bytes < 2 * GIB:
            await visit.say(chunk)

    tracemalloc.start()
    try:
        _, answered = await simulated(tmp_path, pour, Rules((), limit_bytes=limit_bytes))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answered, ProviderError)
    assert (answered.trouble, answered.may_repeat) == (Trouble.BROKEN, False)
    assert "refused: " in answered.vendor_message
    assert peak_bytes < 8 * fetch.MEBIBYTE
    # What the kernel takes in on both sides comes on top of what was read.
    kernels_bytes = 16 * fetch.MEBIBYTE
    read_bytes = limit_bytes if framing in ("chunked", "until the end") else 0
    assert seen[0].sent_bytes < read_bytes + kernels_bytes


async def test_only_plain_bytes_are_read(tmp_path: Path) -> None:
    for encoding in ("gzip", "identity, br", "x"):
        _, answered = await simulated(tmp_path, whole(content_encoding=encoding))
        assert isinstance(answered, ProviderError)
        assert "encoding" in answered.vendor_message
    _, answered = await simulated(tmp_path, whole(content_encoding="identity"))
    assert isinstance(answered, File)


async def test_a_file_of_just_the_limit_is_taken(tmp_path: Path) -> None:
    rules = Rules((), limit_bytes=len(PNG))
    assert isinstance((await simulated(tmp_path, whole(), rules))[1], File)
    (tmp_path / "result.png").unlink()
    _, answered = await simulated(tmp_path, whole(PNG + b"x"), rules)
    assert isinstance(answered, ProviderError)


async def hang_up(visit: Visit) -> None:
    visit.writer.transport.abort()


async def break_off(visit: Visit) -> None:
    await visit.say(head(content_type="image/png", content_length=str(len(PNG) + 1)), PNG)


async def break_a_chunk_off(visit: Visit) -> None:
    first = head(content_type="image/png", transfer_encoding="chunked")
    await visit.say(first, b"48\r\n" + PNG + b"\r\n")


async def babble(visit: Visit) -> None:
    await visit.say(b"SSH-2.0-OpenSSH_9.2\r\n")


async def fall_silent(visit: Visit) -> None:
    await visit.say(head(content_type="image/png", content_length="1000"), PNG)
    await asyncio.sleep(5)


async def drip(visit: Visit) -> None:
    await visit.say(head(content_type="image/png", content_length="1000"), PNG)
    for _ in range(500):
        await visit.say(b"x")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "trouble", "wait_s"),
    [
        (whole(status=429, retry_after="7"), Trouble.BUSY, 7),
        (whole(status=503, retry_after="2.5"), Trouble.BUSY, 2.5),
        (whole(status=503), Trouble.BUSY, None),
        (whole(status=500), Trouble.BROKEN, None),
        (whole(status=502, retry_after="soon"), Trouble.BROKEN, None),
        (whole(status=408), Trouble.BROKEN, None),
        (hang_up, Trouble.BROKEN, None),
        (break_off, Trouble.BROKEN, None),
        (break_a_chunk_off, Trouble.BROKEN, None),
        (babble, Trouble.BROKEN, None),
        (fall_silent, Trouble.TIMEOUT, None),
        (drip, Trouble.TIMEOUT, None),
    ],
)
async def test_what_may_pass_may_be_asked_again(
    tmp_path: Path, script: Script, trouble: Trouble, wait_s: float | None
) -> None:
    rules = Rules((), idle_limit_s=0.3, attempt_limit_s=1.0 if script is drip else 30.0)
    _, answered = await simulated(tmp_path, script, rules)
    assert isinstance(answered, ProviderError)
    assert (answered.trouble, answered.may_repeat) == (trouble, True)
    assert answered.retry_after_s == wait_s


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 410, 416])
async def test_any_other_status_is_the_end(tmp_path: Path, status: int) -> None:
    _, answered = await simulated(tmp_path, whole(status=status))
    assert isinstance(answered, ProviderError)
    assert (answered.trouble, answered.may_repeat) == (Trouble.BROKEN, False)


async def test_a_host_that_cannot_be_found_or_reached_may_be_tried_again(
    tmp_path: Path, place: Place
) -> None:
    async def nowhere(host: str, port: int) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    rules = Rules(hosts=(VENDOR,))
    fetcher = Fetcher(place, resolve=nowhere, network=Network())
    assert (await refusal(fetcher, f"https://{VENDOR}/", tmp_path, rules)).may_repeat
    for answers in ([], [PUBLIC]):
        names, network = Names(files_vendor_example=[answers]), Network()
        fetcher = Fetcher(place, resolve=names, network=network)
        assert (await refusal(fetcher, f"https://{VENDOR}/", tmp_path, rules)).may_repeat
        assert network.connects == [(address, 443) for address in answers]


async def test_the_next_checked_address_is_tried_where_one_does_not_answer(
    tmp_path: Path,
) -> None:
    place = Place(models_dir=tmp_path, loopback_allowed=True)
    async with canary() as seller:
        simulator = Origin("http", "localhost", seller.port)
        network = Network()
        names = Names(localhost=[["::1", "127.0.0.1"]])  # the seller is at the second
        fetcher = Fetcher(place, resolve=names, network=network)
        await get(fetcher, f"{simulator}/x.png", tmp_path, Rules(()), simulator)
    assert [host for host, _ in network.connects] == ["::1", "127.0.0.1"]


async def test_a_fetch_given_up_leaves_no_file(tmp_path: Path) -> None:
    fetching = asyncio.create_task(simulated(tmp_path, fall_silent))
    while not left_in(tmp_path):  # noqa: ASYNC110  # nobody is told when a file appears
        await asyncio.sleep(0.01)
    fetching.cancel()
    await asyncio.wait([fetching])
    assert fetching.cancelled()
    assert left_in(tmp_path) == []


async def test_a_deadline_that_has_passed_is_no_answer_in_time(
    tmp_path: Path, place: Place
) -> None:
    network = Network()
    with pytest.raises(ProviderError) as caught:
        await Fetcher(place, resolve=Names(files_vendor_example=[[PUBLIC]]), network=network).fetch(
            f"https://{VENDOR}/", tmp_path / "x.png", Rules(hosts=(VENDOR,)), deadline_at=now()
        )
    assert (caught.value.trouble, network.connects) == (Trouble.TIMEOUT, [])


def test_retry_after_is_seconds_or_a_date() -> None:
    assert fetch.retry_after_s("0") == 0
    assert fetch.retry_after_s(" 12 ") == 12
    assert fetch.retry_after_s("999999999") == 86_400
    for unreadable in (None, "", "-1", "soon", "1e9", "nan", "Wed, 99 Foo 2026"):
        assert fetch.retry_after_s(unreadable) is None
    in_a_minute = format_datetime(now() + timedelta(seconds=60), usegmt=True)
    assert 30 < (fetch.retry_after_s(in_a_minute) or 0) <= 60
    assert fetch.retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert fetch.retry_after_s("Wed, 21 Oct 2015 07:28:00 -0000") == 0
