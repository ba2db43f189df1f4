"""A delivery from the door to the history, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.portable.files import from_text
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.history.runs import get_run, runs_page
from app.storage.tables.models import FINAL_STATES
from tests.fakes.handed import accept
from tests.fakes.service import FakeService

pytestmark = pytest.mark.postgres
SENT = 25
FLOW = """
name: Leads
trigger: {kind: webhook, dedupe: "$['id']"}
steps:
  - kind: http
    id: s1
    repeat: safe
    request:
      method: POST
      url: https://api.example.com/contacts
      body_kind: json
      body: [{name: email, mapping: "{{trigger:$['email']}}"}]
"""


@pytest.fixture
def parts(database: Database, tmp_path: Path) -> Iterator[Parts]:
    service = FakeService()
    service.answers("POST", "/contacts", {"id": 7})
    settings = Settings(data_dir=tmp_path, database_url=database.url, secret_key="5a" * 32, min_free_mb=10)
    opened = open_parts(settings, transport=service.transport)
    lifetime = Lifetime(opened)
    lifetime.start()
    yield opened
    lifetime.stop(5)


def test_what_is_accepted_is_run_once_and_found_in_the_history(parts: Parts) -> None:
    made = flow_commands.import_files(SHELL, parts, from_text(FLOW), on=True)[0]
    token = made.hook_url.rsplit("/", 1)[1]
    for number in [*range(SENT), 0, 1]:
        _deliver(parts, token, number)
    _wait_for_the_end(parts)
    with parts.database.read() as db:
        page = runs_page(db, flow_id=made.id, limit=200)
        detail = get_run(db, page.rows[0].id)
    assert [row.state for row in page.rows] == ["succeeded"] * SENT
    assert detail.event is not None
    assert orjson.loads(detail.event.payload)["id"] == SENT - 1
    (call,) = detail.calls["s1"]
    assert orjson.loads(call.request_body or b"") == {"email": f"p{SENT - 1}@example.com"}


def _deliver(parts: Parts, token: str, number: int) -> None:
    accept(
        parts.intake,
        token,
        method="POST",
        path_url=f"/hooks/{token}",
        query="",
        headers=[("Content-Type", "application/json")],
        body=orjson.dumps({"id": number, "email": f"p{number}@example.com"}),
        remote_addr="127.0.0.1",
    )


def _wait_for_the_end(parts: Parts) -> None:
    pause, until = threading.Event(), time.monotonic() + 90
    while time.monotonic() < until:
        with parts.database.read() as db:
            if all(row.state in FINAL_STATES for row in runs_page(db, limit=200).rows):
                return
        pause.wait(0.05)
    raise AssertionError("the runs do not end")


def test_migrating_twice_changes_nothing(database: Database) -> None:
    assert migrate(database) is False


def test_two_processes_may_migrate_at_once(database: Database, tmp_path: Path) -> None:
    """The second waits for the first, on either database."""
    url = database.url if not database.is_sqlite else f"sqlite:///{tmp_path / 'fresh.db'}"
    others = [Database(url) for _ in range(3)]

    async def all_at_once() -> list[bool]:
        for other in others:
            other.start()
        return await asyncio.gather(*(asyncio.to_thread(migrate, other) for other in others))

    outcomes = asyncio.run(all_at_once())
    for other in others:
        other.close()
    assert sum(outcomes) == (1 if database.is_sqlite else 0)
