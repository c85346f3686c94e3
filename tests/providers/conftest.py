"""The local provider on the real model; simulated vendors; a certificate of this machine's own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from tests.providers.fal_desk import Desk, control_of, desk_at
from tests.providers.tripo_desk import TripoDesk, tripo_desk_at
from tests.vendors import FalControl, TripoControl

from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers.adapters.local import BackgroundRemovalOptions, Local
from funmagic.providers.contract import (
    BackgroundRemoval,
    Call,
    Connection,
    File,
    Finished,
    Options,
    Place,
)
from funmagic.simulators.server import Running, running
from funmagic.simulators.tls import Certificate, certificate_in

PHOTOS = Path(__file__).parent.parent / "photos"
CutOut = Callable[..., Awaitable[Finished]]


async def ignore(percent: int) -> None:
    """Nobody watches this call."""


async def show_nobody(file: File) -> None:
    """Nor looks at its pictures."""


@pytest.fixture(scope="module")
async def local(models_dir: Path) -> AsyncIterator[Local]:
    adapter = Local()
    adapter.open(Place(models_dir=models_dir, parallel_calls=1))
    yield adapter
    await adapter.close()


@pytest.fixture
def cut_out(local: Local, tmp_path: Path) -> CutOut:
    """Remove a photo's background; ``photo`` is a name in the photos' folder or a path."""

    async def run(
        photo: str | Path,
        *,
        report: Callable[[int], Awaitable[None]] = ignore,
        options: Options | None = None,
        time_s: float = 60,
    ) -> Finished:
        call = make_call(tmp_path / str(new_id()), report, options, time_s)
        image = File(PHOTOS / photo, "image/jpeg")
        answer = await local.submit(BackgroundRemoval(image), call)
        assert isinstance(answer, Finished)
        return answer

    return run


def make_call(
    work_dir: Path,
    report: Callable[[int], Awaitable[None]] = ignore,
    options: Options | None = None,
    time_s: float = 60,
    show: Callable[[File], Awaitable[None]] | None = None,
) -> Call:
    work_dir.mkdir(exist_ok=True)
    return Call(
        id=new_id(),
        model="u2netp",
        options=options or BackgroundRemovalOptions(),
        connection=Connection(),
        work_dir=work_dir,
        deadline_at=now() + timedelta(seconds=time_s),
        report=report,
        show=show or show_nobody,
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def tls(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.server_file)
    return context


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(models_dir=tmp_path)


@pytest.fixture(scope="session")
def simulators() -> Iterator[Running]:
    """Every simulated vendor, over TLS, in a process of its own."""
    with running(tls=True) as place:
        yield place


@pytest.fixture(scope="session")
async def fal_control(simulators: Running) -> AsyncIterator[FalControl]:
    async with control_of(simulators) as control:
        yield control


@pytest.fixture
async def desk(simulators: Running, fal_control: FalControl, tmp_path: Path) -> AsyncIterator[Desk]:
    """fal's adapter at a fresh simulated fal."""
    async with desk_at(simulators, fal_control, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
async def tripo_control(simulators: Running) -> AsyncIterator[TripoControl]:
    trust = ssl.create_default_context(cafile=simulators.ca_file)
    async with httpx.AsyncClient(base_url=simulators.url, verify=trust, timeout=30) as client:
        yield TripoControl(client)


@pytest.fixture
async def tripo(
    simulators: Running, tripo_control: TripoControl, tmp_path: Path
) -> AsyncIterator[TripoDesk]:
    """Tripo's adapter at a fresh simulated Tripo."""
    async with tripo_desk_at(simulators, tripo_control, tmp_path) as opened:
        yield opened
