"""Log lines: one per state change, `key=value`, ids first; never bodies or secrets."""

from __future__ import annotations

import logging
import sys

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


class _OneLine(logging.Formatter):
    """Escapes control characters, so that data can neither forge a line nor drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        first, *rest = text.split("\n")
        return "\n".join([first.translate(_CONTROL), *("  " + line.translate(_CONTROL) for line in rest)])


def set_up_logging(level: str) -> None:
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [stream]
    root.setLevel(level.upper())
    for noisy in ("apscheduler", "httpx", "httpcore", "asyncio", "alembic", "procrastinate"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def fields(**values: object) -> str:
    """`fields(run="run_1", state="dead")` -> `run=run_1 state=dead`."""
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
