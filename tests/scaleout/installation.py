"""A server, workers and schedulers as processes of their own, on one PostgreSQL."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from app.storage.database.db import with_driver
from tests.product import Product

PATIENCE_S = 240  # a limit, never a duration: several processes share a busy machine
KEY = "5a" * 32


class Background(Product):
    """`plumbline worker` or `plumbline scheduler`."""

    def __init__(self, folder: Path, settings: dict[str, str], role: str) -> None:
        super().__init__(folder, settings)
        self.words = (role,)

    def wait_until_ready(self) -> None:
        wait_until(lambda: "is ready." in self.log, f"the {self.words[0]} starts", lambda: self.log)

    def pause(self) -> None:
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)


class Installation:
    """`settings`: those of all its processes."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self.folder = folder
        self.url = url
        self._settings = {"database_url": url, "secret_key": KEY, **settings}
        self.web = Product(folder / "web", self._settings)
        self._others: list[Background] = []
        self._engine: Engine = create_engine(with_driver(url), poolclass=NullPool)

    def start(self, *, workers: int = 0, schedulers: int = 0) -> None:
        """All at once: those beside the server wait for it."""
        roles = ["worker"] * workers + ["scheduler"] * schedulers
        others = [self.add(role, ready=False) for role in roles]
        self.web.start()
        for one in others:
            one.wait_until_ready()

    def add(self, role: str, *, ready: bool = True) -> Background:
        """`ready`: wait until it says so."""
        one = Background(self.folder / f"{role}{len(self._others)}", self._settings, role)
        self._others.append(one)
        one.start(ready=False)
        if ready:
            one.wait_until_ready()
        return one

    def install(self, flow: bytes) -> str:
        """The address of the flow's hook, if it has one; it is published and on."""
        file = self.folder / "flow.json"
        file.write_bytes(flow)
        printed = self.web.command("flows", "import", str(file), "--publish", "--on", "--json")
        return str(orjson.loads(printed)[0]["hook_url"])

    def of(self, role: str) -> list[Background]:
        return [one for one in self._others if one.words == (role,)]

    def stop(self) -> None:
        for one in self._others:
            one.kill()
        self.web.kill()

    def ask(self, query: str, **given: Any) -> list[Any]:
        with self._engine.begin() as db:
            answer = db.execute(text(query), given)
            return list(answer) if answer.returns_rows else []

    def states(self) -> dict[str, int]:
        return {row[0]: row[1] for row in self.ask("SELECT state, count(*) FROM runs GROUP BY state")}

    def wait_for_the_end(self, runs: int) -> None:
        wait_until(lambda: self.states().get("succeeded", 0) >= runs, f"{runs} runs succeed", self.told)

    def told(self) -> str:
        """What there is to see when something did not come to pass."""
        logs = "\n".join(f"--- {one.words[0]}\n{one.log[-3000:]}" for one in [self.web, *self._others])
        return f"{self.states()}\n{logs}"


def wait_until(
    happened: Callable[[], bool], what: str, told: Callable[[], str], *, patience_s: float = PATIENCE_S
) -> None:
    pause, until = threading.Event(), time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < until, f"Waited in vain until {what}.\n{told()}"
        pause.wait(0.05)
