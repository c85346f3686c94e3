"""What OpenAI's adapter sends, field by field, and what it makes of a good answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from tests.providers.canary import PNG, Visit, canary
from tests.providers.openai_desk import (
    KEY,
    PHOTOS,
    USAGE,
    Part,
    an_edit,
    desk_at,
    event,
    fields_of,
    parts_of,
    streams,
)

from funmagic.providers.adapters.openai import OpenAiCredentials
from funmagic.providers.adapters.openai.costs import OpenAiConfig
from funmagic.providers.adapters.openai.options import IMAGE_EDIT
from funmagic.providers.contract import (
    Connection,
    File,
    ImageEdit,
    Options,
    Place,
    ProviderError,
    Trouble,
)
from funmagic.toolkit.schema import form_of

JPEG, WEBP = b"\xff\xd8\xff" + bytes(60), b"RIFF\x00\x00\x00\x00WEBP" + bytes(60)
# What is sent without an admin having set anything.
COMMON = {
    "prompt": "Draw it in ink.",
    "stream": "true",
    "partial_images": "2",
    "size": "auto",
    "quality": "auto",
    "background": "auto",
    "output_format": "png",
}


async def sent(
    folder: Path, model: str, options: dict[str, Any] | None = None, *, references: int = 1
) -> Visit:
    """The one request of a call."""
    async with canary(streams()) as bird, desk_at(at(bird.port), folder) as desk:
        await desk.run(desk.call(model, options), an_edit(references=references))
    (visit,) = bird.visits
    return visit


def at(port: int) -> str:
    return f"http://127.0.0.1:{port}/openai"


async def test_a_create_is_asked_as_openai_wants_it(tmp_path: Path) -> None:
    visit = await sent(tmp_path, "gpt-image-1.5", references=2)
    assert (visit.method, visit.target) == ("POST", "/openai/v1/images/edits")
    assert fields_of(visit) == {**COMMON, "model": "gpt-image-1.5", "input_fidelity": "high"}
    photo, style = ((PHOTOS / name).read_bytes() for name in ("cat.jpg", "coffee.jpg"))
    assert [part for part in parts_of(visit) if part.filename] == [
        Part("image[]", photo, "photo.jpg", "image/jpeg"),
        Part("image[]", style, "reference-1.jpg", "image/jpeg"),
        Part("image[]", style, "reference-2.jpg", "image/jpeg"),
    ]


async def test_a_photo_alone_is_a_list_of_one(tmp_path: Path) -> None:
    visit = await sent(tmp_path, "gpt-image-1.5", references=0)
    files = [part for part in parts_of(visit) if part.filename]
    assert [(part.name, part.filename) for part in files] == [("image[]", "photo.jpg")]


async def test_a_create_has_the_headers_of_its_call_and_no_others(tmp_path: Path) -> None:
    headers = (await sent(tmp_path, "gpt-image-1.5")).headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("funmagic/")
    assert set(headers) - {"connection", "accept"} == {
        *("host", "authorization", "user-agent", "accept-encoding"),
        *("content-type", "content-length"),
    }


async def test_an_organization_and_a_project_are_named(tmp_path: Path) -> None:
    async with canary(streams()) as bird, desk_at(at(bird.port), tmp_path) as desk:
        ours = desk.connection(organization=SecretStr("org-ours"), project=SecretStr("proj_ours"))
        await desk.run(desk.call(connection=ours))
        await desk.run(desk.call())
    with_both, with_none = (visit.headers for visit in bird.visits)
    assert with_both["openai-organization"] == "org-ours"
    assert with_both["openai-project"] == "proj_ours"
    assert not [name for name in with_none if name.startswith("openai-")]


@pytest.mark.parametrize(
    ("model", "options", "fields", "absent"),
    [
        ("gpt-image-1.5", {"inputFidelity": "low"}, {"input_fidelity": "low"}, ()),
        ("gpt-image-1.5", {"size": "1024x1536"}, {"size": "1024x1536"}, ()),
        ("gpt-image-1.5", {"quality": "high"}, {"quality": "high"}, ()),
        ("gpt-image-1.5", {"background": "transparent"}, {"background": "transparent"}, ()),
        ("gpt-image-1.5", {"partialImages": 0}, {"partial_images": "0"}, ()),
        ("gpt-image-1.5", {"partialImages": 3}, {"partial_images": "3"}, ()),
        ("gpt-image-1.5", {"outputCompression": 40}, {}, ("output_compression",)),
        (
            "gpt-image-1.5",
            {"outputFormat": "webp", "outputCompression": 40},
            {"output_format": "webp", "output_compression": "40"},
            (),
        ),
        (
            "gpt-image-1.5",
            {"outputFormat": "jpeg"},
            {"output_format": "jpeg", "output_compression": "100"},
            (),
        ),
        ("gpt-image-1-mini", {}, {"input_fidelity": "low"}, ()),
        ("chatgpt-image-latest", {}, {}, ("input_fidelity",)),
        ("gpt-image-2", {"size": "1536x864"}, {"size": "1536x864"}, ("input_fidelity",)),
        ("gpt-image-2.5-flare", {"quality": "max"}, {"quality": "max"}, ("input_fidelity",)),
        ("gpt-image-2.6-sunburst", {"quality": "xhigh"}, {"quality": "xhigh"}, ()),
    ],
)
async def test_an_option_becomes_its_parameter(
    tmp_path: Path,
    model: str,
    options: dict[str, Any],
    fields: dict[str, str],
    absent: tuple[str, ...],
) -> None:
    told = fields_of(await sent(tmp_path, model, options))
    wanted = COMMON | {"model": model} | fields
    if "input_fidelity" in told and "input_fidelity" not in absent:
        wanted = {"input_fidelity": "high"} | wanted
    assert told == wanted


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-image-1.5", {"quality": "xhigh"}),
        ("gpt-image-1.5", {"size": "1536x864"}),
        ("gpt-image-1.5", {"partialImages": 4}),
        ("gpt-image-1.5", {"outputFormat": "gif"}),
        ("gpt-image-1.5", {"outputFormat": "jpeg", "background": "transparent"}),
        ("gpt-image-1.5", {"outputCompression": 101}),
        ("gpt-image-1.5", {"moderation": "low"}),
        ("gpt-image-1-mini", {"inputFidelity": "high"}),
        ("chatgpt-image-latest", {"inputFidelity": "low"}),
        ("gpt-image-2", {"inputFidelity": "low"}),
        ("gpt-image-2", {"quality": "max"}),
        *(
            ("gpt-image-2.5-flare", {"size": size})
            for size in ("1000x1000", "3856x1024", "3840x3840", "2048x512", "16", "0x0", "auto ")
        ),
        ("gpt-image-2.6-flare", {"inputFidelity": "low"}),
        ("a-model-of-tomorrow", {"inputFidelity": "low"}),
    ],
)
def test_an_option_a_model_does_not_take_cannot_be_set(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        IMAGE_EDIT.options_of(model).model_validate(options)


def test_the_recommended_model_is_first_and_every_option_has_a_label() -> None:
    assert IMAGE_EDIT.models[0] == "gpt-image-1.5"
    for model in IMAGE_EDIT.models:
        for drawn in form_of(IMAGE_EDIT.options_of(model)):
            assert drawn.kind in ("choice", "text", "number"), drawn
            assert drawn.label[0].isupper()


@pytest.mark.hazard("U8")
async def test_nothing_the_sdk_finds_in_the_environment_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with canary(streams()) as bird, desk_at(at(bird.port), tmp_path) as desk:
        for name, value in {
            "OPENAI_API_KEY": "sk-environment",
            "OPENAI_ADMIN_KEY": "sk-environment",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/elsewhere",
            "OPENAI_ORG_ID": "org-environment",
            "OPENAI_PROJECT_ID": "proj_environment",
            "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer sk-environment\nX-Own: environment",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "http://127.0.0.1:9",
        }.items():
            monkeypatch.setenv(name, value)
        before = dict(os.environ)
        await desk.run()
        assert dict(os.environ) == before
    (visit,) = bird.visits
    assert "environment" not in f"{visit.target}{visit.headers}{fields_of(visit)}"


@pytest.mark.hazard("U8")
async def test_two_keys_at_once_stay_apart(tmp_path: Path) -> None:
    async with canary(streams()) as bird, desk_at(at(bird.port), tmp_path) as desk:
        keys = [f"sk-{name}-{number}" for name in ("ada", "bo") for number in range(3)]
        await asyncio.gather(*(desk.run(desk.call(key=key), an_edit(key)) for key in keys))
    told = {fields_of(visit)["prompt"]: visit.headers["authorization"] for visit in bird.visits}
    assert told == {key: f"Bearer {key}" for key in keys}
    assert bird.connections == len(keys), "no connection is used by two keys"


def test_who_makes_no_call_does_not_pay_for_the_sdk() -> None:
    look = "import sys; from funmagic.providers import registry; registry.adapters()"
    run = subprocess.run(
        [sys.executable, "-c", f"{look}; print('openai' in sys.modules)"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert run.stdout.strip() == "False", run.stderr


async def test_unfinished_pictures_are_shown_in_order_and_the_last_is_the_result(
    tmp_path: Path,
) -> None:
    unfinished = [PNG + bytes([number]) for number in range(3)]
    frames = [
        event("partial_image", content, partial_image_index=number)
        for number, content in enumerate(unfinished)
    ]
    finished = event("completed", JPEG, usage=USAGE)
    async with (
        canary(streams(*frames, finished)) as bird,
        desk_at(at(bird.port), tmp_path) as desk,
    ):
        call = desk.call(options={"partialImages": 3})
        result = (await desk.run(call)).result
    assert desk.shown == unfinished
    assert desk.percents == [10, 30, 50, 70]
    assert desk.begun == 1
    (picture,) = result.files
    assert (picture.path.read_bytes(), picture.content_type) == (JPEG, "image/jpeg")
    meta = dict(result.meta)
    assert meta.pop("latencyS") >= 0
    assert meta == {
        "requestId": "req_7",
        "size": "1024x1024",
        "quality": "low",
        "textInTokens": 50,
        "imageInTokens": 300,
        "outTokens": 272,
    }


async def test_more_than_was_asked_for_is_not_shown_nor_what_is_no_picture(tmp_path: Path) -> None:
    frames = [
        event("partial_image", content)
        for content in (b"<svg/>", "not base64!", None, PNG, WEBP, JPEG)
    ]
    async with (
        canary(streams(*frames, b": a comment\n\n", event("completed", WEBP))) as bird,
        desk_at(at(bird.port), tmp_path) as desk,
    ):
        finished = await desk.run(desk.call(options={"partialImages": 3}))
        assert desk.shown == []
        await desk.run(desk.call(options={"partialImages": 2}))
    assert finished.result.files[0].content_type == "image/webp"
    assert desk.shown == []


async def test_who_shows_may_fail_and_the_line_is_closed(tmp_path: Path) -> None:
    class NoDatabase(Exception):
        pass

    async def show(picture: File) -> None:
        raise NoDatabase

    async with (
        canary(streams(event("partial_image"), event("completed"))) as bird,
        desk_at(at(bird.port), tmp_path) as desk,
    ):
        with pytest.raises(NoDatabase):
            await desk.run(desk.call(show=show))


@pytest.mark.parametrize(
    ("model", "usage", "micros"),
    [
        # 50 text tokens at 5, 300 image tokens at 8, 272 out at 32 dollars per million
        ("gpt-image-1.5", USAGE, 250 + 2400 + 8704),
        ("gpt-image-1-mini", USAGE, 100 + 750 + 2176),
        ("gpt-image-2", USAGE, 250 + 2400 + 8160),
        ("gpt-image-2-2026-04-21", USAGE, 250 + 2400 + 8160),
        ("gpt-image-2.6-flare", USAGE, 250 + 3000 + 10_880),  # of no row: the other models'
        ("gpt-image-1-mini", {"input_tokens": 3, "output_tokens": 1}, 16),  # 15.5, rounded up
        ("gpt-image-1.5", None, 0),
        ("gpt-image-1.5", [], 0),
        ("gpt-image-1.5", {"input_tokens": "350", "output_tokens": -1}, 0),
        ("gpt-image-1.5", {"input_tokens": True, "output_tokens": 1e3}, 0),
        ("gpt-image-1.5", {"input_tokens_details": 7, "output_tokens": 10**12}, 0),
    ],
)
async def test_tokens_become_a_cost_at_the_models_prices(
    tmp_path: Path, model: str, usage: Any, micros: int
) -> None:
    async with (
        canary(streams(event("completed", usage=usage))) as bird,
        desk_at(at(bird.port), tmp_path) as desk,
    ):
        result = (await desk.run(desk.call(model, {}))).result
    assert result.cost_usd_micros == micros


async def test_prices_are_what_the_operator_says(tmp_path: Path) -> None:
    config = OpenAiConfig.model_validate({
        "moreModels": ["gpt-image-3"],
        "prices": [
            {"model": "gpt-image-3", "textInUsd": 1, "imageInUsd": 2, "imageOutUsd": 3},
        ],
        "otherModels": {"textInUsd": 0, "imageInUsd": 0, "imageOutUsd": 100},
    })  # fmt: skip
    async with canary(streams()) as bird, desk_at(at(bird.port), tmp_path) as desk:
        connection = replace(desk.connection(), config=config)
        for model, micros in (("gpt-image-3", 50 + 600 + 816), ("gpt-image-1.5", 27_200)):
            finished = await desk.run(desk.call(model, {}, connection=connection))
            assert finished.result.cost_usd_micros == micros
    assert [fields_of(visit)["model"] for visit in bird.visits] == ["gpt-image-3", "gpt-image-1.5"]
    twice = {"prices": [{"model": "x", "textInUsd": 1, "imageInUsd": 1, "imageOutUsd": 1}] * 2}
    with pytest.raises(ValidationError, match="already has a price"):
        OpenAiConfig.model_validate(twice)


async def test_a_model_the_vendor_lists_and_no_release_knows_is_asked_for(tmp_path: Path) -> None:
    assert fields_of(await sent(tmp_path, "gpt-image-9", {}))["model"] == "gpt-image-9"


async def test_a_call_that_is_none_of_ours_is_not_made(tmp_path: Path) -> None:
    many = an_edit(references=16)
    strange = ImageEdit(File(PHOTOS / "cat.jpg", "image/tiff"), "Draw it.")
    async with canary(streams()) as bird, desk_at(at(bird.port), tmp_path) as desk:
        here = desk.base_url
        for request, more, trouble in (
            (an_edit(), {"options": Options()}, Trouble.INVALID),
            (an_edit(), {"connection": Connection(base_url=here)}, Trouble.UNAUTHORISED),
            (an_edit(""), {}, Trouble.INVALID),
            (many, {}, Trouble.INVALID),
            (strange, {}, Trouble.INVALID),
            (an_edit(), {"deadline_at": desk.call(time_s=-1).deadline_at}, Trouble.TIMEOUT),
            (an_edit(), {"connection": replace(desk.connection(), base_url="https://evil.example")},
             Trouble.BROKEN),
        ):  # fmt: skip
            with pytest.raises(ProviderError) as caught:
                await desk.run(replace(desk.call(), **more), request)
            assert caught.value.trouble == trouble, (request, more)
    assert (bird.visits, desk.begun) == ([], 0)


async def test_there_is_no_job_to_ask_for(tmp_path: Path) -> None:
    async with desk_at(at(9), tmp_path) as desk:
        with pytest.raises(ProviderError, match="no job"):
            await desk.openai.poll({"id": "x"}, desk.call())
        with pytest.raises(ProviderError, match="no job"):
            await desk.openai.cancel({"id": "x"}, desk.call())


@pytest.mark.parametrize("key", ["", "sk with space", "sk-\nInjected: yes", "ключ", "x" * 501])
def test_a_key_that_fits_no_header_is_none(key: str) -> None:
    with pytest.raises(ValidationError):
        OpenAiCredentials(key=SecretStr(key))
    assert OpenAiCredentials(key=SecretStr(" sk-x\n")).key.get_secret_value() == "sk-x"


async def test_a_gateway_is_called_in_openais_place_if_the_operator_has_named_it(
    tmp_path: Path,
) -> None:
    async with canary(streams()) as bird:
        origin = f"http://127.0.0.1:{bird.port}"
        named = Place(models_dir=tmp_path, gateways=frozenset({origin}))
        async with desk_at(f"{origin}/team/v1/", tmp_path, named) as desk:
            await desk.run(desk.call("gpt-image-1.5"), an_edit())
        for place in (Place(models_dir=tmp_path), replace(named, gateways=frozenset({"http://a"}))):
            async with desk_at(f"{origin}/team/v1", tmp_path, place) as desk:
                with pytest.raises(ProviderError, match="refused"):
                    await desk.run(desk.call("gpt-image-1.5"), an_edit())
    (visit,) = bird.visits
    assert visit.target == "/team/v1/images/edits"
    assert visit.headers["authorization"] == f"Bearer {KEY}"
