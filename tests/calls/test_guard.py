"""No call reaches a private, local or special address, however it is written or found."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import aiohttp
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.calls.guard import MAIL_PORTS, Guard, is_public
from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from app.clock import SystemClock
from app.errors import SettingInvalid
from app.settings import Settings
from tests import network
from tests.calls.calling import over_the_wire
from tests.fakes.target import Target, answer, target

PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "64:ff9b:1::808:808",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::",
    "2002:c0a8:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2001:20::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "3fff::1",
    "5f00::1",
    "100::1",
]
PUBLIC = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "172.32.0.1",
    "192.0.3.1",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_or_special_address_is_refused(address: str) -> None:
    assert not Guard(()).permits(address, "example.com", 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_permitted(address: str) -> None:
    assert Guard(()).permits(address, "example.com", 443)


@given(st.ip_addresses(v=4))
def test_an_address_wrapped_in_ipv6_is_judged_like_itself(address: Any) -> None:
    number = int(address)
    wrapped = [f"::ffff:{address}", f"64:ff9b::{number >> 16:x}:{number & 0xFFFF:x}"]
    wrapped.append(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::")
    for text in wrapped:
        assert Guard(()).permits(text, "h", 443) == is_public(ip_address(str(address)))


def test_what_is_no_address_is_refused() -> None:
    for text in ("", "localhost", "999.1.1.1", "127.0.0.1.example.com", "/var/run/docker.sock"):
        assert not Guard(()).permits(text, "h", 443)


@pytest.mark.parametrize(
    ("port", "allowed"), [(80, True), (443, True), (8443, True), (22, False), (6379, False)]
)
def test_public_addresses_are_called_on_the_usual_ports_only(port: int, allowed: bool) -> None:
    assert Guard(()).permits("8.8.8.8", "dns.example", port) is allowed


def test_mail_has_ports_of_its_own() -> None:
    assert Guard(()).permits("8.8.8.8", "mx.example", 587, ports=MAIL_PORTS)
    assert not Guard(()).permits("8.8.8.8", "mx.example", 443, ports=MAIL_PORTS)


# ------------------------------------------------------------------------------- what is allowed


def test_an_entry_with_a_port_opens_that_port_only() -> None:
    guard = Guard(("127.0.0.1:8090",))
    assert guard.permits("127.0.0.1", "127.0.0.1", 8090)
    assert guard.permits("::ffff:127.0.0.1", "x", 8090)
    assert not guard.permits("127.0.0.1", "127.0.0.1", 8091)
    assert not guard.permits("127.0.0.2", "127.0.0.2", 8090)
    assert not guard.permits("::1", "::1", 8090)


def test_a_range_opens_all_of_its_ports() -> None:
    guard = Guard(("10.1.0.0/16", "[fd12::]:9000", "fd13::/64"))
    assert guard.permits("10.1.2.3", "h", 5432)
    assert not guard.permits("10.2.0.1", "h", 443)
    assert guard.permits("fd12::", "h", 9000)
    assert guard.permits("fd13::7", "h", 1)


def test_a_name_opens_its_addresses_for_calls_to_that_name_only() -> None:
    guard = Guard(("shop.internal:8080", "CRM.internal."))
    assert guard.permits("10.0.0.5", "shop.internal", 8080)
    assert not guard.permits("10.0.0.5", "shop.internal", 8081)
    assert not guard.permits("10.0.0.5", "other.example", 8080)
    assert guard.permits("10.0.0.6", "crm.internal", 3000)


def test_no_setting_opens_the_metadata_services_of_clouds() -> None:
    guard = Guard(("169.254.0.0/16", "169.254.169.254", "0.0.0.0/0", "::/0", "meta.internal"))
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"):
        assert not guard.permits(address, "meta.internal", 80)


@pytest.mark.parametrize(
    "entry", ["http://x", "a/b", "host:0", "host:70000", "host:http", ":80", "a@b", "*.x"]
)
def test_an_entry_that_is_no_address_stops_the_start(entry: str) -> None:
    with pytest.raises(SettingInvalid):
        Guard((entry,))


# --------------------------------------------------------------------------- through real calls

SPELLINGS = [
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://017700000001:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST:PORT/",
    "http://localhost.:PORT/",
    "http://[::1]:PORT/",
    "http://[::]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://127.000.000.001:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://１２７.0.0.1:PORT/",
    "http://127.0.0.1%2f:PORT/",
    "http://127.0.0.1:PORT@example.com/",
    "http://example.com@127.0.0.1:PORT/",
    "http://user:pw@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT?@example.com/",
    "http://example.com:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@example.com/",
    "http:\\\\127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "hTTp://127.255.255.254:PORT/",
    "http://127.0.0.2:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://127.0.0x1:PORT/",
    "http://2130706434:PORT/",
    "http://0x7F000001:PORT/",
    "http://0000177.0.0.1:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[0000::1]:PORT/",
    "http://[::0001]:PORT/",
    "http://127.0.0.1:00PORT/",
    "http://127.0.0.1:PORT/?http://example.com",
    "gopher://127.0.0.1:PORT/",
    "dict://127.0.0.1:PORT/",
    "file://127.0.0.1:PORT/",
    "ftp://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "unix:/var/run/docker.sock",
    "http+unix://%2Fvar%2Frun/",
    "jar:http://127.0.0.1:PORT/",
    "netdoc://127.0.0.1:PORT/",
]


@pytest.fixture
def numeric_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are resolved as the C library does it: every numeric spelling is an address."""

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        name = (host.decode() if isinstance(host, bytes) else str(host)).rstrip(".").lower()
        try:
            address = "127.0.0.1" if name == "localhost" else socket.inet_ntoa(socket.inet_aton(name))
        except OSError:
            if ":" not in name:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
            return [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (name.partition("%")[0], port, 0, 0))]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("numeric_names")
