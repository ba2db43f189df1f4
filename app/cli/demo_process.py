"""The demo services as a process beside the server: started, watched, stopped."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import threading
from pathlib import Path

import click

from app.errors import SettingInvalid

_START_S = 20.0
_LONGEST_PAUSE_S = 60.0


class DemoProcess:
    """`port` None = the first free one of the usual ones.  The process itself says where it listens:
    whoever asked a port whether it is free could be answered by the services of somebody else."""

    def __init__(self, host: str, port: int | None, file: Path) -> None:
        self._host, self._file = host, file
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._process, self.port = self._launch(port)
        threading.Thread(target=self._watch, name="demo watch", daemon=True).start()

    def stop(self) -> None:
        with self._lock:
            self._ends.set()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _launch(self, port: int | None) -> tuple[subprocess.Popen[bytes], int]:
        words = ["demo", "--host", self._host, "--file", str(self._file), "--parent", str(os.getpid())]
        if port is not None:
            words += ["--port", str(port)]
        process = subprocess.Popen(  # noqa: S603 -- our own words, no shell
            [sys.executable, "-m", "app", *words],
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends Plumbline first, which then ends them
        )
        # Empty when the process ends or stays silent.
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        said = process.stdout.readline().decode("utf-8", "replace") if ready else ""
        if found := re.search(r"http://\S+:(\d+)", said):
            return process, int(found[1])
        process.kill()
        process.wait()
        raise SettingInvalid("The demo services do not start.", remedy="Start Plumbline without --demo.")

    def _watch(self) -> None:
        """Starts them again, on the same port and with what they kept, when they break off."""
        pause_s = 1.0
        while not self._ends.is_set():
            self._process.wait()
            if self._ends.is_set():
                return
            click.echo("The demo services have ended by themselves; they are started again.", err=True)
            if self._ends.wait(pause_s):
                return
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
            with self._lock, contextlib.suppress(SettingInvalid):
                if not self._ends.is_set():
                    self._process, _ = self._launch(self.port)
