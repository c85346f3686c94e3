"""Every tool run as a customer runs it, on every provider that can do its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.conftest import PHOTOS, MakeUser, Site
from tests.contracts.stage import CANARY, Customer, offer, providers_of
from tests.tasks.runs import ended

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.providers import registry
from funmagic.providers import seed as providers_seed
from funmagic.providers.contract import ProviderError, Trouble
from funmagic.providers.models import Provider
from funmagic.reports.reconcile import reconcile
from funmagic.simulators.server import Running, running
from funmagic.tasks.messages import BY_TROUBLE
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Step, Tool

STEPS = [(tool, step) for tool in discovery.all_tools() for step in tool.steps]
every_step = pytest.mark.parametrize(
    ("tool", "step"),
    [pytest.param(tool, step, id=f"{tool.key}/{step.id}") for tool, step in STEPS],
)
every_step_on_every_provider = pytest.mark.parametrize(
    ("tool", "step", "provider"),
    [
        pytest.param(tool, step, provider, id=f"{tool.key}/{step.id}/{provider}")
        for tool, step in STEPS
        for provider in providers_of(step)
    ],
)
# Every kind of trouble with one step of each capability; with the others one kind each, in turn:
# what becomes of trouble is the engine's, and a step's alone is how it prepares and finishes.
FIRST = {step.capability: step for _, step in reversed(STEPS)}
TROUBLES = {
    id(step): list(Trouble) if step is FIRST[step.capability] else [list(Trouble)[n % len(Trouble)]]
    for n, (_, step) in enumerate(STEPS)
}
VENDOR_WORDS = "shard 7 of cluster blue is on fire"


@pytest.fixture(scope="module")
def simulators() -> Iterator[Running]:
    with running(tls=True) as place:
        yield place


@pytest.fixture
def settings(settings: Settings, simulators: Running) -> Settings:
    changes = {"simulators_url": simulators.url, "simulators_ca_file": simulators.ca_file}
    return settings.model_copy(update=changes)


@pytest.fixture
async def customer(
    site: Site, make_user: MakeUser, resources: Resources, simulators: Running
) -> AsyncIterator[Customer]:
    async with resources.db.transaction() as session:
        await providers_seed.seed_simulated(session, resources.vault, simulators.url)
        configured = set(await session.scalars(select(Provider.key)))
        for key in registry.adapters().keys() - configured:
            session.add(Provider(key=key, label=key))
    async with site.browser(await make_user(credits_=1_000_000)) as browser:
        yield await Customer.at(browser, photo())


def photo() -> bytes:
    return Path(PHOTOS / "cat.jpg").read_bytes()


def by_local(tool: Tool) -> dict[str, str]:
    """The first provider that can do each step: quick, and without a network where it is local."""
    return {
        step.id: "local" if "local" in providers_of(step) else providers_of(step)[0]
        for step in tool.steps
    }


@pytest.mark.usefixtures("running_worker")
@every_step_on_every_provider
async def test_a_step_runs_and_is_charged_its_price(
    customer: Customer, resources: Resources, tool: Tool, step: Step, provider: str
) -> None:
    await offer(resources, tool, by_local(tool) | {step.id: provider})
    task_id = await customer.ask(tool, step)
    task = await ended(customer.browser, task_id)
    assert task["status"] == "completed", task
    assert task["receipt"]["charged"] == step.price_credits
    assert task["output"]["assets"]
    for asset in task["output"]["assets"]:
        fetched = await customer.browser.get(asset["url"])
        assert fetched.status_code == 200
        assert len(fetched.content) == asset["sizeBytes"]
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []
    told = await customer.told(task_id)
    for secret in (CANARY, *providers_seed.SIMULATED.values()):
        assert secret not in told


@pytest.mark.usefixtures("running_worker")
@every_step
async def test_trouble_costs_nothing_and_is_told_in_our_words(
    customer: Customer,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
    tool: Tool,
    step: Step,
) -> None:
    chosen = by_local(tool)
    await offer(resources, tool, chosen)
    adapter = registry.adapter(chosen[step.id])
    works = adapter.submit
    for trouble in TROUBLES[id(step)]:

        async def fail(request: Any, call: Any, trouble: Trouble = trouble) -> Any:
            if call.model == adapter.offers[step.capability].models[0]:
                raise ProviderError(trouble, VENDOR_WORDS)
            return await works(request, call)

        monkeypatch.setattr(adapter, "submit", fail)
        task_id = await customer.ask(tool, step)
        task = await ended(customer.browser, task_id)
        assert task["status"] == "failed"
        assert (task["error"]["type"], task["error"]["message"]) == BY_TROUBLE[trouble]
        assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, step.price_credits)
        assert VENDOR_WORDS not in await customer.told(task_id)
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []


@pytest.mark.usefixtures("running_worker")
@every_step
async def test_a_run_can_be_cancelled_and_costs_nothing(
    customer: Customer,
    resources: Resources,
    monkeypatch: pytest.MonkeyPatch,
    tool: Tool,
    step: Step,
) -> None:
    chosen = by_local(tool)
    await offer(resources, tool, chosen)
    adapter = registry.adapter(chosen[step.id])
    works = adapter.submit
    begun = asyncio.Event()

    async def hang(request: Any, call: Any) -> Any:
        if call.model != adapter.offers[step.capability].models[0]:
            return await works(request, call)
        await call.begin()
        begun.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(adapter, "submit", hang)
    task_id = await customer.ask(tool, step)
    await asyncio.wait_for(begun.wait(), 30)
    answer = await customer.browser.post(f"/api/tasks/{task_id}/cancellation")
    assert answer.status_code == 200, answer.text
    task = await ended(customer.browser, task_id)
    assert (task["status"], task["error"]["type"]) == ("failed", "cancelled")
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, step.price_credits)
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []
