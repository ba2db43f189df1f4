"""Two schedulers: one ticks, the other takes its place when it is killed, and nothing comes twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest

from tests.scaleout.installation import Background, Installation, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(1200)]

RECORDS = 12
Install = Callable[..., Installation]


class Source:
    """Answers with a list of records; `hold` makes it wait in the middle of an answer."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.asked = 0
        self.go_on = threading.Event()
        self.go_on.set()
        source = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                source.asked += 1
                body = orjson.dumps(source.records)
                source.go_on.wait(60)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def source() -> Iterator[Source]:
    one = Source()
    yield one
    one.close()


def _poll_flow(port: int) -> bytes:
    trigger = {
        "kind": "poll",
        "every_s": 60,
        "request": {"method": "GET", "url": f"http://127.0.0.1:{port}/records"},
        "dedupe": "$['id']",
    }
    steps = [{"kind": "delay", "id": "wait", "mode": "for", "amount": "1", "unit": "seconds"}]
    return orjson.dumps({"format": 1, "name": "Records", "trigger": trigger, "steps": steps})


def _leads(one: Background) -> bool:
    return "event=leads\n" in one.log


def _make_due(one: Installation) -> None:
    one.ask("UPDATE triggers SET next_due_at = :now", now=int(time.time() * 1000))


def test_the_other_scheduler_ticks_soon_and_no_record_comes_twice(install: Install, source: Source) -> None:
    installation = install(allow_targets=f"127.0.0.1:{source.port}")
    installation.start(schedulers=2, workers=1)
    first, second = installation.of("scheduler")
    wait_until(lambda: _leads(first) or _leads(second), "one leads", installation.told)
    leader, other = (first, second) if _leads(first) else (second, first)
    installation.install(_poll_flow(source.port))
    wait_until(
        lambda: bool(installation.ask("SELECT 1 FROM triggers WHERE seeded_at IS NOT NULL")),
        "the first look has seeded",
        installation.told,
    )
    source.records = [{"id": number} for number in range(RECORDS)]
    source.go_on.clear()
    asked = source.asked
    _make_due(installation)
    wait_until(lambda: source.asked > asked, "the leader looks", installation.told)
    leader.kill()
    killed = time.monotonic()
    wait_until(lambda: _leads(other), "the other leads", installation.told)
    wait_until(lambda: source.asked > asked + 1, "the new leader looks again", installation.told)
    print(f"the next tick came {time.monotonic() - killed:.2f} s after the leader was killed")
    source.go_on.set()
    installation.wait_for_the_end(RECORDS)
    _make_due(installation)
    wait_until(lambda: source.asked > asked + 2, "it looks on", installation.told)
    keys = installation.ask("SELECT dedupe_key, count(*) FROM events GROUP BY 1")
    assert sorted(keys) == sorted((f"poll:{number}", 1) for number in range(RECORDS))
