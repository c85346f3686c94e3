"""The simulated vendors as one of the embedded servers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from funmagic.embedded.process import Child
from funmagic.embedded.server import Server, Site, answers, child_environment, free_ports

_PREFERRED_PORT = 9100


class Simulators(Server):
    """Runs ``funmagic simulators``, by the same ``command`` as our other processes.

    Their certificate stays the same from one start to the next: the others read it only once.
    """

    name = "simulators"
    title = "Simulated vendors"
    stop_patience_s = 5.0

    def __init__(self, site: Site, command: Sequence[str]) -> None:
        super().__init__(site)
        self.port = 0
        self._command = command

    def prepare(self) -> None:
        super().prepare()
        self.port = self.port or free_ports(1, [_PREFERRED_PORT])[0]

    def spawn(self) -> Child:
        return Child(
            self.name,
            [*self._command, "simulators", "--port", str(self.port), "--folder", self.data],
            log=self.site.logs / "simulators.log",
            janitor=self.site.janitor,
            environment=child_environment({"PYTHONPATH": ":".join(filter(None, sys.path))}),
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        return answers(self.port)

    def environment(self) -> dict[str, str]:
        return {
            "SIMULATORS_URL": f"https://127.0.0.1:{self.port}",
            "SIMULATORS_CA_FILE": str(self.data / "ca.pem"),
        }
