"""The record of polls."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from app.storage.database.db import Database
from app.storage.flows import polls
from app.storage.tables.models import Call
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.postgres


def add(database: Database, clock: FakeClock, **more: Any) -> str:
    facts = {"flow_id": "flow_1", "state": "succeeded", "started_at": clock.now(), "finished_at": clock.now()}
    return database.write(lambda db: polls.add_poll(db, **{**facts, **more}))


def test_polls_are_listed_newest_first_and_page_by_page(database: Database, clock: FakeClock) -> None:
    ids = [add(database, clock, found=number) for number in range(5)]
    add(database, clock, flow_id="flow_2")
    with database.read() as db:
        first = polls.list_polls(db, "flow_1", limit=3)
        rest = polls.list_polls(db, "flow_1", limit=3, before=first[-1].id)
    assert [poll.id for poll in first + rest] == ids[::-1]


def test_a_poll_keeps_its_calls_in_order(database: Database, clock: FakeClock) -> None:
    poll_id = add(database, clock, state="failed", sentence="No answer.")
    call = {"connection_id": None, "idempotency_key": None, "method": "GET", "started_at": clock.now()}
    calls = [{**call, "url": f"https://a.example/{page}", "status": 200} for page in (1, 2)]
    database.write(lambda db: polls.add_calls(db, poll_id, calls))
    with database.read() as db:
        kept = db.execute(select(Call.number, Call.url, Call.step_key).where(Call.made_for == poll_id)).all()
    assert kept == [(1, "https://a.example/1", "trigger"), (2, "https://a.example/2", "trigger")]
