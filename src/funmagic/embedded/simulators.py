"""The simulated vendors as one of the embedded servers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from funmagic.embedded.process import Child
from funmagic.embedded.server import Server, Site, answers, child_environment, free_ports

_PREFERRED_PORTS = (9100, 9101)


class Simulators(Server):
    """Runs ``funmagic simulators``, by the same ``command`` as our other processes.

    Their certificate stays the same from one start to the next: the others read it only once.
    """

    name = "simulators"
    title = "Simulated vendors"
    stop_patience_s = 5.0

    def __init__(self, site: Site, command: Sequence[str]) -> None:
        super().__init__(site)
        self.port = self.sign_in_port = 0
        self._command = command

    def prepare(self) -> None:
        super().prepare()
        if not self.port:
            self.port, self.sign_in_port = free_ports(2, _PREFERRED_PORTS)

    def spawn(self) -> Child:
        return Child(
            self.name,
            [
                *self._command,
                *("simulators", "--port", str(self.port)),
                *("--sign-in-port", str(self.sign_in_port), "--folder", str(self.data)),
            ],
            log=self.site.logs / "simulators.log",
            janitor=self.site.janitor,
            environment=child_environment({"PYTHONPATH": ":".join(filter(None, sys.path))}),
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        return answers(self.port) and answers(self.sign_in_port)

    def environment(self) -> dict[str, str]:
        """What the product must be told: the app at Apple is the one registered there."""
        sign_in = f"http://127.0.0.1:{self.sign_in_port}"
        return {
            "SIMULATORS_URL": f"https://127.0.0.1:{self.port}",
            "SIMULATORS_CA_FILE": str(self.data / "ca.pem"),
            "APPLE_ISSUER": f"{sign_in}/apple",
            "APPLE_CLIENT_ID": "com.example.funmagic",
            "APPLE_TEAM_ID": "SIMULATED1",
            "APPLE_KEY_ID": "SIMULATED2",
            "APPLE_PRIVATE_KEY_FILE": str(self.data / "apple.p8"),
            "FACEBOOK_URL": f"{sign_in}/facebook",
            "FACEBOOK_GRAPH_URL": f"{sign_in}/facebook",
            "FACEBOOK_CLIENT_ID": "1000000000000001",
            "FACEBOOK_CLIENT_SECRET": "simulated",
        }
