"""The process is killed in the middle of an order: it goes on, and no dead letter is resent twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.clock import SystemClock
from app.commands.letters import replay_group
from app.storage.database.db import Database
from app.storage.letters.dead_letters import cause_of
from app.storage.letters.orders import get_order
from app.storage.tables.models import OPEN_STATES, Run
from tests.fakes.history import History
from tests.fakes.people import ANA, rows_of
from tests.faults.target import Target
from tests.product import Product

LETTERS = 120
KILLS = (20, 60)  # calls the service has got by then


@pytest.fixture
def target() -> Iterator[Target]:
    one = Target(0.05)
    yield one
    one.close()


def test_an_order_survives_kills_and_resends_each_letter_once(tmp_path: Path, target: Target) -> None:
    product = Product(tmp_path, {"allow_targets": f"127.0.0.1:{target.port}"})
    product.start()
    database = Database(f"sqlite:///{product.data_dir / 'plumbline.db'}")
    database.start()
    try:
        cause = _dead_letters(History(database), target)
        order_id = replay_group(ANA, rows_of(database, SystemClock()), cause)
        for calls in KILLS:
            _wait(lambda calls=calls: len(target.got) >= calls, "the order goes on")  # type: ignore[misc]
            product.kill()
            product.start()
        _wait(lambda: _is_over(database, order_id), "everything is resent")
        with database.read() as db:
            order = get_order(db, order_id)
            again = select(func.count(), func.count(Run.replay_of.distinct()))
            made = db.execute(again.where(Run.replay_of.is_not(None))).one()
            ends = db.execute(select(Run.state).where(Run.replay_of.is_not(None)).distinct()).scalars().all()
    finally:
        database.close()
        product.stop()
    assert (order.state, order.done, order.refused) == ("done", LETTERS, 0)
    assert tuple(made) == (LETTERS, LETTERS)
    assert ends == ["succeeded"]
    assert len(target.got) == LETTERS
    assert all(len(keys) == 1 for keys in target.keys.values()), "a repeat goes under its first key"


def _dead_letters(history: History, target: Target) -> str:
    """Their cause."""
    request = {
        "method": "POST",
        "url": f"http://127.0.0.1:{target.port}/one",
        "body_kind": "json",
        "body": [{"name": "order", "mapping": "{{trigger:$.order}}"}],
    }
    flow = history.flow("Orders", [{"kind": "http", "id": "s1", "repeat": "safe", "request": request}])
    cause = cause_of(flow, "s1", "invalid_payload", "127.0.0.1 422")
    for number in range(LETTERS):
        history.run(
            flow,
            "dead",
            payload={"order": number},
            cause=cause,
            position="s1",
            error_kind="invalid_payload",
            sentence="127.0.0.1 answered 422.",
        )
    return cause


def _is_over(database: Database, order_id: str) -> bool:
    with database.read() as db:
        left = select(func.count()).select_from(Run).where(Run.state.in_(OPEN_STATES))
        return not get_order(db, order_id).is_open and db.execute(left).scalar_one() == 0


def _wait(until: Callable[[], bool], what: str) -> None:
    limit = time.monotonic() + 120
    while not until():
        assert time.monotonic() < limit, what
        time.sleep(0.05)
