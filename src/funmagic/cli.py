"""The command line: the same code starts a demonstration on a laptop and a process in production.

Imports stay inside the commands: `funmagic up` must not pay for what only `funmagic web` needs, and
production need not have the embedded servers installed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from socket import socket
    from types import FrameType

    from funmagic.core.settings import Settings

DEFAULT_DATA = Path(".funmagic")
#: What simulated vendors made is kept apart.
SIMULATED_DATA = DEFAULT_DATA / "simulated"
#: How long open streams may hold up the end of a web process.
WEB_SHUTDOWN_S = 4
#: How many new objects the collector waits for; requests make few that go round in circles.
YOUNG_OBJECTS = 20_000

data_option: Callable[[Any], Any] = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA,
    show_default=True,
    help="Data directory of `funmagic up`.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="funmagic")
def main() -> None:
    """FunMagic, a storefront for AI tools.

    `up` starts everything for trying it out. In production, set the environment (see `doctor`),
    run `migrate`, and start as many `web` and `worker` processes as you need.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ gets a ? instead


@main.command()
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where everything is kept. Default: {DEFAULT_DATA}, "
    f"or {SIMULATED_DATA} with simulated vendors.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8000 or the next free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--simulators", is_flag=True, help="Simulate the vendors: no keys, no costs.")
def up(data: Path | None, port: int | None, host: str, simulators: bool) -> None:
    """Start everything: servers, web and worker, with demonstration data.

    PostgreSQL, Valkey, S3 and mail are started too, each unless DATABASE_URL, REDIS_URL,
    S3_ENDPOINT_URL or SMTP_URL says where yours is.
    """
    try:
        from funmagic.embedded.supervisor import Order, Supervisor
    except ImportError as error:
        raise click.ClickException(
            f"{error.name} is missing: install the embedded servers, funmagic[embedded]."
        ) from error
    if data is None:
        data = SIMULATED_DATA if simulators else DEFAULT_DATA
    order = Order(data=data, host=host, port=port, simulators=simulators)
    sys.exit(Supervisor(order, greet=lambda address: _greet(address, simulators)).run())


@main.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=9100,
    show_default=True,
    help="Port on 127.0.0.1.",
)
@click.option(
    "--sign-in-port",
    type=click.IntRange(1, 65535),
    default=9101,
    show_default=True,
    help="Port on 127.0.0.1 of Apple and Facebook, plain HTTP.",
)
@click.option("--tls/--no-tls", default=True, show_default=True, help="Answer https, or http.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_DATA / "simulators",
    show_default=True,
    help="Where the certificate is kept.",
)
@click.option(
    "--queue-s",
    type=click.FloatRange(0, 3600),
    default=0.6,
    show_default=True,
    help="How long jobs wait.",
)
@click.option(
    "--work-s",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    help="How long jobs take.",
)
def simulators(
    port: int, sign_in_port: int, tls: bool, folder: Path, queue_s: float, work_s: float
) -> None:
    """Answer in the place of AI vendors, Apple and Facebook, on this machine, until Ctrl-C.

    `funmagic up --simulators` does this by itself. The results are inventions.
    """
    from funmagic.simulators.server import Pace, Simulators, listen, sign_in_environment

    with contextlib.ExitStack() as listening:
        listeners = []
        for name, wanted in (("--port", port), ("--sign-in-port", sign_in_port)):
            try:
                listeners.append(listening.enter_context(listen(wanted)))
            except OSError as error:
                raise click.ClickException(
                    f"Port {wanted} is taken by another program. Stop it, or choose another {name}."
                ) from error
        listening.pop_all()  # the servers close them
    pace = Pace(queue_s=queue_s, work_s=work_s)
    server = Simulators(*listeners, tls=tls, folder=folder, pace=pace)

    def announce() -> None:
        click.secho(f"\n  Simulated vendors are at {server.url}", bold=True)
        click.echo("\n  To use them, set")
        click.echo(f"    FUNMAGIC_ENV=development\n    SIMULATORS_URL={server.url}")
        if server.ca_file is not None:
            click.echo(f"    SIMULATORS_CA_FILE={server.ca_file.resolve()}")
        for name, value in sign_in_environment(server.sign_in_url, server.apple_key_file).items():
            click.echo(f"    {name}={value}")
        click.echo("  and let `funmagic seed` put their addresses in place.\n")

    server.run(announce)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
def web(host: str, port: int) -> None:
    """Serve pages, the JSON API and live progress."""
    import uvicorn

    _settings()
    from funmagic.app import close_streams

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)
            _settle()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            close_streams()
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            "funmagic.app:create_app",
            factory=True,
            host=host,
            port=port,
            lifespan="on",
            access_log=False,  # the application logs requests itself, with their ids
            log_config=None,
            proxy_headers=False,  # TRUSTED_PROXIES decides, in the application
            server_header=False,
            timeout_graceful_shutdown=WEB_SHUTDOWN_S,
            ws="none",  # live progress is Server-Sent Events
        )
    )
    server.run()
    if not server.started:
        sys.exit(1)


