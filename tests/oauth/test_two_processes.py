"""Fifty runs in two workers meet a token that has run out: one of them renews it, for all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.clock import SystemClock
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from tests.faults.flows import flow_file
from tests.oauth.club import connect, register, step, write_club
from tests.oauth.club_server import ClubServer
from tests.scaleout.installation import KEY, Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]

RUNS = 50


@pytest.fixture
def go_on() -> threading.Event:
    return threading.Event()


@pytest.fixture
def club(go_on: threading.Event) -> Iterator[ClubServer]:
    """It answers no renewal before the test says so."""
    server = ClubServer(lambda: _wait_for(go_on))
    yield server
    go_on.set()
    server.close()


def _wait_for(event: threading.Event) -> None:
    event.wait(8)  # far less than the deadline of the call, on a busy machine too


@pytest.fixture
def installation(tmp_path: Path, postgres_url: str, club: ClubServer) -> Iterator[Installation]:
    folder = write_club(tmp_path / "connectors", api=club.url, token_url=f"{club.url}/token")
    settings = {"allow_targets": f"127.0.0.1:{club.port}", "concurrency": "8"}
    one = Installation(tmp_path / "installed", postgres_url, connectors_path=str(folder), **settings)
    yield one
    one.stop()


def test_two_workers_renew_a_token_once(
    installation: Installation, club: ClubServer, go_on: threading.Event, postgres_url: str
) -> None:
    one = installation
    one.start(workers=2, schedulers=1)
    connection_id = _connect(postgres_url, club)
    known = {connection_id: {"connector": "club", "name": "Our club"}}
    address = one.install(flow_file("members", [step(connection_id)], connections=known))
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda number: _send(address, number), range(RUNS)))
    assert answers == [202] * RUNS
    wait_until(lambda: _both_met_it(one, club), "both meet it", one.told)
    go_on.set()
    one.wait_for_the_end(RUNS)
    assert len(club.renewals) == 1
    assert len(club.members) == RUNS
    assert club.refused == []
    (row,) = one.ask("SELECT number, renewer FROM grants")
    assert (row.number, row.renewer) == (2, None)
    assert one.ask("SELECT count(*) FROM calls WHERE made_for = :id", id=connection_id)[0][0] == 1


def _connect(url: str, club: ClubServer) -> str:
    database, vault, now = Database(url), Vault(bytes.fromhex(KEY)), SystemClock().now()
    database.start()
    try:
        register(database, vault, now, token_url=f"{club.url}/token")
        return connect(database, vault, now)
    finally:
        database.close()


def _send(address: str, number: int) -> int:
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.post(address, json={"email": f"a{number}@example.com"}).status_code


def _both_met_it(one: Installation, club: ClubServer) -> bool:
    """Or, on a machine that is too slow for that, went past it."""
    busy = int(one.ask("SELECT count(DISTINCT process_id) FROM claims")[0][0])
    return (busy == 2 and bool(club.renewals)) or one.states().get("succeeded", 0) == RUNS
