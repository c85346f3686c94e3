"""An operator's own gateway: named in the environment, chosen in the dashboard."""

from __future__ import annotations

import httpx
import pytest
from tests.dashboard.test_providers import filled_in

from funmagic.core.settings import Settings

GATEWAY = "https://gateway.example.com"
OPENAI = "/api/admin/providers/openai"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"provider_gateways": f"{GATEWAY}, https://b.example.com"})


async def test_a_named_gateway_is_taken_for_vendors_that_have_one(root: httpx.AsyncClient) -> None:
    read = (await root.get(OPENAI)).json()
    at_it = filled_in(read, baseUrl=f"{GATEWAY}/team/v1", credentials={"key": "sk-gateway"})
    saved = await root.put(OPENAI, json=at_it)
    assert saved.status_code == 200, saved.text
    assert saved.json()["baseUrl"] == f"{GATEWAY}/team/v1"


@pytest.mark.parametrize(
    ("provider", "address"),
    [
        ("openai", "https://gateway.example.com.evil.example/v1"),
        ("openai", "https://other.example.com/v1"),
        ("openai", "http://gateway.example.com/v1"),
        ("openai", "https://gateway.example.com:8443/v1"),
        ("fal", f"{GATEWAY}/fal"),
        ("tripo", f"{GATEWAY}/tripo"),
        ("local", GATEWAY),
    ],
)
async def test_no_other_address_is(root: httpx.AsyncClient, provider: str, address: str) -> None:
    path = f"/api/admin/providers/{provider}"
    before = (await root.get(path)).json()
    answer = await root.put(path, json=filled_in(before, baseUrl=address))
    assert answer.status_code == 422, answer.text
    assert list(answer.json()["error"]["fields"]) == ["baseUrl"]
    assert (await root.get(path)).json() == before
