"""Plumbline and the demo services in one process: calls go straight into the services, and their
webhooks straight to the door of the intake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from flask import Flask

from app.commands import flows as flow_commands
from app.commands.runs import replay
from app.commands.who import SHELL
from app.errors import DeliveryRefused
from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.flows import flows
from app.storage.history.detail import RunDetail, get_run
from app.storage.history.runs import runs_page
from seed_data.load import load_demo
from seed_data.services.process import create_services
from seed_data.services.shared import Services
from seed_data.services.shelf import Thing
from tests.fakes.clock import FakeClock
from tests.fakes.handed import accept, poll_now
from tests.fakes.people import ANA

DEMO_URL = "http://127.0.0.1:8090"


class Everything:
    """The demo, loaded; what a visitor does on the services' pages, and what comes of it."""

    def __init__(self, folder: Path) -> None:
        self.demo: Flask = create_services(transport=httpx.MockTransport(self._knock))
        self.services: Services = self.demo.extensions["services"]
        self.clock = FakeClock(datetime.now(UTC))  # the services sign with the real time
        settings = Settings(data_dir=folder, secret_key="5a" * 32, min_free_mb=10, demo_url=DEMO_URL)
        self.parts: Parts = open_parts(settings, clock=self.clock, transport=httpx.MockTransport(self._serve))
        self.parts.engine.start()
        load_demo(self.parts, client=httpx.Client(transport=httpx.MockTransport(self._serve)))
        self.calls: list[str] = []

    def close(self) -> None:
        self.parts.engine.stop(2)
        self.parts.database.close()
        self.services.shelf.close()

    # ------------------------------------------------------------------------ the wires between

    def _serve(self, request: httpx.Request) -> httpx.Response:
        """A call of Plumbline's, answered by the services."""
        path = request.url.raw_path.decode()
        if hasattr(self, "calls"):
            self.calls.append(f"{request.method} {path}")
        headers = [(name, value) for name, value in request.headers.items() if name != "content-length"]
        answer = self.demo.test_client().open(
            path, method=request.method, data=request.content, headers=headers
        )
        return httpx.Response(answer.status_code, headers=list(answer.headers), content=answer.data)

    def _knock(self, request: httpx.Request) -> httpx.Response:
        """A webhook of the services, taken in by Plumbline."""
        try:
            accepted = accept(
                self.parts.intake,
                request.url.path.rpartition("/")[2],
                method=request.method,
                path_url=request.url.path,
                query=request.url.query.decode(),
                headers=list(request.headers.items()),
                body=request.content,
                remote_addr="127.0.0.1",
            )
        except DeliveryRefused as reason:
            return httpx.Response(reason.status, text=reason.sentence)
        return httpx.Response(accepted.status)

    # ---------------------------------------------------------------------------- what is done

    def post(self, path: str, **form: Any) -> None:
        """Somebody sends a form of the services' pages; webhooks go out and runs go as far as they can."""
        assert self.demo.test_client().post(path, data=form).status_code == 302
        self.services.outbox.send_due(0)
        self.settle()

    def deliver(self, name: str, document: Any, headers: dict[str, str]) -> int:
        """Somebody who knows the flow's address sends there; the status of the answer."""
        address = flow_commands.create_address(SHELL, self.parts, self.flow_id(name))
        answer = self._knock(httpx.Request("POST", address, json=document, headers=headers))
        self.settle()
        return answer.status_code

    def poll(self, name: str) -> int:
        """Look at once; how many new records there were."""
        looked = poll_now(self.parts, self.parts.engine, self.flow_id(name))
        assert looked.state == "succeeded", looked.sentence
        self.settle()
        return looked.new

    def send_failed_again(self, run_id: str) -> None:
        replay(ANA, self.parts, run_id, mode="failed")
        self.settle()

    def settle(self) -> None:
        """Until nothing is queued or under way."""
        self.parts.engine.spawn(self._until_quiet()).result(120)

    async def _until_quiet(self) -> None:
        dispatcher = self.parts.engine.dispatcher
        await asyncio.sleep(0)
        while dispatcher.backlog() or dispatcher.under_way():
            await asyncio.sleep(0)

    # ---------------------------------------------------------------------------- what came of it

    def flow_id(self, name: str) -> str:
        with self.parts.database.read() as db:
            return next(row.id for row in flows.list_flows(db) if row.name == name)

    def runs(self) -> list[RunDetail]:
        """The newest first."""
        with self.parts.database.read() as db:
            return [get_run(db, row.id) for row in runs_page(db).rows]

    def kept(self, kind: str) -> list[Thing]:
        """What a service has of it, the newest first."""
        return self.services.shelf.newest(kind)

    def contact(self, email: str) -> Thing:
        found = self.services.shelf.get("crm.contact", email)
        assert found is not None, self.kept("crm.contact")
        return found


@contextmanager
def everything(folder: Path) -> Iterator[Everything]:
    opened = Everything(folder)
    try:
        yield opened
    finally:
        opened.close()
