"""Starting and ending the server, as a person at a terminal meets it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path

import httpx

from seed_data.services.process import RunningServices
from tests.cli.conftest import CommandLine
from tests.product import Product, free_port


def test_a_port_that_is_taken_is_a_sentence(cli: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cli("serve", expect=2, port=str(taken.getsockname()[1]))
    assert "cannot be used" in cli.said
    assert "PLUMBLINE_PORT" in cli.said


def test_services_of_the_demo_take_the_next_port_or_say_that_none_is_free(cli: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cli("demo", "--port", str(port), expect=2)
        assert f"127.0.0.1:{port} cannot be used" in cli.said
        running = RunningServices("127.0.0.1", port, last_port=port + 20)
        assert running.address != f"http://127.0.0.1:{port}"
        running.start()
        assert httpx.get(f"{running.address}/health", trust_env=False, timeout=60).json()["ok"] is True
        running.stop()


def test_the_wrong_key_refuses_the_start(cli: CommandLine) -> None:
    cli("flows", "list")
    cli("serve", expect=2, secret_key="ab" * 32)
    assert "key" in cli.said


def test_it_says_where_it_is_and_ends_cleanly(start_product: Callable[..., Product]) -> None:
    product = start_product()
    assert f"Plumbline is ready: {product.base_url}" in product.log
    assert "/setup/" in product.log
    assert httpx.get(product.base_url + "/login", trust_env=False, timeout=60).status_code == 200
    assert product.stop() == 0
    assert "Traceback" not in product.log
    product.start()
    assert product.log.count("Plumbline is ready") == 2


def test_commands_work_beside_a_running_server(server: Product) -> None:
    server.add_user()
    assert "ada@example.com" in server.command("users", "list")


def test_two_servers_on_one_data_folder_are_refused(server: Product) -> None:
    said = server.command("serve", expect=2, port=str(free_port()))
    assert "already serves this data folder" in said


def test_a_page_that_is_being_watched_does_not_keep_it_from_ending(server: Product, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    delay = {"id": "s1", "kind": "delay", "amount": "5"}
    file.write_text(json.dumps({"name": "Later", "trigger": {"kind": "webhook"}, "steps": [delay]}))
    made = json.loads(server.command("flows", "import", str(file), "--publish", "--on", "--json"))
    with server.signed_in() as client:
        client.post(made[0]["hook_url"], json={"email": "ana@example.com"}).raise_for_status()
        run = json.loads(server.command("runs", "list", "--json"))["runs"][0]["id"]
        with client.stream("GET", f"/runs/{run}/events") as answer:
            pieces = answer.iter_text()
            assert "retry" in next(pieces)
            assert server.stop() == 0
            with contextlib.suppress(httpx.TransportError):
                list(pieces)
    assert "event=stopped" in server.log
    assert "Traceback" not in server.log