def _settle() -> None:
    """Spare the collector what has been made by now: it is there until the end, and looking through
    it again and again takes a third of the time of a page that is kept."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


@main.command()
def worker() -> None:
    """Work on queued tasks."""
    _settings()
    from funmagic.worker import main as work

    work()


@main.command()
@data_option
def migrate(data: Path) -> None:
    """Bring the database to the newest migration."""
    _migrate(_settings(data))
    click.echo("The database is at the newest migration.")


@main.command()
@data_option
def seed(data: Path) -> None:
    """Put the demonstration data in place; what exists is left as it is."""
    asyncio.run(_seed(_settings(data)))
    click.echo("The demonstration data is in place.")


@main.command()
@data_option
def weights(data: Path) -> None:
    """Fetch the models of the local provider (about 5 MB) where they are missing."""
    _adopt_environment(data)
    _fetch_weights(Path(os.environ.get("MODELS_DIR") or data / "models"))


@main.command(hidden=True)
def prepare() -> None:
    """What `up` does between servers and processes: weights, migrations, seed."""
    settings = _settings()
    _fetch_weights(settings.models_dir)
    _migrate(settings)
    asyncio.run(_seed(settings))


@main.command()
@data_option
def doctor(data: Path) -> None:
    """Check everything FunMagic depends on and say what to do; status 1 where something is wrong.

    Checks the environment's settings, or those of the `funmagic up` running on the data directory.
    """
    from funmagic.doctor import examine

    _adopt_environment(data)
    findings = asyncio.run(examine())
    for finding in findings:
        click.secho(str(finding), fg=None if finding.is_well else "red")
    sick = [finding for finding in findings if not finding.is_well]
    click.echo(f"\n{len(sick)} of {len(findings)} checks failed." if sick else "\nAll is well.")
    sys.exit(1 if sick else 0)


@main.group()
def admin() -> None:
    """Whoever runs this installation."""


@admin.command("create")
@click.argument("email")
@data_option
def create_admin(email: str, data: Path) -> None:
    """Make EMAIL a super admin and print a link that signs in, once and within an hour.

    Needs the database alone: the product may run or not. This is how the first one is made.
    """
    from funmagic.core.errors import FunMagicError

    try:
        address, link = asyncio.run(_create_admin(_settings(data), email))
    except FunMagicError as error:
        raise click.ClickException(error.message) from error
    click.echo(f"{address} is a super admin. Sign in within an hour:\n\n  {link}\n")


@main.command()
@data_option
def reconcile(data: Path) -> None:
    """Prove the books; every difference is printed, and status 1 says there were some."""
    differences = asyncio.run(_reconcile(_settings(data)))
    for difference in differences:
        click.echo(difference)
    if differences:
        click.echo(f"\n{len(differences)} differences.", err=True)
        sys.exit(1)
    click.echo("The books are right: no differences.")


def _settings(data: Path | None = None) -> Settings:
    """The checked settings; ends with their one message where they cannot be used."""
    from funmagic.core.settings import Settings, SettingsError

    if data is not None:
        _adopt_environment(data)
    try:
        return Settings.load()
    except SettingsError as error:
        hint = "" if data is None else f"\nOr start `funmagic up`: none runs on {data}."
        raise click.ClickException(f"{error}{hint}") from error


def _adopt_environment(data: Path) -> None:
    """Where the environment names no database, use what the running `funmagic up` uses."""
    if os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"):
        return
    from funmagic.embedded.datadir import environment_of

    for name, value in environment_of(data).items():
        os.environ.setdefault(name, value)


def _migrate(settings: Settings) -> None:
    from funmagic.migrations.runner import upgrade

    upgrade(settings.database_url.get_secret_value())


async def _seed(settings: Settings) -> None:
    from funmagic import seed as demonstration
    from funmagic.core.resources import open_resources

    async with open_resources(settings) as resources:
        await demonstration.run(resources)


def _fetch_weights(models_dir: Path) -> None:
    from funmagic.providers import weights as models

    try:
        models.ensure(models_dir)
    except models.WeightsUnavailable as error:
        raise click.ClickException(str(error)) from error


async def _create_admin(settings: Settings, email: str) -> tuple[str, str]:
    """The address as it is stored, and the link."""
    from funmagic import hooks
    from funmagic.accounts import roles
    from funmagic.core.db import Database

    hooks.wire(settings)
    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.transaction() as session:
            return await roles.create_super_admin(session, settings, email)
    finally:
        await database.close()


async def _reconcile(settings: Settings) -> list[str]:
    from funmagic.core.db import Database
    from funmagic.reports.reconcile import reconcile as prove

    database = Database(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.transaction() as session:
            return [str(difference) for difference in await prove(session)]
    finally:
        await database.close()


def _greet(address: str, simulated: bool) -> None:
    """Say where FunMagic is, who may sign in, and whether results are worth anything."""
    from funmagic.accounts.demo import DEMO_USERS

    click.echo()
    click.secho(f"  FunMagic is at {address}", bold=True)
    click.echo("\n  Sign in as")
    for user in DEMO_USERS:
        click.echo(f"    {user.email:<22} {user.role.replace('_', ' ')}")
    if "SMTP_URL" not in os.environ:
        click.echo(f"  or any other address; the link arrives at {address}/dev/inbox")
    if simulated:
        click.secho("\n  AI vendors are simulated: results are inventions.", fg="yellow")


if __name__ == "__main__":
    main()
