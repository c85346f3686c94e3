"""``funmagic up`` as the person at the terminal meets it: one house, one start, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path

import asyncpg
import httpx
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.embedded.house import House, eventually, is_alive

from funmagic.cli import main
from funmagic.embedded import preparation, supervisor
from funmagic.embedded.datadir import DataDirectory
from funmagic.embedded.process import StartFailed
from funmagic.embedded.supervisor import Order
from funmagic.providers import weights

MakeHouse = Callable[..., House]
ALL_BUT_VALKEY = ("DATABASE_URL", "S3_ENDPOINT_URL", "SMTP_URL")
#: What the stand-in for the worker starts itself.
GRANDCHILD = "time.sleep(600)"
SIMULATORS = "simulators --port"


def test_second_start_on_the_same_data_is_refused_and_names_the_first(
    make_house: MakeHouse,
) -> None:
    first = make_house().start(elsewhere=ALL_BUT_VALKEY).ready()
    address = first.said[-1].split()[1]

    status, said = make_house().start(elsewhere=ALL_BUT_VALKEY).outcome()

    assert status == 1
    assert f"already runs on {first.data} at {address} (process {first.process.pid})" in said
    assert first.stop()[0] == 0


@pytest.mark.hazard("killed supervisor")
async def test_killed_supervisor_leaves_no_process_and_the_next_start_finds_all_data(
    make_house: MakeHouse,
) -> None:
    killed = make_house().start(simulators=True).ready()
    await write_a_row(killed)
    secrets = (killed.data / "secrets.json").read_text()
    assert eventually(lambda: killed.has(GRANDCHILD))
    assert killed.has(SIMULATORS)
    family = killed.family()

    killed.process.kill()

    assert eventually(lambda: not any(map(is_alive, family))), family
    again = make_house().start(simulators=True).ready()
    assert await rows(again) == 1
    assert (again.data / "secrets.json").read_text() == secrets
    assert again.stop()[0] == 0


@pytest.mark.hazard("killed child")
async def test_every_killed_child_is_started_again_and_loses_nothing(make_house: MakeHouse) -> None:
    house = make_house().start(simulators=True).ready()
    await write_a_row(house)
    names = ["weed", "postgres -D", "valkey-server", "embedded.mail", "janitor"]
    names += ["standin.py web", "standin.py worker", SIMULATORS]
    vendors = Vendors(house)
    assert eventually(vendors.are_trusted)
    before = {name: house.member(name) for name in names}
    assert eventually(lambda: house.has(GRANDCHILD))
    orphan = house.member(GRANDCHILD)

    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def all_are_new() -> bool:
        family = house.family()
        return all(
            any(name in command and pid != before[name] for pid, command in family.items())
            for name in names
        )

    assert eventually(all_are_new)
    assert not is_alive(orphan)
    assert await rows_once_reachable(house) == 1
    assert eventually(vendors.are_trusted)
    status, said = house.stop()
    assert status == 0
    assert "PostgreSQL ended (SIGKILL); starting it again" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_everything(make_house: MakeHouse, number: signal.Signals) -> None:
    house = make_house().start(elsewhere=("S3_ENDPOINT_URL",)).ready()
    family = house.family()
    sockets = socket_of(house).parent

    status, said = house.stop(number)

    assert status == 0
    assert said.rstrip().endswith("Stopping.")
    assert not any(map(is_alive, family))
    assert not sockets.exists()
    assert not (house.data / "environment.json").exists()


def test_signal_while_starting_stops_everything(make_house: MakeHouse) -> None:
    house = make_house().start()
    house.wait_until_said("is starting")
    status, _ = house.stop()
    assert status == 0
    assert house.family() == {}


def test_later_start_prepares_only_a_database_it_does_not_know(
    make_house: MakeHouse, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELS_DIR", str(models_dir))
    elsewhere = ("REDIS_URL", "S3_ENDPOINT_URL", "SMTP_URL")

    def prepares() -> bool:
        status, said = make_house().start(elsewhere=elsewhere).ready().stop()
        assert status == 0
        return "Model weights, migrations, demo data" in said

    assert prepares()
    assert not prepares()
    shutil.rmtree(make_house().data / "postgres")
    assert prepares()


def test_part_with_a_setting_of_its_own_is_not_started(make_house: MakeHouse) -> None:
    house = make_house().start(elsewhere=ALL_BUT_VALKEY).ready()
    commands = " ".join(house.family().values())
    assert "valkey-server" in commands
    assert not any(name in commands for name in ("postgres", "weed", "embedded.mail"))
    assert set(house.environment()) >= {"REDIS_URL", "SECRET_KEYS"}
    assert "SMTP_URL" not in house.environment()
    house.stop()


def test_secrets_are_readable_by_their_owner_alone(make_house: MakeHouse) -> None:
    house = make_house().start(elsewhere=ALL_BUT_VALKEY).ready()
    for name in ("secrets.json", "environment.json"):
        assert stat.S_IMODE((house.data / name).stat().st_mode) == 0o600
    house.stop()


@pytest.mark.parametrize("simulated_first", [True, False])
def test_results_of_simulated_vendors_stay_apart(
    make_house: MakeHouse, tmp_path: Path, simulated_first: bool
) -> None:
    used = DataDirectory(tmp_path / "data")
    used.take()
    used.dedicate("simulated" if simulated_first else "real")
    used.secrets()
    used.give_back()

    status, said = make_house().start(simulators=not simulated_first).outcome()

    assert status == 1
    kind, how = ("simulated", "with") if simulated_first else ("real", "without")
    assert f"was made with {kind} vendors" in said
    assert f"start {how} --simulators" in said


@pytest.mark.parametrize(
    ("arguments", "kept_in"),
    [
        ([], Path(".funmagic")),
        (["--simulators"], Path(".funmagic/simulated")),
        (["--simulators", "--data", "mine"], Path("mine")),
    ],
)
def test_simulated_vendors_have_a_directory_of_their_own_and_are_announced(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], kept_in: Path
) -> None:
    class Supervisor:
        def __init__(self, order: Order, greet: Callable[[str], None]) -> None:
            assert order.data == kept_in
            assert order.simulators is ("--simulators" in arguments)
            self._greet = greet

        def run(self) -> int:
            self._greet("http://localhost:8000")
            return 0

    monkeypatch.setattr(supervisor, "Supervisor", Supervisor)
    ended = CliRunner().invoke(main, ["up", *arguments])
    assert ended.exit_code == 0, ended.output
    assert ("simulated" in ended.output) is ("--simulators" in arguments)


def test_vendors_at_another_address_make_a_start_prepare_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "is_ready", lambda place: True)
    cluster = tmp_path / "postgres"
    cluster.mkdir()
    (cluster / "PG_VERSION").write_text("18\n")
    here = "https://127.0.0.1:9100"
    preparation.remember(tmp_path, cluster, here)
    assert preparation.is_prepared(tmp_path, cluster, tmp_path, here)
    for elsewhere in ("https://127.0.0.1:9101", ""):
        assert not preparation.is_prepared(tmp_path, cluster, tmp_path, elsewhere)


def test_directory_from_before_there_were_simulators_is_a_real_one(tmp_path: Path) -> None:
    used = DataDirectory(tmp_path)
    used.take()
    used.secrets()
    used.dedicate("real")
    with pytest.raises(StartFailed, match="made with real vendors"):
        used.dedicate("simulated")


def test_deep_data_directory_still_has_short_sockets(make_house: MakeHouse, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / "data"
    house = make_house(deep).start(elsewhere=ALL_BUT_VALKEY).ready()
    assert len(str(deep)) > 104
    assert len(str(socket_of(house))) < 60
    house.stop()


def test_taken_port_is_an_error_when_asked_for(make_house: MakeHouse) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = make_house().start(port=port).outcome()
    assert status == 1
    assert f"Port {port} is taken" in said


class Vendors:
    """The simulated ones as the worker knows them: it reads their certificate only once."""

    def __init__(self, house: House) -> None:
        known = house.environment()
        self._url = f"{known['SIMULATORS_URL']}/fal/control/jobs"
        self._trust = ssl.create_default_context(cafile=known["SIMULATORS_CA_FILE"])

    def are_trusted(self) -> bool:
        try:
            return httpx.get(self._url, verify=self._trust).is_success
        except httpx.TransportError:
            return False


def socket_of(house: House) -> Path:
    return Path(house.environment()["REDIS_URL"].removeprefix("unix://").partition("?")[0])


async def write_a_row(house: House) -> None:
    """Acknowledged by PostgreSQL and by Valkey; killing must not lose it."""
    connection = await asyncpg.connect(house.environment()["DATABASE_URL"])
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    await connection.close()
    async with Redis.from_url(house.environment()["REDIS_URL"]) as valkey:
        await valkey.set("kept", 1)
        await valkey.waitaof(1, 0, 2000)  # on disk, not only in memory


async def rows_once_reachable(house: House) -> int:
    """As ``rows``, while servers just started again may still be reading their logs."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(RedisError, OSError, asyncpg.CannotConnectNowError):
                return await rows(house)
            await asyncio.sleep(0.1)


async def rows(house: House) -> int:
    """How many of what was written are there, when asked in both places."""
    async with Redis.from_url(house.environment()["REDIS_URL"]) as valkey:
        assert await valkey.get("kept") == b"1"
    connection = await asyncpg.connect(house.environment()["DATABASE_URL"])
    try:
        return int(await connection.fetchval("SELECT count(*) FROM kept"))
    finally:
        await connection.close()
