"""The product as a process of its own: started, asked, really killed, started again."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
READY_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ServerProcess:
    """`plumbline serve` on a free port.  `setup_link`: for making the owner's account."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = settings
        self.setup_link: str | None = None
        self._process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PLUMBLINE_")}
        own = {"PLUMBLINE_PORT": str(self.port), "PLUMBLINE_DATA_DIR": str(self.data_dir)}
        given = {f"PLUMBLINE_{name.upper()}": value for name, value in self.settings.items()}
        return {**kept, **own, **given}

    def start(self) -> None:
        """Returns when it says that it is ready."""
        log = (self.data_dir / "server.log").open("a")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"],
            env=self.environment,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        self._read_greeting()

    def _read_greeting(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if (found := re.search(r"(http://\S+/setup/\S+)", line)) is not None:
                self.setup_link = found[1]
            if "is ready" in line:
                self._wait_for_port()
                return
        raise AssertionError((self.data_dir / "server.log").read_text()[-3000:])

    def _wait_for_port(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
        raise AssertionError("the server does not listen")

    def kill(self) -> None:
        """As a power cut does it: no warning, all of it at once."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close_pipe()

    def stop(self) -> int:
        """SIGTERM, and wait for the clean end; its exit code."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(30)
        self._close_pipe()
        return code

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()

    def command(self, *words: str) -> Any:
        """Run `plumbline …` over the same data folder; what it prints, as JSON where it is JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "app", *words],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        try:
            return orjson.loads(done.stdout)
        except orjson.JSONDecodeError:
            return done.stdout
