"""The disk is full, or another program holds the database: nothing is lost and nothing shown wrong."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import Unavailable
from app.flows.model import FlowDefinition
from app.intake.deliveries.inbound import Accepted
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.flows import flows
from app.storage.tables.models import Call, Event, Run
from tests.fakes.handed import accept
from tests.faults.disks import Disk, LimitedFile, small_disk

PATIENCE_S = 120
NOISE = "".join(f"{number * 2654435761 % 2**32:08x}" for number in range(2000))  # hard to make smaller


class Shop:
    """A service that answers when it is let to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.orders: list[str] = []
        self.keys: list[str] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.orders.append(orjson.loads(request.content)["order"])
        self.keys.append(request.headers["Idempotency-Key"])
        while not self.open.is_set():
            await asyncio.sleep(0.01)
        return httpx.Response(200, json={"said": NOISE})


class House:
    """The whole server on a disk, with one live flow that posts each order to the shop."""

    def __init__(self, disk: Disk, **settings: Any) -> None:
        self.disk = disk
        self.shop = Shop()
        self.settings = Settings(
            data_dir=disk.folder, secret_key="5a" * 32, **{"min_free_mb": 0, "concurrency": 8, **settings}
        )
        self.parts = self._open()
        disk.watch(self.parts.database)
        self.lifetime = Lifetime(self.parts)
        self.lifetime.start()
        self.token = self._live()

    def _open(self) -> Parts:
        return open_parts(self.settings, transport=httpx.MockTransport(self.shop.answer))

    def _live(self) -> str:
        body = [{"name": "order", "mapping": "{{trigger:$.order}}"}]
        request = {"method": "POST", "url": "https://shop.example/orders", "body_kind": "json", "body": body}
        request |= {"headers": [{"name": "Idempotency-Key", "mapping": "{{run:$.id}}"}]}
        step = {"kind": "http", "id": "s1", "repeat": "safe", "request": request}
        given = {"name": "Orders", "trigger": {"kind": "webhook"}, "steps": [step]}
        definition = FlowDefinition.model_validate(given)
        now = self.parts.clock.now()
        flow_id = self.parts.database.write(
            lambda db: flows.create_flow(db, name="Orders", definition=definition, owner_id=None, now=now)
        )
        flow_commands.publish(SHELL, self.parts, flow_id)
        flow_commands.switch_on(SHELL, self.parts, flow_id)
        return flow_commands.create_address(SHELL, self.parts, flow_id).rpartition("/")[2]

    def send(self, order: str, *, size: int = 0) -> Accepted:
        return accept(
            self.parts.intake,
            self.token,
            method="POST",
            path_url=f"/hooks/{self.token}",
            query="",
            headers=[("Content-Type", "application/json")],
            body=orjson.dumps({"order": order, "more": NOISE[:size]}),
            remote_addr="203.0.113.7",
        )

    def states(self) -> Counter[str]:
        with self.parts.database.read() as db:
            rows = db.execute(select(Run.state, func.count()).group_by(Run.state)).all()
        return Counter({row[0]: row[1] for row in rows})

    def number_of(self, table: Any) -> int:
        with self.parts.database.read() as db:
            return db.scalar(select(func.count()).select_from(table)) or 0

    def wait_for(self, what: str, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < until, f"waited in vain: {what}; {self.states()}"
            time.sleep(0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as disk:
        yield disk


@pytest.fixture(params=["its own", "limited"])
def house(request: pytest.FixtureRequest, disk: Disk, tmp_path: Path) -> Iterator[House]:
    house = House(disk if request.param == "its own" else LimitedFile(tmp_path / "plain"))
    yield house
    house.shop.open.set()
    house.lifetime.stop(5)


def _send_until_refused(house: House) -> list[str]:
    """The orders that were answered 2xx before the first 503."""
    accepted: list[str] = []
    for number in range(20_000):
        try:
            house.send(f"o{number}", size=len(NOISE))
        except Unavailable:
            return accepted
        accepted.append(f"o{number}")
    raise AssertionError("the disk never was full")


def test_a_full_disk_is_503_and_what_came_before_is_performed_once_when_there_is_room_again(
    house: House,
) -> None:
    house.shop.open.clear()
    accepted = [f"first {number}" for number in range(20)]
    for order in accepted:
        house.send(order)
    house.wait_for("calls under way", lambda: len(house.shop.orders) == 8)
    house.disk.fill()
    accepted += _send_until_refused(house)
    house.shop.open.set()  # the answers come now, and cannot be written
    house.wait_for("results kept back", lambda: house.parts.database.writer.kept_back > 0)
    house.wait_for("no run begun", lambda: house.parts.engine.is_paused)
    assert set(house.states()) <= {"queued", "running"}
    with pytest.raises(Unavailable):
        house.send("refused")
    house.disk.free()
    house.wait_for("all is done", lambda: house.states() == Counter(succeeded=len(accepted)))
    assert Counter(house.shop.orders) == Counter(accepted)
    assert house.number_of(Event) == len(accepted) == house.number_of(Call)
    assert not house.parts.engine.is_paused
    assert house.send("afterwards").status == 202


def test_results_that_could_not_be_written_before_a_stop_are_repeated_under_their_key(house: House) -> None:
    house.shop.open.clear()
    for number in range(3):
        house.send(f"o{number}")
    house.wait_for("calls under way", lambda: len(house.shop.orders) == 3)
    house.disk.fill()
    _send_until_refused(house)
    sent = house.number_of(Run)
    house.shop.open.set()
    house.wait_for("results kept back", lambda: house.parts.database.writer.kept_back > 0)
    house.lifetime.stop(0.5)
    house.disk.free()
    house.parts = house._open()
    house.lifetime = Lifetime(house.parts)
    assert "succeeded" not in house.states()
    house.lifetime.start()
    house.wait_for("all is done", lambda: house.states() == Counter(succeeded=sent))
    for number in range(3):
        keys = [
            key
            for order, key in zip(house.shop.orders, house.shop.keys, strict=True)
            if order == f"o{number}"
        ]
        assert len(keys) == 2
        assert len(set(keys)) == 1


def test_below_the_low_water_mark_nothing_is_begun_and_all_goes_on_by_itself(disk: Disk) -> None:
    house = House(disk, min_free_mb=1)
    try:
        space = house.parts.space
        space.wanted = 2**60  # more than any disk has
        house.wait_for("the engine pauses", lambda: house.parts.engine.is_paused)
        with pytest.raises(Unavailable) as reason:
            house.send("refused")
        assert reason.value.retry_after_s == 60
        assert house.number_of(Event) == 0
        space.wanted = 0
        house.wait_for("the engine goes on", lambda: not house.parts.engine.is_paused)
        house.wait_for("webhooks are taken", lambda: not space.is_low)
        assert house.send("taken").status == 202
        house.wait_for("it is performed", lambda: house.states() == Counter(succeeded=1))
    finally:
        house.lifetime.stop(5)


def test_another_program_holds_the_database_for_three_seconds_and_everybody_waits(tmp_path: Path) -> None:
    house = House(LimitedFile(tmp_path / "plain"))
    other = sqlite3.connect(house.settings.data_dir / "plumbline.db", check_same_thread=False)
    try:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(16) as senders:
            answers = [senders.submit(house.send, f"o{number}") for number in range(16)]
            time.sleep(3)
            assert not any(answer.done() for answer in answers)
            other.rollback()
            assert {answer.result(PATIENCE_S).status for answer in answers} == {202}
        house.wait_for("all is done", lambda: house.states() == Counter(succeeded=16))
        assert len(house.shop.orders) == 16
    finally:
        other.close()
        house.lifetime.stop(5)
