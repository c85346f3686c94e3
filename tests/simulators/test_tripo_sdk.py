"""Tripo's own client, untouched and over its own carrier, works against the simulated Tripo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulators.client import png
from tests.simulators.tripo_client import KEY, MODELS, Tripo, check

from funmagic.providers.adapters.tripo.sdk import TaskStatus, TripoAPIError, TripoClient


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(png())
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_tripos_own_client_finds_everything_it_expects(
    tripo: Tripo, photo: Path, tmp_path: Path
) -> None:
    async with TripoClient(KEY, v3_base_url=tripo.url) as client:
        task_id = await client.image_to_model(photo, model_version=MODELS[0], pbr=False)
        task = await client.wait_for_task(task_id, polling_interval=0.1, timeout=60)
        assert (task.status, task.progress, task.credits_consumed) == (TaskStatus.SUCCESS, 100, 30)
        files = await client.download_task_models(task, str(tmp_path))
        fetched = files_in(tmp_path)
        check(fetched[Path(files["model"]).name], tmp_path)
        assert fetched[Path(files["rendered_image"]).name][8:12] == b"WEBP"
        assert (await client.get_balance()).balance == 4970
        (item,) = await client.get_usage()
        assert (item.task_id, item.status) == (task_id, "success")
        listed = await client.list_tasks([task_id, "nobody"])
        assert (list(listed.tasks), listed.missed) == ([task_id], ["nobody"])
        assert (await client.presign_upload("glb")).expires_in == 1800


async def test_tripos_own_client_understands_every_refusal(tripo: Tripo, photo: Path) -> None:
    grounds: list[tuple[int, str, Callable[[], None]]] = [
        (2008, KEY, lambda: tripo.set("outcome", kind="refused")),
        (2010, KEY, lambda: tripo.set("wallet", balance=1)),
        (2000, KEY, lambda: tripo.set("wallet", tasksAtOnce=0)),
        (2, "tsk_bad_secret", lambda: None),
    ]
    for code, key, prepare in grounds:
        tripo.http.delete("/control")
        prepare()
        async with TripoClient(key, v3_base_url=tripo.url) as client:
            with pytest.raises(TripoAPIError) as caught:
                await client.image_to_model(photo, model_version=MODELS[0])
        assert caught.value.code == code
        assert len(caught.value.request_id) == 36
