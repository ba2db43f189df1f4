"""The real product as a process of its own, for tests that look at it from outside."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
from playwright.sync_api import Page

from app.storage.database.db import Database
from app.storage.people import users
from app.storage.people.passwords import hash_password

EMAIL, PASSWORD = "ada@example.com", "a long enough password"
_PATIENCE_S = 240  # a limit, never a duration: a busy machine is slow


_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_PORTS = range(10_200 + 1_400 * _WORKER, 11_600 + 1_400 * _WORKER)  # each test process has its own
_given: set[int] = set()


def free_port() -> int:
    """None of those that systems give out by themselves: there somebody else might get it before the
    server does, or while the server is down."""
    for port in random.sample(_PORTS, 500):
        with contextlib.closing(socket.socket()) as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError(f"No port from {_PORTS[0]} to {_PORTS[-1]} is free.")


_hashed = functools.cache(hash_password)


class Product:
    """One data folder and one port; may be stopped, killed and started again on them."""

    words: tuple[str, ...] = ("serve",)

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.data_dir = folder / "data"
        self._settings = settings or {}
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
        own = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "data_dir": str(self.data_dir),
            "min_free_mb": "10",
        }
        return kept | {f"PLUMBLINE_{name.upper()}": value for name, value in (own | self._settings).items()}

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def pids(self) -> list[int]:
        """The process that was started, and what it forked."""
        return [self.pid, *_children(self.pid)]

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def command(self, *arguments: str, expect: int = 0, **settings: str) -> str:
        """What `plumbline …` prints, run on this product's data; with `expect`, what it complains of."""
        other = {f"PLUMBLINE_{name.upper()}": value for name, value in settings.items()}
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            env=self.environment | other,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if expect == 0 else done.stderr

    def start(self, *, ready: bool = True) -> None:
        """`ready`: wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", *self.words],
                env=self.environment,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if ready:
            self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise AssertionError(f"The server ended at once:\n{self.log}")
            with contextlib.suppress(httpx.TransportError):
                httpx.get(self.base_url + "/login", trust_env=False, timeout=30)
                return
            time.sleep(0.05)
        raise AssertionError(f"The server does not answer:\n{self.log}")

    def stop(self) -> int:
        """As Ctrl-C or a service manager does; gives the exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a power cut does, for this process and all it started."""
        self._end(signal.SIGKILL)

    def kill_first(self) -> None:
        """As a lack of memory may: the process that was started, but not what it forked."""
        os.kill(self.pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(_PATIENCE_S)
        self._process = None

    def kill_door(self) -> None:
        """The process that takes deliveries; the other goes on."""
        for pid in self.pids[1:]:
            os.kill(pid, signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, how)
        try:
            code = self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            code = self._process.wait()
        self._process = None
        return code

    def add_user(self, email: str = EMAIL, password: str = PASSWORD, *, role: str = "admin") -> None:
        """Straight into the database: `plumbline users add`, a process of its own, is tested by itself."""
        database = Database(
            self._settings.get("database_url") or f"sqlite:///{self.data_dir / 'plumbline.db'}"
        )
        database.start()
        try:
            kept, now = _hashed(password), datetime.now(UTC)
            database.write(
                lambda db: users.create_user(
                    db, email=email, name=email, password_hash=kept, role=role, now=now
                )
            )
        finally:
            database.close(fold=False)

    @contextlib.contextmanager
    def signed_in(self) -> Iterator[httpx.Client]:
        """Somebody with every right, without a browser."""
        self.add_user()
        headers = {"Referer": self.base_url}
        with httpx.Client(
            base_url=self.base_url, headers=headers, trust_env=False, timeout=_PATIENCE_S
        ) as client:
            token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/login").text)
            assert token is not None
            form = {"csrf_token": token[1], "email": EMAIL, "password": PASSWORD}
            assert client.post("/login", data=form).status_code in (302, 303)
            yield client

    def sign_in(self, page: Page, email: str = EMAIL, password: str = PASSWORD) -> None:
        self.add_user(email, password)
        page.goto(self.base_url + "/login")
        page.locator("input[type=email]").fill(email)
        page.locator("input[type=password]").fill(password)
        page.locator("form[method=post] button[type=submit]").first.click()
        page.wait_for_url(lambda url: not url.endswith("/login"))


def _children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            of, _, rest = status.read_text().rpartition(")")
            state, parent = rest.split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(of.split()[0]))
    return sorted(found)
