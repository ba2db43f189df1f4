"""MailDev of npm's packages: takes every mail and shows what came."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.needs import missing
from tests.product import free_port
from tests.systems.processes import running, until

_PROGRAM = Path(__file__).parents[2] / "build" / "maildev" / "node_modules" / ".bin" / "maildev"


@dataclass(frozen=True)
class MailDev:
    smtp_port: int
    web_port: int

    def mails(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"http://127.0.0.1:{self.web_port}/email", trust_env=False, timeout=60)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found


@contextmanager
def maildev(folder: Path) -> Iterator[MailDev]:
    if not _PROGRAM.exists():
        missing("No MailDev here: run `make systems`, which installs it.")
    folder.mkdir(parents=True)
    server = MailDev(free_port(), free_port())
    ports = ["--web", str(server.web_port), "--smtp", str(server.smtp_port)]
    command = [str(_PROGRAM), *ports, "--ip", "127.0.0.1", "--web-ip", "127.0.0.1"]
    log = folder / "maildev.log"
    with running([*command, "--mail-directory", str(folder / "mails")], log):
        until(lambda: _answers(server), "MailDev did not answer", log)
        yield server


def _answers(server: MailDev) -> bool:
    try:
        return server.mails() == []
    except (httpx.TransportError, httpx.HTTPStatusError):
        return False
