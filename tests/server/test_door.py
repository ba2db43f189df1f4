"""Deliveries have a process of their own, and nobody outside can tell, whatever becomes of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from app.server.sockets import is_for_door
from tests.faults.flows import flow_file, install
from tests.product import Product

_STOP = [{"kind": "stop", "id": "end", "message": "Done."}]
_PATIENCE_S = 90
two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no door of its own")


@pytest.fixture
def product(start_product: Callable[..., Product]) -> Product:
    product = start_product()
    product.add_user()
    return product


@pytest.fixture
def address(product: Product) -> str:
    return install(product, flow_file("Orders", _STOP))[0]


@pytest.fixture
def sender() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=60, limits=httpx.Limits(max_connections=1)) as sender:
        yield sender


def runs(product: Product) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(product.command("runs", "list", "--json"))["runs"]
    return found


def wait_for_runs(product: Product, count: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        states = [run["state"] for run in runs(product)]
        if states.count("succeeded") == count:
            return
    raise AssertionError(f"{states}\n{product.log}")


@two_cores
def test_pages_and_deliveries_take_turns_on_one_connection(
    product: Product, address: str, sender: httpx.Client
) -> None:
    assert len(product.pids) == 2
    for number in range(5):
        assert sender.post(address, json={"order": number}).status_code == 202
        page = sender.get(f"{product.base_url}/login")
        assert "password" in page.text
    wait_for_runs(product, 5)


def test_a_delivery_may_come_in_pieces_and_be_large(product: Product, address: str) -> None:
    body = json.dumps({"order": "x" * 2_000_000}).encode()
    head = f"POST {httpx.URL(address).path} HTTP/1.1\r\nHost: p\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", product.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for letter in head[:20]:
            connection.sendall(letter.encode())
        connection.sendall(head[20:].encode() + body)
        said = b""
        while more := connection.recv(65536):
            said += more
    assert said.startswith(b"HTTP/1.1 202")
    wait_for_runs(product, 1)


def test_what_is_no_request_is_told_so_at_once(product: Product) -> None:
    with socket.create_connection(("127.0.0.1", product.port), timeout=60) as connection:
        connection.sendall(b"hello there\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@two_cores
def test_when_the_door_is_killed_deliveries_go_on_and_none_is_lost(
    product: Product, address: str, sender: httpx.Client
) -> None:
    for number in range(20):
        assert sender.post(address, json={"order": number}).status_code == 202
    product.kill_door()
    until = time.monotonic() + _PATIENCE_S
    while "door_ended" not in product.log:
        assert time.monotonic() < until, product.log
    for number in range(20, 40):
        with httpx.Client(trust_env=False, timeout=60) as another:
            assert another.post(address, json={"order": number}).status_code == 202
    wait_for_runs(product, 40)
    assert product.stop() == 0


@two_cores
def test_the_door_does_not_outlive_the_pages(product: Product, address: str, sender: httpx.Client) -> None:
    (door,) = product.pids[1:]
    assert sender.post(address, json={"order": 1}).status_code == 202
    product.kill_first()
    until = time.monotonic() + _PATIENCE_S
    while Path(f"/proc/{door}").exists():
        assert time.monotonic() < until
    product.start()
    wait_for_runs(product, 1)


@two_cores
def test_it_ends_with_the_server_and_leaves_no_word_of_an_error(
    product: Product, address: str, sender: httpx.Client
) -> None:
    assert sender.post(address, json={"order": 1}).status_code == 202
    (door,) = product.pids[1:]
    assert product.stop() == 0
    assert not Path(f"/proc/{door}").exists()
    assert "Traceback" not in product.log
    assert "door_ended" not in product.log


@two_cores
def test_a_door_that_hangs_does_not_keep_the_server_from_ending(product: Product) -> None:
    (door,) = product.pids[1:]
    os.kill(door, signal.SIGSTOP)
    assert product.stop() == 0
    assert "door_left_behind" in product.log
    assert not Path(f"/proc/{door}").exists()


def test_one_process_can_do_it_all(start_product: Callable[..., Product], sender: httpx.Client) -> None:
    product = start_product(door_process="0")
    assert len(product.pids) == 1
    (address,) = install(product, flow_file("Orders", _STOP))
    assert sender.post(address, json={"order": 1}).status_code == 202
    wait_for_runs(product, 1)


@pytest.mark.parametrize(
    ("begun", "is_delivery"),
    [
        (b"POST /hooks/abc HTTP/1.1", True),
        (b"OPTIONS /hooks/", True),
        (b"GET /runs HTTP/1.1", False),
        (b"GET /hook", None),
        (b"GET /hooking", False),
        (b"PO", None),
        (b"GET ", None),
        (b"GET / HTTP/1.1", False),
        (b"hello", False),
        (b"PROPFINDING /hooks/", False),
        (b"POST http://host/hooks/abc HTTP/1.1", False),
        (b"\x16\x03\x01", False),
    ],
)
def test_where_a_request_belongs_is_told_from_its_first_bytes(begun: bytes, is_delivery: bool | None) -> None:
    assert is_for_door(begun) is is_delivery
