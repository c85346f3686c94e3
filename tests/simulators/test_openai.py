"""The simulated OpenAI as any client of the real one meets it."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import openai as sdk
import pytest
from PIL import Image, ImageChops, ImageStat
from tests.simulators.client import Fal
from tests.simulators.openai_client import (
    KEY,
    MODEL,
    SMALL,
    OpenAi,
    colours_in,
    events_in,
    picture_in,
    png,
    until_it_breaks,
)

HOUR_S = 3600


@pytest.fixture(scope="module")
def over_http_too(over_http: Fal) -> Iterator[OpenAi]:
    with (openai := OpenAi(over_http.place)).http:
        yield openai


@pytest.fixture
def openai(over_http_too: OpenAi) -> OpenAi:
    return over_http_too.clean()


def test_models_are_listed_with_the_day_they_end(openai: OpenAi) -> None:
    told = openai.http.get("/v1/models").raise_for_status().json()
    assert told["object"] == "list"
    models = {model["id"]: model for model in told["data"]}
    assert models["gpt-image-1.5"]["shutdown_date"] == "2026-12-01"
    assert models["gpt-image-2.6-flare"]["shutdown_date"] is None
    assert not {"gpt-image-1", "dall-e-3"} & set(models)
    one = openai.http.get("/v1/models/gpt-image-1.5").raise_for_status().json()
    assert one == models["gpt-image-1.5"]
    assert set(one) == {"id", "object", "created", "owned_by", "shutdown_date"}
    assert_error(openai.http.get("/v1/models/dall-e-3"), 404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/gpt-image-2"])
def test_a_wrong_key_is_refused_and_hardly_quoted(openai: OpenAi, path: str) -> None:
    wrong = {"Authorization": "Bearer sk-a-bad-one-5f1c"}
    answer = openai.http.get(path, headers=wrong)
    assert_error(answer, 401, "invalid_api_key")
    assert "a-bad-one" not in answer.text
    assert_error(openai.http.get(path, headers={"Authorization": "Basic x"}), 401, None)
    edit = openai.http.post("/v1/images/edits", data=openai.fields(), headers=wrong)
    assert_error(edit, 401, "invalid_api_key")


def test_a_photo_is_drawn_anew_at_the_asked_size(openai: OpenAi, astronaut: bytes) -> None:
    told = openai.edit(astronaut, png()).raise_for_status().json()
    (entry,) = told["data"]
    drawn = picture_in(entry)
    assert (drawn.format, drawn.size) == ("PNG", (320, 240))
    assert (told["size"], told["output_format"], told["background"]) == (SMALL, "png", "opaque")
    again = picture_in(openai.edit(astronaut, png()).json()["data"][0])
    other = picture_in(openai.edit(png(), astronaut).json()["data"][0])
    assert differs(drawn, again) == 0
    assert differs(drawn, other) > 20
    assert set(told["usage"]) == {
        *("input_tokens", "input_tokens_details", "output_tokens", "total_tokens"),
        "output_tokens_details",
    }


@pytest.mark.parametrize(
    ("shape", "size"),
    [((64, 64), "1024x1024"), ((90, 60), "1536x1024"), ((60, 90), "1024x1536")],
)
def test_without_a_size_it_is_the_photos_shape(
    openai: OpenAi, shape: tuple[int, int], size: str
) -> None:
    told = openai.edit(png(shape), size="auto").raise_for_status().json()
    assert told["size"] == size == "{}x{}".format(*picture_in(told["data"][0]).size)


@pytest.mark.parametrize("output_format", ["png", "webp", "jpeg"])
def test_a_file_is_of_the_format_that_was_asked_for(openai: OpenAi, output_format: str) -> None:
    told = openai.edit(png(), output_format=output_format).raise_for_status().json()
    assert picture_in(told["data"][0]).format == output_format.upper()


def test_a_transparent_background_is_one(openai: OpenAi, astronaut: bytes) -> None:
    told = openai.edit(astronaut, background="transparent").raise_for_status().json()
    assert told["background"] == "transparent"
    low, high = picture_in(told["data"][0]).getchannel("A").getextrema()
    assert (low, high) == (0, 255)


def test_a_stream_shows_how_the_picture_comes_to_be(openai: OpenAi, astronaut: bytes) -> None:
    *partials, completed = openai.events(astronaut, partial_images="3")
    assert [event["partial_image_index"] for event in partials] == [0, 1, 2]
    assert {event["type"] for event in partials} == {"image_edit.partial_image"}
    told = {"created_at", "background", "output_format", "quality", "size"}
    assert set(partials[0]) == {"type", "b64_json", "partial_image_index", *told}
    assert completed["type"] == "image_edit.completed"
    assert set(completed) == {"type", "b64_json", "usage", *told}
    pictures = [picture_in(event) for event in (*partials, completed)]
    assert {picture.size for picture in pictures} == {(320, 240)}
    colours = [colours_in(picture) for picture in pictures]
    assert colours == sorted(set(colours)), "each shows more than the one before"
    (alone,) = openai.events(astronaut)
    assert differs(picture_in(alone), pictures[-1]) == 0


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ({"quality": "low", "size": "1024x1024"}, 272),
        ({"quality": "medium", "size": "1024x1536"}, 1584),
        ({"quality": "high", "size": "1536x1024"}, 6208),
        ({"quality": "low", "size": "1024x1024", "stream": "true", "partial_images": "2"}, 472),
    ],
)
def test_tokens_are_counted(openai: OpenAi, given: dict[str, Any], tokens: int) -> None:
    answer = openai.edit(png(), prompt="Twelve chars", **given).raise_for_status()
    usage = events_in(answer.content)[-1]["usage"] if "stream" in given else answer.json()["usage"]
    assert usage["output_tokens"] == tokens
    assert usage["input_tokens_details"] == {"text_tokens": 3, "image_tokens": 65 + 129}
    assert usage["total_tokens"] == usage["input_tokens"] + tokens
    assert openai.jobs()[0]["usage"]["total_tokens"] == usage["total_tokens"]


@pytest.mark.parametrize(
    ("given", "status", "code", "param"),
    [
        ({"model": "gpt-image-1"}, 404, "model_not_found", None),
        ({"model": "tts-1"}, 400, "invalid_value", "model"),
        ({"prompt": ""}, 400, "invalid_value", "prompt"),
        ({"prompt": "x" * 32_001}, 400, "invalid_value", "prompt"),
        ({"input_fidelity": "low"}, 400, "unsupported_parameter", "input_fidelity"),
        ({"model": "gpt-image-1-mini", "size": "auto", "input_fidelity": "high"},
         400, "invalid_value", "input_fidelity"),
        ({"quality": "max"}, 400, "invalid_value", "quality"),
        ({"quality": "hd"}, 400, "invalid_value", "quality"),
        ({"size": "1000x1000"}, 400, "invalid_value", "size"),
        ({"size": "3200x1024"}, 400, "invalid_value", "size"),
        ({"size": "3840x3840"}, 400, "invalid_value", "size"),
        ({"model": "gpt-image-1.5"}, 400, "invalid_value", "size"),
        ({"n": "11"}, 400, "invalid_value", "n"),
        ({"output_format": "gif"}, 400, "invalid_value", "output_format"),
        ({"output_compression": "50"}, 400, "unsupported_parameter", "output_compression"),
        ({"output_format": "webp", "output_compression": "101"},
         400, "invalid_value", "output_compression"),
        ({"output_format": "jpeg", "background": "transparent"},
         400, "invalid_value", "background"),
        ({"partial_images": "1"}, 400, "unsupported_parameter", "partial_images"),
        ({"partial_images": "4", "stream": "true"}, 400, "invalid_value", "partial_images"),
        ({"moderation": "low"}, 400, "unknown_parameter", "moderation"),
        ({"response_format": "url"}, 400, "unknown_parameter", "response_format"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_refused(
    openai: OpenAi, given: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    answer = openai.edit(png(), **given)
    assert_error(answer, status, code, param)
    assert openai.jobs() == []


def test_pictures_come_alone_or_up_to_sixteen(openai: OpenAi) -> None:
    assert openai.edit(png(), name="image").status_code == 200
    assert openai.edit(*[png()] * 16).status_code == 200
    assert_error(openai.edit(*[png()] * 17), 400, None, "image")
    assert_error(openai.edit(), 400, None)
    assert_error(openai.edit(b"no picture"), 400, "invalid_image_file", "image")
    assert_error(openai.edit(png(), name="picture"), 400, "unknown_parameter")
    json_body = openai.http.post("/v1/images/edits", json=openai.fields())
    assert_error(json_body, 400, None)


def test_a_mask_keeps_what_it_covers(openai: OpenAi, astronaut: bytes) -> None:
    free = picture_in(openai.edit(png((320, 240))).json()["data"][0])
    masked = openai.edit(png((320, 240)), mask=png((320, 240), alpha=255)).raise_for_status()
    kept = picture_in(masked.json()["data"][0])
    photo = Image.new("RGB", (320, 240), (20, 30, 40))
    photo.paste((220, 60, 30), (12, 8, 28, 24))
    assert differs(kept, photo) < differs(free, photo)
    assert_error(openai.edit(png(), mask=png((8, 8), alpha=0)), 400, None, "mask")
    assert_error(openai.edit(png(), mask=b"no mask"), 400, None, "mask")


def test_pictures_are_made_of_words_alone(openai: OpenAi) -> None:
    body = openai.fields(n=2, moderation="low", output_format="webp", output_compression=40)
    told = openai.http.post("/v1/images/generations", json=body).raise_for_status().json()
    first, second = (picture_in(entry) for entry in told["data"])
    assert (first.format, first.size) == ("WEBP", (320, 240))
    assert differs(first, second) > 1
    streamed = openai.fields(stream=True, partial_images=1)
    answer = openai.http.post("/v1/images/generations", json=streamed).raise_for_status()
    kinds = [event["type"] for event in events_in(answer.content)]
    assert kinds == ["image_generation.partial_image", "image_generation.completed"]
    assert_error(openai.http.post("/v1/images/generations", json=[]), 400, None)


@pytest.mark.parametrize(
    ("outcome", "status", "kind", "code"),
    [
        ("moderation_input", 400, "image_generation_user_error", "moderation_blocked"),
        ("moderation_output", 400, "image_generation_user_error", "moderation_blocked"),
        ("insufficient_quota", 429, "insufficient_quota", "insufficient_quota"),
        ("rate_limited", 429, "requests", "rate_limit_exceeded"),
        ("unverified", 403, "invalid_request_error", None),
        ("model_not_found", 404, "invalid_request_error", "model_not_found"),
        ("error_frame", 500, "server_error", "server_error"),
    ],
)
def test_nothing_comes_of_a_create_but_its_reason(
    openai: OpenAi, outcome: str, status: int, kind: str, code: str | None
) -> None:
    openai.set("outcome", kind=outcome, retryAfterS=7)
    answer = openai.edit(png())
    assert_error(answer, status, code)
    assert answer.json()["error"]["type"] == kind
    if outcome == "rate_limited":
        assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("7", "7000")
    if outcome.startswith("moderation"):
        stage = answer.json()["error"]["moderation_details"]["moderation_stage"]
        assert stage == outcome.removeprefix("moderation_")
    (job,) = openai.jobs()
    assert (job["outcome"], job["usage"]) == (outcome, None)
    assert job["status"] in ("refused", "failed")


@pytest.mark.parametrize("outcome", ["moderation_output", "error_frame"])
def test_an_error_may_come_amid_the_stream(openai: OpenAi, outcome: str) -> None:
    openai.set("outcome", kind=outcome)
    *partials, last = openai.events(png(), partial_images="2")
    assert (len(partials), last["type"]) == (2, "error")
    assert set(last["error"]) >= {"message", "type", "param", "code"}
    assert openai.jobs()[0]["status"] == "failed"


def test_a_stream_breaks_off_after_some_of_it(openai: OpenAi) -> None:
    openai.set("outcome", kind="cut")
    with openai.streaming(png()) as answer:
        got = until_it_breaks(answer)
    assert [event["type"] for event in events_in(got)] == ["image_edit.partial_image"]
    with pytest.raises(httpx.TransportError):
        openai.edit(png())
    assert [job["status"] for job in openai.jobs()] == ["completed"] * 2


def test_a_result_may_be_blank_or_no_picture(openai: OpenAi) -> None:
    openai.set("outcome", kind="blank")
    blank = openai.edit(png()).raise_for_status().json()["data"][0]
    assert colours_in(picture_in(blank)) == 1
    openai.set("outcome", kind="garbage")
    with pytest.raises(OSError, match="cannot identify"):
        picture_in(openai.edit(png()).raise_for_status().json()["data"][0])


def test_who_hangs_up_is_noticed(openai: OpenAi) -> None:
    openai.set("pace", workS=HOUR_S)
    with openai.streaming(png()):
        assert openai.jobs()[0]["status"] == "working"
    openai.until(lambda jobs: [job["status"] for job in jobs] == ["disconnected"])


@pytest.mark.parametrize(
    ("fault", "jobs"), [({"cut": "before"}, 0), ({"cut": "after"}, 1), ({"status": 500}, 0)]
)
def test_a_fault_comes_before_or_after_the_job(
    openai: OpenAi, fault: dict[str, Any], jobs: int
) -> None:
    openai.fault("edits", **fault)
    if "cut" in fault:
        with pytest.raises(httpx.TransportError):
            openai.edit(png())
    else:
        assert openai.edit(png()).status_code == 500
    assert [job["status"] for job in openai.jobs()] == ["completed"] * jobs
    assert openai.edit(png()).status_code == 200


def test_requests_are_kept_as_they_came_but_for_the_key(openai: OpenAi) -> None:
    photo = png()
    openai.edit(photo, quality="low").raise_for_status()
    openai.http.get("/v1/models/gpt-image-2").raise_for_status()
    edit, model = openai.requests()
    assert (edit["at"], edit["method"], edit["status"]) == ("edits", "POST", 200)
    assert edit["fields"] == openai.fields(quality="low")
    assert edit["files"] == [
        {
            "name": "image[]",
            "filename": "0.png",
            "contentType": "image/png",
            "sizeBytes": len(photo),
            "sha256": hashlib.sha256(photo).hexdigest(),
        }
    ]
    assert edit["keyId"] == hashlib.sha256(KEY.encode()).hexdigest()[:12]
    assert edit["headers"]["authorization"] == "Bearer …"
    assert KEY not in repr(openai.requests())
    assert (model["at"], model["model"]) == ("models", "gpt-image-2")
    (job,) = openai.jobs()
    assert (job["keyId"], job["fields"], job["files"]) == (
        *(edit["keyId"], edit["fields"], edit["files"]),
    )
    openai.clean()
    assert (openai.requests(), openai.jobs()) == ([], [])


@pytest.mark.parametrize("place", ["over_http", "over_https"])
def test_openais_own_client_finds_everything_it_expects(
    place: str, request: pytest.FixtureRequest, astronaut: bytes
) -> None:
    running = request.getfixturevalue(place).place
    trust = ssl.create_default_context(cafile=running.ca_file) if running.ca_file else True
    with (
        sdk.DefaultHttpxClient(verify=trust) as http,
        sdk.OpenAI(
            api_key=KEY, base_url=f"{running.url}/openai/v1", max_retries=0, http_client=http
        ) as client,
    ):
        listed = {model.id: model.shutdown_date for model in client.models.list()}
        assert listed["gpt-image-1.5"] == client.models.retrieve("gpt-image-1.5").shutdown_date
        files = [("a.jpg", astronaut, "image/jpeg"), ("b.png", png(), "image/png")]
        whole = client.images.edit(image=files, prompt="Draw it.", model=MODEL, size=SMALL)
        assert whole.data
        assert whole.usage
        assert whole.usage.output_tokens > 0
        events = list(
            client.images.edit(
                image=files,
                prompt="Draw it.",
                model=MODEL,
                size=SMALL,
                stream=True,
                partial_images=2,
            )
        )
        kinds = [event.type for event in events]
        assert kinds == ["image_edit.partial_image"] * 2 + ["image_edit.completed"]
        assert [event.b64_json for event in events][-1] == whole.data[0].b64_json
        made = client.images.generate(prompt="A cat.", model=MODEL, size=SMALL)
        assert made.size == SMALL
        with pytest.raises(sdk.NotFoundError) as gone:
            client.images.generate(prompt="A cat.", model="gpt-image-1")
        assert (gone.value.code, gone.value.type) == ("model_not_found", "invalid_request_error")
        assert gone.value.request_id


def differs(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures are apart on average, 0 to 255."""
    apart = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return sum(ImageStat.Stat(apart).mean) / 3


def assert_error(
    answer: httpx.Response, status: int, code: str | None, param: str | None = None
) -> None:
    """An error in OpenAI's envelope, with its four words."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), error
    assert {"message", "type", "param", "code"} <= set(error)
    assert param in (None, error["param"])
    assert answer.headers["x-request-id"].startswith("req_")
