"""What every adapter must keep to. A new module is tested here without being named."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image
from pydantic import BaseModel, SecretStr, ValidationError
from tests.contracts.pictures import REQUESTS

from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers import registry
from funmagic.providers.contract import (
    Adapter,
    BackgroundRemoval,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    ImageEdit,
    ImageTo3d,
    Offer,
    Place,
    ProviderError,
)
from funmagic.providers.seed import SIMULATED
from funmagic.simulators.server import Running, running
from funmagic.toolkit.schema import form_of

ADAPTERS = registry.adapters()
OFFERS = [
    pytest.param(adapter, capability, offer, id=f"{adapter.key}/{capability}")
    for adapter in ADAPTERS.values()
    for capability, offer in adapter.offers.items()
]
every_adapter = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=lambda it: it.key)
every_adapter_with_a_key = pytest.mark.parametrize(
    "adapter", [it for it in ADAPTERS.values() if it.credentials_model], ids=lambda it: it.key
)
every_offer = pytest.mark.parametrize(("adapter", "capability", "offer"), OFFERS)
Connect = Callable[[Adapter], Connection]


@pytest.fixture(scope="module")
def simulators() -> Iterator[Running]:
    with running(tls=True) as place:
        yield place


@pytest.fixture(autouse=True)
async def opened(models_dir: Path, simulators: Running) -> AsyncIterator[None]:
    registry.open(
        Place(models_dir, parallel_calls=1, loopback_allowed=True, ca_file=simulators.ca_file)
    )
    yield
    await registry.close()


@pytest.fixture
def connect(simulators: Running) -> Connect:
    """A connection to the vendor as it is simulated under its key; to itself without a key."""

    def to(adapter: Adapter) -> Connection:
        model = adapter.credentials_model
        if model is None:
            return Connection()
        credentials = model.model_validate({"key": SIMULATED[adapter.key]})
        return Connection(credentials, f"{simulators.url}/{adapter.key}")

    return to


def test_every_capability_has_a_picture_to_try_it_with() -> None:
    assert set(REQUESTS) == set(Capability)


@every_adapter
def test_an_adapter_introduces_itself(adapter: Adapter) -> None:
    assert adapter.key
    assert adapter.label
    assert adapter.offers
    assert registry.adapter(adapter.key) is adapter
    for name in ("submit", "poll", "cancel", "check_health"):
        assert inspect.iscoroutinefunction(getattr(adapter, name))


@every_offer
def test_options_survive_the_database(
    adapter: Adapter, capability: Capability, offer: Offer
) -> None:
    assert offer.models
    assert len(set(offer.models)) == len(offer.models)
    for model in (*offer.models, "a-model-of-tomorrow"):
        options_model = offer.options_of(model)
        defaults = options_model()
        stored = defaults.model_dump(mode="json", by_alias=True)
        assert options_model.model_validate(stored) == defaults
        assert not any("_" in name for name in stored)
        form_of(options_model)
        with pytest.raises(ValidationError):
            options_model.model_validate({"noSuchOption": True})


@every_adapter
def test_what_an_operator_may_set_can_be_drawn_and_stored(adapter: Adapter) -> None:
    defaults = adapter.config_model()
    stored = json.loads(json.dumps(defaults.model_dump(mode="json", by_alias=True)))
    assert adapter.config_model.model_validate(stored) == defaults


@every_adapter
def test_credentials_never_show(adapter: Adapter) -> None:
    canary = "canary-5f1c"

    class Anything(BaseModel):
        api_key: str

    shown = repr(Connection(credentials=Anything(api_key=canary), base_url="https://x.example"))
    assert canary not in shown
    if adapter.credentials_model is not None:
        for info in adapter.credentials_model.model_fields.values():
            assert info.annotation in (SecretStr, SecretStr | None)


@every_adapter
async def test_health_is_answered(adapter: Adapter, connect: Connect) -> None:
    health = await adapter.check_health(connect(adapter))
    assert health.ok is True, health.message
    assert health.message


@every_adapter_with_a_key
async def test_without_its_key_an_adapter_says_so(adapter: Adapter, connect: Connect) -> None:
    keyless = Connection(base_url=connect(adapter).base_url)
    assert (await adapter.check_health(keyless)).ok is False


@every_offer
async def test_no_job_is_made_that_must_not_be_made_any_more(
    adapter: Adapter, capability: Capability, offer: Offer, tmp_path: Path, connect: Connect
) -> None:
    class NotAnyMore(Exception):
        pass

    async def refuse() -> None:
        raise NotAnyMore

    request = REQUESTS[capability](tmp_path)
    call = replace(make_call(tmp_path, offer, [], connect(adapter)), begin=refuse)
    with pytest.raises(NotAnyMore):
        await adapter.submit(request, call)


@every_offer
async def test_a_real_input_gives_a_real_result(
    adapter: Adapter, capability: Capability, offer: Offer, tmp_path: Path, connect: Connect
) -> None:
    request = REQUESTS[capability](tmp_path)
    heard: list[int] = []
    call = make_call(tmp_path, offer, heard, connect(adapter))
    answer = await adapter.submit(request, call)
    while not isinstance(answer, Finished):
        assert json.loads(json.dumps(answer.handle)) == answer.handle
        heard += [] if answer.progress is None else [answer.progress]
        await asyncio.sleep(min(answer.poll_after_s, 0.2))
        answer = await adapter.poll(answer.handle, call)
    assert answer.result.cost_usd_micros >= 0
    assert all(0 <= percent <= 99 for percent in heard)
    assert heard == sorted(heard)
    assert_right(request, answer)


@every_adapter
async def test_cancelling_what_is_unknown_does_no_harm(
    adapter: Adapter, tmp_path: Path, connect: Connect
) -> None:
    """It may be refused as no handle at all, but as nothing worse."""
    offer = next(iter(adapter.offers.values()))
    with contextlib.suppress(ProviderError):
        await adapter.cancel({"id": "unknown"}, make_call(tmp_path, offer, [], connect(adapter)))


def make_call(work_dir: Path, offer: Offer, heard: list[int], connection: Connection) -> Call:
    async def report(percent: int) -> None:
        heard.append(percent)

    return Call(
        id=new_id(),
        model=offer.models[0],
        options=offer.options_of(offer.models[0])(),
        connection=connection,
        work_dir=work_dir,
        deadline_at=now() + timedelta(seconds=60),
        report=report,
    )


def assert_right(request: object, answer: Finished) -> None:
    """The result is what the request's docstring promises."""
    match request:
        case BackgroundRemoval():
            (cutout,) = answer.result.files
            assert cutout.content_type == "image/png"
            with Image.open(request.image.path) as before, Image.open(cutout.path) as after:
                assert (after.format, after.mode, after.size) == ("PNG", "RGBA", before.size)
        case ImageEdit():
            (picture,) = answer.result.files
            assert_picture(picture)
        case ImageTo3d():
            model, *pictures = answer.result.files
            assert model.content_type == "model/gltf-binary"
            assert model.path.read_bytes()[:4] == b"glTF"
            for picture in pictures:
                assert_picture(picture)
        case _:
            raise AssertionError(f"no promise is known for {request!r}")


def assert_picture(picture: File) -> None:
    """A picture of the type it says, that can be decoded to its end."""
    with Image.open(picture.path) as opened:
        opened.load()
        assert Image.MIME[str(opened.format)] == picture.content_type
