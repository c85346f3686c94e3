"""The catalog page by the whole product, next to a bare server of equal bytes and to Next.js."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from bench.ground import Ground
from bench.load import connect, request_of
from bench.measure import Figures, in_turns, percentile, table
from bench.tree import tree_of
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.jobs.editions import bump

ROOT = Path(__file__).parent.parent
PEER = Path(__file__).parent / "peers" / "next"
BUILT = ROOT / ".funmagic" / "bench"  # git-ignored
PATH = "/en/tools"
CLIENTS = 64
ROUND_S = 1.0
ROUNDS = 12
DRAWN = 300
PATIENCE_S = 60
BUILD_PATIENCE_S = 900

OURS = "ours: ids, logs, limits, sessions, CSP"
BARE = "bare uvicorn, the same answer byte for byte"
PLAIN = "bare uvicorn, the same body, 3 headers"
NEXT = "Next.js, dynamic page, same HTML"
LOCALES = ("zh", "ja", "fr", "es", "pt", "de", "vi", "ko")
SORTS = ("popular", "newest", "top_rated")

MORE_TOOLS = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, config)
    SELECT gen_random_uuid(), slug || '-' || n, implementation, tool_type_id, title || ' ' || n,
           description, config
      FROM tools, generate_series(1, 24) n WHERE slug = 'figme'
""")


RENAME = text("""
    UPDATE tools SET title = :title
     WHERE id = (SELECT id FROM tools WHERE is_active ORDER BY usage_count DESC, id DESC LIMIT 1)
""")


@dataclass(frozen=True)
class Misses:
    """Seconds for pages nobody has asked for yet, and for pages after a change of the catalog."""

    drawn_s: list[float]
    read_s: list[float]


async def run(ground: Ground) -> str:
    """A visitor's page of 24 tools, each server a process of its own."""
    async with ground.resources.db.transaction() as session:
        await session.execute(MORE_TOOLS)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fm-bench-")))
        ours = await stack.enter_async_context(_ours(ground, folder))
        await _load(ours, CLIENTS, 1.0)
        seen = await _misses(ground.resources, ours)  # while nobody else is there
        logged = _logged(folder / "ours.log")
        await _note_page(ours, folder)
        bare = await stack.enter_async_context(_bare(folder))
        plain = await stack.enter_async_context(_bare(folder, PLAIN="1"))
        peer = await stack.enter_async_context(_next(folder))
        ports = {OURS: ours, BARE: bare, PLAIN: plain, NEXT: peer}
        for port in ports.values():
            await _load(port, CLIENTS, 1.0)  # until it is warm
        reached = await in_turns(
            {name: partial(_rate, port) for name, port in ports.items()}, rounds=ROUNDS
        )
        alone = {name: await _load(port, 1, ROUND_S) for name, port in ports.items()}
    return "\n\n".join((_speeds(reached, alone), _times(alone[OURS], seen, logged)))


def _speeds(reached: Mapping[str, Figures], alone: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            name,
            f"{figures.median:,.0f}",
            figures.spread(),
            f"{reached[OURS].times(figures):.2f}",
            f"{alone[name]['p50_s'] * 1000:.2f}",
            f"{alone[name]['size_bytes']:,.0f}",
        ]
        for name, figures in reached.items()
    ]
    head = [f"A page of 24 tools, {CLIENTS} connections", "a second", "slowest … fastest"]
    return table([*head, "ours is ×", "ms alone, p50", "bytes"], rows)


def _times(hit: Mapping[str, float], seen: Misses, logged: Misses) -> str:
    rows = [["kept page", f"{hit['p50_s'] * 1000:.2f}", f"{hit['p99_s'] * 1000:.2f}", ""]]
    for name, seen_s, logged_s in (
        ("drawn anew, of a catalog that is kept", seen.drawn_s, logged.drawn_s),
        ("read and drawn anew, after a change", seen.read_s, logged.read_s),
    ):
        shares = [percentile(seen_s, 0.5), percentile(seen_s, 0.99), percentile(logged_s, 0.5)]
        rows.append([name, *(f"{share * 1000:.2f}" for share in shares)])
    head = ["Milliseconds, one visitor at a time", "p50", "p99", "p50 in the server's log"]
    return table(head, rows)


async def _rate(port: int) -> float:
    return (await _load(port, CLIENTS, ROUND_S))["per_second"]


async def _load(port: int, clients: int, seconds: float) -> dict[str, float]:
    """From a process of its own, so that who asks is no load on who answers."""
    arguments = ("-m", "bench.load", str(port), PATH, str(clients), str(seconds))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds + PATIENCE_S):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise RuntimeError("the load could not be run")
    figures: dict[str, float] = json.loads(out)
    return figures


async def _misses(resources: Resources, port: int) -> Misses:
    """As a visitor sees them, from the request to the whole answer."""
    answers: asyncio.Queue[float] = asyncio.Queue()
    client = await connect(port, answers.put_nowait)

    async def seconds(path: str) -> float:
        client.ask(request_of(port, path))
        async with asyncio.timeout(PATIENCE_S):
            return await answers.get()

    misses = Misses([], [])
    await _change(resources)
    for sort in SORTS:
        await seconds(f"{PATH}?sort={sort}")
        for locale in LOCALES:
            misses.drawn_s.append(await seconds(f"/{locale}/tools?sort={sort}"))
    for _ in range(DRAWN):
        await _change(resources)
        misses.read_s.append(await seconds(PATH))
    client.transport.close()
    return misses


