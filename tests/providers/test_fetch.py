"""Fetching a vendor's result: whom we connect to, and whom never (hazard A4).

A canary on loopback answers everything with a perfect picture, and the network writes down every
connection it was asked for: a refusal means that neither was touched.
"""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.providers.canary import PNG, Network, canary, redirect, whole
from tests.providers.fetching import PUBLIC, PUBLIC_V6, VENDOR, Names, get, refusal

from funmagic.providers import fetch
from funmagic.providers.addresses import is_loopback, is_public
from funmagic.providers.contract import File, Place, ProviderError, Trouble
from funmagic.providers.fetch import Fetcher, Rules
from funmagic.providers.origins import Origin, simulator_of
from funmagic.simulators.tls import Certificate


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every address a socket of this process was told to connect to, UNIX sockets aside."""
    seen: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            seen.append(address)
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return seen


# Written with {port}, the canary's: a guard that fails would find the canary there.
NOT_PUBLIC = [
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0.0.0.0", "0", "10.0.0.1"),
    *("172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "192.0.0.192", "198.18.0.1", "168.63.129.16", "192.0.2.1"),
    *("192.88.99.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250"),
    *("240.0.0.1", "255.255.255.255"),
    *("2130706433", "0x7f000001", "017700000001", "0x7f.0.0.1", "0177.0.0.1", "0xa9fea9fe"),
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]"),
    *("[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[fe80::1]", "[fc00::1]", "[fd00:ec2::254]"),
    *("[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "[100::1]"),
    *("[2002:7f00:1::]", "[2001:0:7f00:1::]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]"),
    *("[64:ff9b:1::7f00:1]", "[5f00::1]"),
]


@pytest.mark.hazard("A4")
@pytest.mark.parametrize("host", NOT_PUBLIC)
async def test_an_address_that_is_not_public_is_not_connected_to(
    tmp_path: Path, place: Place, connected: list[Any], host: str
) -> None:
    """Even where the adapter declares the host: names of vendors point where they please."""
    network = Network()
    async with canary() as bird:
        rules = Rules(hosts=(host.strip("[]"),), ports=(443, bird.port))
        error = await refusal(
            Fetcher(place, network=network), f"https://{host}:{bird.port}/x.png", tmp_path, rules
        )
    assert (network.connects, connected, bird.connections) == ([], [], 0)
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert "refused: address" in error.vendor_message


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    "answers",
    [
        *([address] for address in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1")),
        *([address] for address in ("::ffff:127.0.0.1", "fe80::1%lo", "fe80::1%1", "not-an-ip")),
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, PUBLIC_V6, "::1"],
        [PUBLIC, "100.64.0.1"],
        [PUBLIC, "64:ff9b::a00:1"],
    ],
    ids=",".join,
)
async def test_a_name_with_any_address_that_is_not_public_is_not_connected_to(
    tmp_path: Path, place: Place, connected: list[Any], answers: list[str]
) -> None:
    async with canary() as bird:
        network = Network(stand_in=bird.port)
        fetcher = Fetcher(place, resolve=Names(files_vendor_example=[answers]), network=network)
        rules = Rules(hosts=(VENDOR,), ports=(bird.port,))
        error = await refusal(fetcher, f"https://{VENDOR}:{bird.port}/", tmp_path, rules)
    assert (network.connects, connected, bird.connections) == ([], [], 0)
    assert not error.may_repeat


FORBIDDEN = [
    # another protocol, or none
    *("file:///etc/passwd", "file://localhost/etc/passwd", f"ftp://{VENDOR}/x.png"),
    *(f"gopher://{VENDOR}/_GET", "data:image/png;base64,iVBORw0KGgo=", f"dict://{VENDOR}/"),
    *("javascript:alert(1)", f"ws://{VENDOR}/", f"jar:https://{VENDOR}!/x", "unix:/run/x.sock"),
    *(f"http://{VENDOR}/x.png", f"http://{VENDOR}:443/x.png", f"//{VENDOR}/x", "/x.png", ""),
    *(f"https:/{VENDOR}/x", f"https:{VENDOR}/x", f"https:///{VENDOR}/x", "https://", "https"),
    # user information, and what only looks like it
    *(f"https://{VENDOR}@127.0.0.1:{{port}}/", f"https://127.0.0.1:{{port}}@{VENDOR}/"),
    *(f"https://user:secret@{VENDOR}/", f"https://@{VENDOR}/", f"https://{VENDOR}%40127.0.0.1/"),
    *(f"https://127.0.0.1:{{port}}#@{VENDOR}/", f"https://127.0.0.1:{{port}}?@{VENDOR}/"),
    *(f"https://127.0.0.1:{{port}}\\@{VENDOR}/", f"https://{VENDOR}\\@127.0.0.1:{{port}}/"),
    # another host that looks like ours
    *("https://vendor.example/", "https://evil-files.vendor.example/", f"https://{VENDOR}./"),
    *(f"https://{VENDOR}.evil.example/", f"https://evil{VENDOR}/", "https://cdn.example/"),
    *("https://.cdn.example/", "https://a..cdn.example/", "https://evilcdn.example/"),
    *("https://a.cdn.example.evil.example/", "https://localhost:{port}/", "https://[::1]:{port}/"),
    *(f"https://{VENDOR}%00.cdn.example/", f"https://{VENDOR}%2f.cdn.example/", "https://a_b/"),
    *("https://files。vendor。example/", "https://ⓕiles.vendor.example/", f"https://{VENDOR}⁄x/"),
    *("https://xn--files-vendor.example/", "https://①②⑦.⓪.⓪.①:{port}/", "https://faß.example/"),
    *(f"https://{VENDOR}\t/", f"https:// {VENDOR}/", f"ht\ntps://{VENDOR}/", f" https://{VENDOR}/"),
    *(f"https://{VENDOR}\r\nHost: x/", f"https://{VENDOR}/x y", f"https://{VENDOR}/\x00"),
    # another port
    *(f"https://{VENDOR}:22/", f"https://{VENDOR}:80/", f"https://{VENDOR}:0/"),
    *(f"https://{VENDOR}:65979/", f"https://{VENDOR}:-1/", f"https://{VENDOR}:4 43/"),
    *(f"https://{VENDOR}:443:{{port}}/", f"https://{VENDOR}:４４３/", f"https://{VENDOR}:/"),
    f"https://{VENDOR}/" + "x" * 5000,
]


@pytest.mark.hazard("A4")
@pytest.mark.parametrize("address", FORBIDDEN)
async def test_an_address_that_is_not_the_vendors_is_not_even_resolved(
    tmp_path: Path, place: Place, connected: list[Any], address: str
) -> None:
    async with canary() as bird:
        network, names = Network(stand_in=bird.port), Names(files_vendor_example=[[PUBLIC]])
        fetcher = Fetcher(place, resolve=names, network=network)
        rules = Rules(hosts=(VENDOR, ".cdn.example"))
        error = await refusal(fetcher, address.format(port=bird.port), tmp_path, rules)
    assert (names.asked, network.connects, connected, bird.connections) == ([], [], [], 0)
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert error.vendor_message.startswith("refused: ")


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    "location",
    [
        *("https://127.0.0.1:{port}/", "http://127.0.0.1:{port}/", "https://[::1]:{port}/"),
        *("//127.0.0.1:{port}/", "https://169.254.169.254/latest/meta-data/", "file:///etc/passwd"),
        *("http://localhost/x.png", "https://localhost:22/", "https://inner.localhost/"),
        *("gopher://localhost/_", "data:image/png;base64,iVBORw0KGgo=", "https://x@localhost/"),
        *("https://localhost.evil.example/", "\\\\127.0.0.1\\x", "/a b", "", "https://mixed.test/"),
    ],
)
async def test_a_redirect_is_checked_like_the_first_address(
    tmp_path: Path,
    place: Place,
    certificate: Certificate,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
    location: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    async with canary() as bird, canary(redirect(location.format(port=bird.port)), tls) as seller:
        network = Network(stand_in=seller.port)
        names = Names(
            localhost=[[PUBLIC]], mixed_test=[[PUBLIC, "127.0.0.1"]], inner_localhost=[["10.0.0.1"]]
        )
        fetcher = Fetcher(place, resolve=names, network=network)
        rules = Rules(hosts=("localhost", ".localhost", "mixed.test"))
        error = await refusal(fetcher, "https://localhost/x.png", tmp_path, rules)
    assert network.connects == [(PUBLIC, 443)]
    assert (len(seller.visits), bird.connections) == (1, 0)
    assert not error.may_repeat
    assert error.vendor_message.startswith("refused: ")


@pytest.mark.hazard("A4")
async def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(
    tmp_path: Path,
    place: Place,
    certificate: Certificate,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is public when asked first and ours when asked again."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    names = Names(localhost=[[PUBLIC], ["127.0.0.1"]])
    again = tmp_path / "again"
    again.mkdir()
    async with canary() as bird, canary(whole(), tls) as seller:
        network = Network(stand_in=seller.port)
        fetcher = Fetcher(place, resolve=names, network=network)
        rules = Rules(hosts=("localhost",), ports=(bird.port,))
        await get(fetcher, f"https://localhost:{bird.port}/", tmp_path, rules)
        assert (names.asked, network.connects) == (["localhost"], [(PUBLIC, bird.port)])
        error = await refusal(fetcher, f"https://localhost:{bird.port}/", again, rules)
    assert network.connects == [(PUBLIC, bird.port)]
    assert (bird.connections, error.may_repeat) == (0, False)


@pytest.mark.hazard("A4")
@pytest.mark.parametrize(
    ("address", "simulated"),
    [
        ("http://127.0.0.1:{other}/x.png", "http://127.0.0.1:{port}"),
        ("https://127.0.0.1:{port}/x.png", "http://127.0.0.1:{port}"),
        ("http://127.0.0.2:{port}/x.png", "http://127.0.0.1:{port}"),
        ("http://localhost:{port}/x.png", "http://127.0.0.1:{port}"),
        ("http://127.1:{port}/x.png", "http://127.0.0.1:{port}"),
        ("http://u@127.0.0.1:{port}/x.png", "http://127.0.0.1:{port}"),
        (f"https://{VENDOR}/x.png", "http://127.0.0.1:{port}"),
        ("http://rebound.localhost:{port}/x.png", "http://rebound.localhost:{port}"),
    ],
)
async def test_where_a_vendor_is_simulated_its_own_host_and_port_are_all_there_is(
    tmp_path: Path, address: str, simulated: str
) -> None:
    async with canary() as bird, canary() as other:
        network = Network(stand_in=bird.port)
        names = Names(files_vendor_example=[[PUBLIC]], rebound_localhost=[[PUBLIC]])
        place = Place(models_dir=tmp_path, loopback_allowed=True)
        fetcher = Fetcher(place, resolve=names, network=network)
        scheme, _, rest = simulated.partition("://")
        simulator = Origin(scheme, rest.partition(":")[0], bird.port)
        url = address.format(port=bird.port, other=other.port)
        error = await refusal(fetcher, url, tmp_path, Rules(hosts=(VENDOR,)), simulator)
    assert (network.connects, bird.connections, other.connections) == ([], 0, 0)
    assert not error.may_repeat


@pytest.mark.hazard("A4")
async def test_loopback_is_for_processes_whose_vendors_are_simulated(
    tmp_path: Path, place: Place
) -> None:
    async with canary() as bird:
        network = Network()
        simulator = Origin("http", "127.0.0.1", bird.port)
        fetcher = Fetcher(place, network=network)
        await refusal(fetcher, f"{simulator}/x.png", tmp_path, Rules(hosts=()), simulator)
    assert (network.connects, bird.connections) == ([], 0)
    with pytest.raises(ProviderError, match="not allowed"):
        simulator_of(place, "http://127.0.0.1:9100/fal")


def test_a_simulator_is_on_this_machine_or_nowhere(tmp_path: Path) -> None:
    allowed = Place(models_dir=tmp_path, loopback_allowed=True)
    assert simulator_of(allowed, None) is None
    assert simulator_of(allowed, "https://[::1]:9/fal") == Origin("https", "::1", 9)
    assert simulator_of(allowed, "http://localhost/fal") == Origin("http", "localhost", 80)
    for elsewhere in ("https://10.0.0.1/fal", "https://vendor.example", "http://u@127.0.0.1/"):
        with pytest.raises(ProviderError, match="refused"):
            simulator_of(allowed, elsewhere)


async def test_a_simulators_file_comes_over_tls_by_its_own_certificate(
    tmp_path: Path, certificate: Certificate, tls: ssl.SSLContext
) -> None:
    place = Place(models_dir=tmp_path, loopback_allowed=True, ca_file=certificate.ca_file)
    async with canary(whole(), tls) as seller:
        simulator = Origin("https", "127.0.0.1", seller.port)
        file = await get(Fetcher(place), f"{simulator}/x.png", tmp_path, Rules(()), simulator)
        assert file == File(tmp_path / "result.png", "image/png")
        assert file.path.read_bytes() == PNG
        # Without that certificate nobody vouches for the simulator.
        stranger = Fetcher(Place(models_dir=tmp_path, loopback_allowed=True))
        file.path.unlink()
        error = await refusal(stranger, f"{simulator}/x.png", tmp_path, Rules(()), simulator)
    assert "certificate" in error.vendor_message
    assert not error.may_repeat
    assert len(seller.visits) == 1


async def test_a_vendors_file_comes_with_nothing_of_ours_sent_along(
    tmp_path: Path,
    place: Place,
    certificate: Certificate,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with canary(whole(set_cookie="a=b"), tls) as seller:
        network = Network(stand_in=seller.port)
        fetcher = Fetcher(place, resolve=Names(localhost=[[PUBLIC]]), network=network)
        rules = Rules(hosts=("localhost",))
        for _ in range(2):
            await get(fetcher, "https://localhost/a/b.png?sign=1&x=%2F#part", tmp_path, rules)
    assert network.connects == [(PUBLIC, 443)] * 2
    for visit in seller.visits:
        assert visit.target == "/a/b.png?sign=1&x=%2F"
        assert visit.headers == {
            "host": "localhost",
            "user-agent": fetch.USER_AGENT,
            "accept": "image/png, image/jpeg, image/webp",
            "accept-encoding": "identity",
            "connection": "close",
        }


async def test_a_certificate_must_be_for_the_name_whatever_the_address(
    tmp_path: Path,
    place: Place,
    certificate: Certificate,
    tls: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.ca_file))
    async with canary(whole(), tls) as seller:
        network = Network(stand_in=seller.port)
        names = Names(files_vendor_example=[[PUBLIC]])
        fetcher = Fetcher(place, resolve=names, network=network)
        error = await refusal(fetcher, f"https://{VENDOR}/", tmp_path, Rules(hosts=(VENDOR,)))
    assert "certificate" in error.vendor_message
    assert (seller.visits, error.may_repeat) == ([], False)


def test_public_addresses_are_known_as_such() -> None:
    for address in (PUBLIC, PUBLIC_V6, "1.1.1.1", "172.32.0.1", "100.128.0.1", "64:ff9b::101:101"):
        assert is_public(address), address
        assert not is_loopback(address), address
    for address in ("", "localhost", "1.1", "1.1.1.1 ", "1.1.1.1%0", f"{PUBLIC_V6}%eth0", "::1%0"):
        assert not is_public(address), address
        assert not is_loopback(address), address
