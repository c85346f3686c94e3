"""The product with simulated vendors behind it, and the hand on their controls, for browsers."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.product import Product, running_product

from funmagic.simulators.server import Running


@contextmanager
def product_on(
    simulators: Running,
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    folder: Path,
) -> Iterator[Product]:
    """The product, knowing these vendors, with the leases of production."""
    more = {"SIMULATORS_URL": simulators.url, "SIMULATORS_CA_FILE": str(simulators.ca_file)}
    with running_product(servers, template_database, models_dir, folder, more) as started:
        yield started


class Controls:
    """What a test may do to one simulated vendor, and learn from it."""

    def __init__(self, client: httpx.Client, vendor: str) -> None:
        self._client = client
        self._vendor = vendor
        self.ask("DELETE")

    def ask(self, method: str, path: str = "", body: Any = None) -> Any:
        """Call a control route; its JSON."""
        answer = self._client.request(method, f"/{self._vendor}/control{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def pace(self, *, queue_s: float = 0.0, work_s: float = 0.3) -> None:
        """How long jobs made from now on wait and work."""
        self.ask("PUT", "/pace", {"queueS": queue_s, "workS": work_s})

    def outcome(self, kind: str) -> None:
        """What becomes of jobs made from now on."""
        self.ask("PUT", "/outcome", {"kind": kind})

    def jobs(self) -> list[dict[str, Any]]:
        """Every job that was made."""
        return list(self.ask("GET", "/jobs"))

    def until_asked(self, at: str) -> None:
        """Wait for the first request at one point of the vendor's protocol."""
        for _ in range(300):
            if any(request["at"] == at for request in self.ask("GET", "/requests")):
                return
            time.sleep(0.1)
        raise AssertionError(f"the vendor was not asked for {at}")


@contextmanager
def controls_of(simulators: Running, vendor: str) -> Iterator[Controls]:
    """The vendor's controls, after a clean slate."""
    trusted = ssl.create_default_context(cafile=simulators.ca_file)
    with httpx.Client(base_url=simulators.url, verify=trusted, timeout=30) as client:
        yield Controls(client, vendor)