def test_sixty_spellings_of_the_own_machine_reach_nothing() -> None:
    async def work(caller: Caller) -> tuple[list[CallOutcome], Target]:
        async with target(answer(b"inside")) as facts:
            urls = [text.replace("PORT", str(facts.port)) for text in SPELLINGS]
            return [await caller.send(CallRequest("GET", url, timeout_s=5)) for url in urls], facts

    outcomes, facts = over_the_wire(work)
    assert len(outcomes) >= 60
    assert facts.connections == 0
    for spelling, outcome in zip(SPELLINGS, outcomes, strict=True):
        assert outcome.failure is not None, spelling
        assert not outcome.failure.ambiguous, spelling


@pytest.mark.usefixtures("numeric_names")
def test_the_spellings_do_reach_a_client_without_a_guard() -> None:
    """Proof that the test above can fail."""

    async def work() -> int:
        async with target(answer(b"inside")) as facts, httpx.AsyncClient(timeout=30) as client:
            for text in SPELLINGS:
                try:
                    await client.get(text.replace("PORT", str(facts.port)))
                except (httpx.HTTPError, httpx.InvalidURL, ValueError):
                    continue
            return facts.connections

    assert asyncio.run(work()) >= 20
    network.attempts.clear()  # of those, some would have left by other roads


def test_the_failure_names_the_policy_and_is_permanent() -> None:
    outcome = over_the_wire(lambda caller: caller.send(CallRequest("GET", "http://127.0.0.1:8090/x")))
    assert outcome.failure is not None
    assert outcome.failure.sentence.startswith("127.0.0.1:8090 is blocked by network policy")
    assert outcome.failure.kind == "permission_missing"
    assert outcome.failure.permanent


