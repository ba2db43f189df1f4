"""What a process asks of the kernel, in the order in which it asks: read from strace."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"
_PATIENCE_S = 60
_WHOLE = re.compile(r"(?P<name>\w+)\((?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Asked:
    """`begun` and `ended` are places in the trace: what ended before another began came before it.
    `text` holds the arguments and what came back, with names in the place of descriptors."""

    name: str
    begun: int
    ended: int
    text: str


@contextmanager
def traced(pids: list[int], into: Path) -> Iterator[None]:
    """Every thread of the processes, from the moment this is entered."""
    command = ["strace", "-f", "-yy", "-s", "4200", "-e", f"trace={CALLS}", "-e", "signal=none"]
    tracer = subprocess.Popen(
        [*command, "-o", str(into), *(f"--attach={pid}" for pid in pids)],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    assert tracer.stderr is not None
    for _ in pids:
        said = tracer.stderr.readline()
        assert "attached" in said, said
    rest = threading.Thread(target=tracer.stderr.read, daemon=True)
    rest.start()
    try:
        yield
    finally:
        tracer.terminate()
        tracer.wait(_PATIENCE_S)
        rest.join(_PATIENCE_S)
        tracer.stderr.close()


def read(file: Path) -> list[Asked]:
    """In the order in which they began; calls that another thread interrupts in the trace are joined."""
    found: list[Asked] = []
    open_calls: dict[str, tuple[int, str, str]] = {}
    with file.open(errors="replace") as lines:
        for at, line in enumerate(lines):
            thread, _, what = line.rstrip("\n").partition(" ")
            what = what.strip()
            if (resumed := _RESUMED.match(what)) and thread in open_calls:
                begun, name, text = open_calls.pop(thread)
                found.append(Asked(name, begun, at, text + resumed["rest"]))
            elif whole := _WHOLE.match(what):
                if what.endswith("<unfinished ...>"):
                    open_calls[thread] = at, whole["name"], whole["rest"].removesuffix("<unfinished ...>")
                else:
                    found.append(Asked(whole["name"], at, at, whole["rest"]))
    return sorted(found, key=lambda asked: asked.begun)
