"""Google, Facebook and Apple on this machine, and somebody who says who they are there.

Google is ``oidc-provider-mock``, in a process of its own since it imports deprecated modules, which
end a test here; the two others are our simulators.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

from funmagic.simulators import apple, facebook
from funmagic.simulators.server import Running, running, sign_in_environment

GOOGLE = """
import os, sys
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
from oidc_provider_mock import User, run_server_in_thread
people = [
    User(sub="g-ada", claims={"email": "ada@example.com", "email_verified": True, "name": "Ada L"}),
    User(sub="g-gus", claims={"email": "gus@example.com", "email_verified": True, "name": "Gus G"}),
]
with run_server_in_thread(user_claims=people) as server:
    print(server.server_port, flush=True)
    sys.stdin.read()
"""
FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')
#: Who is who at each provider, by the names the tests use.
GOOGLE_PEOPLE = {"ada": "g-ada", "gus": "g-gus"}
APPLE_PEOPLE = {person.first_name.lower(): person.id for person in apple.PEOPLE.values()}
FACEBOOK_PEOPLE = {person.first_name.lower(): person.id for person in facebook.PEOPLE.values()}


@dataclass(frozen=True)
class Providers:
    """Where the three are."""

    google_url: str
    simulators: Running

    @property
    def environment(self) -> dict[str, str]:
        """What the product must be told to have them as ways in."""
        return {
            "GOOGLE_ISSUER": self.google_url,
            "GOOGLE_CLIENT_ID": "funmagic-tests",
            "GOOGLE_CLIENT_SECRET": "google-canary-secret",
            **sign_in_environment(self.simulators.sign_in_url, self.simulators.apple_key_file),
        }

    @property
    def settings(self) -> dict[str, str]:
        """The same as fields of ``Settings``."""
        given = {name.lower(): value for name, value in self.environment.items()}
        given["apple_private_key"] = self.simulators.apple_key_file.read_text()
        del given["apple_private_key_file"]
        return given


@contextmanager
def providers() -> Iterator[Providers]:
    """All three, for the length of the block."""
    with running() as simulators, google() as google_url:
        yield Providers(google_url, simulators)


@contextmanager
def google() -> Iterator[str]:
    """The address of a Google that ends with this process, however that comes to pass."""
    command = [sys.executable, "-W", "ignore", "-c", GOOGLE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(20)


class Elsewhere:
    """A person at the providers' own pages, where our cookies are not sent."""

    def __init__(self, client: httpx.AsyncClient, place: Providers) -> None:
        self._client = client
        self.place = place

    async def consent(self, address: str, **form: str) -> str:
        """Choose at the page our site sent to: ``person`` (without one: cancel), and ``email``, to
        ``hide`` or ``keep`` it. Answers where the browser goes next on our site."""
        answered = await self._client.post(address, data=self._choice(address, form))
        if answered.status_code == 302:
            return answered.headers["location"].partition("#")[0]
        assert answered.status_code == 200, answered.text
        return await self.post(answered.text)

    async def post(self, page: str, **changed: str) -> str:
        """Send Apple's page, which posts itself to our site from another one."""
        target = re.search(r'<form method="post" action="([^"]+)">', page)
        assert target is not None, page
        fields = {name: html.unescape(value) for name, value in FIELD.findall(page)}
        headers = {"Origin": self.place.simulators.sign_in_url, "Sec-Fetch-Site": "cross-site"}
        posted = await self._client.post(
            html.unescape(target[1]), data=fields | changed, headers=headers
        )
        assert posted.status_code == 303, posted.text
        assert "set-cookie" not in posted.headers
        return urljoin(html.unescape(target[1]), posted.headers["location"])

    async def page(self, address: str, **form: str) -> str:
        """What the provider answers to a choice, not followed."""
        return (await self._client.post(address, data=self._choice(address, form))).text

    async def google_says(self, sub: str, **claims: Any) -> None:
        """Let Google know somebody by these claims from now on."""
        answered = await self._client.put(f"{self.place.google_url}/users/{sub}", json=claims)
        answered.raise_for_status()

    async def control(self, provider: str, what: str, **body: Any) -> Any:
        """A simulator's control route: ``faults``, ``forgeries``, ``keys``, ``expiry``."""
        address = f"{self.place.simulators.sign_in_url}/{provider}/control/{what}"
        (await self._client.post(address, json=body)).raise_for_status()

    async def asked(self, provider: str, at: str) -> int:
        """How often a simulator was asked at one point of its protocol."""
        address = f"{self.place.simulators.sign_in_url}/{provider}/control/requests"
        seen = (await self._client.get(address)).json()
        return sum(request["at"] == at for request in seen)

    async def clean(self) -> None:
        """A clean slate at Apple and Facebook."""
        for provider in ("apple", "facebook"):
            address = f"{self.place.simulators.sign_in_url}/{provider}/control"
            (await self._client.delete(address)).raise_for_status()

    def _choice(self, address: str, form: dict[str, str]) -> dict[str, str]:
        person = form.get("person")
        if address.startswith(self.place.google_url):
            return (
                {"action": "deny"} if person is None else {"sub": GOOGLE_PEOPLE.get(person, person)}
            )
        people = APPLE_PEOPLE if "/apple/" in address else FACEBOOK_PEOPLE
        if person is None:
            return {"action": "cancel"}
        return {"person": people[person], "email": form.get("email", "share")}
