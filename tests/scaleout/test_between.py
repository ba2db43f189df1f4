"""What one process does is seen by the others: a cancelled run, a run's history while it is performed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from app.commands import flows as flow_commands
from app.commands.runs import cancel
from app.commands.who import SHELL
from app.flows.portable.files import from_text
from app.intake.manual import start_run
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.history.runs import get_run
from tests.fakes.people import ANA
from tests.scaleout.installation import KEY, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]

FLOW = """
name: Two calls
trigger: {kind: webhook}
steps:
  - {kind: http, id: s1, repeat: safe, request: {method: POST, url: "https://api.example.com/one"}}
  - {kind: http, id: s2, repeat: safe, request: {method: POST, url: "https://api.example.com/two"}}
"""


class Service(httpx.AsyncBaseTransport):
    """Answers the first call only when it may."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        await asyncio.to_thread(self.may_answer.wait, 60)
        return httpx.Response(200, content=orjson.dumps({"ok": True}))


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.may_answer.set()


@pytest.fixture
def web_and_worker(shared_url: str, tmp_path: Path, service: Service) -> Iterator[tuple[Parts, Parts]]:
    settings = Settings(data_dir=tmp_path, database_url=shared_url, secret_key=KEY, min_free_mb=1)
    opened = [open_parts(settings, transport=service, roles=frozenset((role,))) for role in ("web", "worker")]
    lifetimes = [Lifetime(one) for one in opened]
    for one in lifetimes:
        one.start()
    yield opened[0], opened[1]
    service.may_answer.set()
    for one in reversed(lifetimes):
        one.stop(5)


def _state(parts: Parts, run_id: str) -> str:
    with parts.database.read() as db:
        return get_run(db, run_id).run.state


def test_a_run_cancelled_in_the_server_makes_no_further_call_in_the_worker(
    web_and_worker: tuple[Parts, Parts], service: Service
) -> None:
    web, worker = web_and_worker
    flow = flow_commands.import_files(SHELL, web, from_text(FLOW), on=True)[0]
    run_id = start_run(web, flow.id, {"order": 1})
    wait_until(lambda: service.asked == ["/one"], "the worker sends", lambda: _state(web, run_id))
    assert _state(web, run_id) == "running"  # as the page of the run shows it meanwhile
    assert cancel(ANA, web, run_id)
    wait_until(
        lambda: (ctx := worker.engine.runs.active.get(run_id)) is not None and ctx.cancelled,
        "the worker hears of it",
        lambda: str(worker.engine.runs.active),
    )
    service.may_answer.set()
    wait_until(lambda: not worker.engine.runs.active, "it comes to rest", lambda: _state(web, run_id))
    assert service.asked == ["/one"]
    assert _state(web, run_id) == "cancelled"


def test_a_run_that_the_server_starts_is_performed_by_the_worker_and_read_by_both(
    web_and_worker: tuple[Parts, Parts], service: Service
) -> None:
    web, _ = web_and_worker
    service.may_answer.set()
    flow = flow_commands.import_files(SHELL, web, from_text(FLOW), on=True)[0]
    run_id = start_run(web, flow.id, {"order": 1})
    wait_until(lambda: _state(web, run_id) == "succeeded", "it ends", lambda: _state(web, run_id))
    assert service.asked == ["/one", "/two"]
    assert web.engine.backlog() == 0