def _logged(log: Path) -> Misses:
    """The same, as the server has written them down: the last lines of its log."""
    last = log.read_text().splitlines()[-(len(SORTS) * (1 + len(LOCALES)) + DRAWN) :]
    lines = [json.loads(line) for line in last]
    took_s = [line["duration_ms"] / 1000 for line in lines]
    others = [line["path"] != PATH for line in lines]
    drawn_s = [seconds for seconds, is_other in zip(took_s, others, strict=True) if is_other]
    return Misses(drawn_s, took_s[-DRAWN:])


async def _change(resources: Resources) -> None:
    """Rename one of the tools that are shown, as an admin would."""
    async with resources.db.transaction() as session:
        await bump(session)
        await session.execute(RENAME, {"title": f"Portrait {new_id().hex[:6]}"})
    if await resources.edition.current() is None:
        raise RuntimeError("Valkey does not answer")


async def _note_page(port: int, folder: Path) -> None:
    """Keep the answer a browser gets once the page is well known, and the page as a tree, for the
    others to give."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        page = (await client.get(PATH, headers={"Accept-Encoding": "identity"})).text
        browser = {"Accept-Encoding": "br", "Cookie": "fm_locale=en"}
        for _ in range(3):  # who comes first gets a page that was compressed quickly
            await client.get(PATH, headers=browser)
            await asyncio.sleep(0.1)
        async with client.stream("GET", PATH, headers=browser) as answer:
            body = b"".join([chunk async for chunk in answer.aiter_raw()])
    headers = [pair for pair in answer.headers.items() if pair[0] != "date"]  # uvicorn's own
    (folder / "page.br").write_bytes(body)
    (folder / "headers.json").write_text(json.dumps(headers))
    (folder / "tree.json").write_text(tree_of(page))


@asynccontextmanager
async def _ours(ground: Ground, folder: Path) -> AsyncIterator[int]:
    port = _free_port()
    environment = {**ground.environment, "LOG_LEVEL": "INFO", "LOG_FORMAT": "json"}
    command = [sys.executable, "-P", "-m", "funmagic.cli", "web", "--port", str(port)]
    async with _server(command, environment, port, folder / "ours.log"):
        yield port


@asynccontextmanager
async def _bare(folder: Path, **settings: str) -> AsyncIterator[int]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.hello:app", "--port", str(port)]
    quiet = ["--no-access-log", "--no-server-header", "--log-level", "warning"]
    environment = {"ANSWER": str(folder), **settings}
    async with _server([*command, *quiet], environment, port, folder / f"{port}.log"):
        yield port


@asynccontextmanager
async def _next(folder: Path) -> AsyncIterator[int]:
    port = _free_port()
    place = await asyncio.to_thread(_prepare_peer)
    if not (place / ".next" / "BUILD_ID").exists():
        await _build(place)
    start = ["run", "--silent", "start", "--", "--hostname", "127.0.0.1", "--port", str(port)]
    command = [*_npm(place), *start]
    environment = {
        "TREE": str(folder / "tree.json"),
        "NODE_ENV": "production",
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    async with _server(command, environment, port, folder / "next.log", cwd=place):
        yield port


def _prepare_peer() -> Path:
    """A copy of the peer's sources, named by their content, to build in."""
    files = sorted(
        path
        for path in PEER.rglob("*")
        if path.is_file() and path.suffix in {".js", ".jsx", ".json"}
    )
    digest = blake2b(b"".join(path.read_bytes() for path in files), digest_size=6).hexdigest()
    place = BUILT / f"next-{digest}"
    if not place.exists():
        shutil.copytree(PEER, place, ignore=shutil.ignore_patterns("node_modules", ".next"))
    return place


def _npm(place: Path) -> list[str]:
    """The npm that builds our own front end, in another folder."""
    return [str(ROOT / "bin" / "npm"), "--prefix", str(place)]


async def _build(place: Path) -> None:
    environment = {**os.environ, "NEXT_TELEMETRY_DISABLED": "1"}
    for words in (
        ["install", "--no-save", "--no-audit", "--no-fund"],
        ["run", "--silent", "build"],
    ):
        command = [*_npm(place), *words]
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(BUILD_PATIENCE_S):
            if await process.wait() != 0:
                raise RuntimeError(f"{' '.join(command)} failed in {place}")


@asynccontextmanager
async def _server(
    command: list[str], environment: Mapping[str, Any], port: int, log: Path, cwd: Path = ROOT
) -> AsyncIterator[None]:
    """A server's process, from its first answer on."""
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            await _answers(process, port, log)
            yield
        finally:
            if process.returncode is None:
                os.killpg(process.pid, 15)
                await process.wait()


async def _answers(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    async with asyncio.timeout(PATIENCE_S), httpx.AsyncClient() as client:
        while True:
            if process.returncode is not None:
                raise RuntimeError(_end_of(log))
            try:
                answer = await client.get(f"http://127.0.0.1:{port}{PATH}", timeout=PATIENCE_S)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if answer.status_code == 200:
                return
            raise RuntimeError(f"{answer.status_code}\n{_end_of(log)}")


def _end_of(log: Path) -> str:
    return log.read_text()[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