@pytest.mark.parametrize("entry", ["127.0.0.1:{port}", "127.0.0.0/8", "localhost:{port}", "localhost"])
def test_an_allowed_target_is_reached(entry: str) -> None:
    async def work() -> CallOutcome:
        async with target(answer(b"{}")) as facts:
            caller = Caller(Settings(allow_targets=(entry.format(port=facts.port),)), SystemClock())
            await caller.start()
            outcome = await caller.send(CallRequest("GET", f"http://localhost:{facts.port}/"))
            await caller.close()
            return outcome

    assert asyncio.run(work()).failure is None


def test_an_allowed_name_does_not_open_its_address_for_others() -> None:
    async def work(caller: Caller) -> tuple[list[CallOutcome], int]:
        async with target(answer(b"{}")) as facts:
            urls = [f"http://{host}:{facts.port}/" for host in ("localhost", "127.0.0.1", "127.0.0.1.")]
            return [await caller.send(CallRequest("GET", url)) for url in urls], facts.connections

    outcomes, _ = over_the_wire(work, allow=["localhost"])
    assert outcomes[0].failure is None
    assert all(outcome.failure is not None for outcome in outcomes[1:])


def _resolving(*answers: list[str]) -> Callable[..., Any]:
    """A name server that says something else each time."""
    queue = list(answers)

    def getaddrinfo(host: Any, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        found = queue.pop(0) if len(queue) > 1 else queue[0]
        four = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found if ":" not in one]
        six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, port, 0, 0)) for one in found if ":" in one]
        return six + four

    return getaddrinfo


@pytest.mark.parametrize(
    "answers",
    [[["127.0.0.1"]], [["::1"]], [["10.0.0.1", "127.0.0.1"]], [["::ffff:127.0.0.1", "127.0.0.1"]]],
)
def test_a_name_that_leads_inside_reaches_nothing(
    answers: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(caller: Caller) -> tuple[CallOutcome, int]:
        async with target(answer(b"inside")) as facts:
            monkeypatch.setattr(socket, "getaddrinfo", _resolving(*answers))
            outcome = await caller.send(CallRequest("GET", f"http://rebind.example:{facts.port}/"))
            monkeypatch.undo()
            return outcome, facts.connections

    outcome, connections = over_the_wire(work)
    assert connections == 0
    assert outcome.failure is not None
    assert "blocked by network policy" in outcome.failure.sentence


INSIDE_HOPS = (
    "http://[::1]:PORT/",
    "http://2130706433:PORT/",
    "http://localhost:PORT/",
    "http://127.0.0.2:PORT/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:127.0.0.2]:PORT/",
)


@pytest.mark.parametrize("hop", INSIDE_HOPS)
def test_each_hop_of_a_redirect_passes_the_guard(hop: str) -> None:
    async def work() -> tuple[CallOutcome, int, int]:
        async with target(answer(b"inside")) as secret:
            to = hop.replace("PORT", str(secret.port))
            async with target(answer(b"", f"Location: {to}", status="302 Found")) as door:
                caller = Caller(Settings(allow_targets=(door.place,)), SystemClock())
                await caller.start()
                outcome = await caller.send(CallRequest("GET", door.url, follow_redirects=True))
                await caller.close()
                return outcome, secret.connections, door.connections

    outcome, inside, at_the_door = asyncio.run(work())
    assert (inside, at_the_door) == (0, 1)
    assert outcome.failure is not None
    assert outcome.failure.permanent


def test_the_guard_sees_every_socket_the_connector_opens() -> None:
    """aiohttp must go on asking the factory for address literals too, which its resolver never sees."""
    asked: list[Any] = []

    def factory(info: Any) -> socket.socket:
        asked.append(info[4])
        raise OSError("no")

    async def work() -> None:
        connector = aiohttp.TCPConnector(socket_factory=factory)
        async with aiohttp.ClientSession(connector=connector) as session:
            for url in ("http://127.0.0.1:9/", "http://[::1]:9/", "http://localhost:9/"):
                with pytest.raises(aiohttp.ClientConnectorError):
                    await session.get(url)

    asyncio.run(work())
    assert {address[0] for address in asked} >= {"127.0.0.1", "::1"}
