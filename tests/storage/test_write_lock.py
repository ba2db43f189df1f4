"""Two processes of one server that write to the same file take turns, and neither waits for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.storage.database.write_lock import WriteLock

_TAKES_TURNS = """
import sys
from pathlib import Path
from app.storage.database.write_lock import WriteLock
lock, name, times = WriteLock(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    with lock, open(sys.argv[1] + "/order", "a") as order:
        order.write(name + "(")
        order.flush()
        order.write(")")
print("done", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def others(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _TAKES_TURNS, str(tmp_path), name, "200"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    yield started
    for one in started:
        one.kill()
        one.communicate()


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_nobody_is_interrupted_and_everybody_comes_to_the_end(
    others: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    lock = WriteLock(tmp_path)
    with lock:  # both stand in line when it begins
        for one in others:
            assert hear(one) == "ready"
            say(one)
    lock.close()
    assert [hear(one) for one in others] == ["done", "done"]
    order = (tmp_path / "order").read_text()
    assert order.count("a()") == order.count("b()") == 200
    assert len(order) == 400 * len("a()")


def test_a_process_that_is_killed_in_its_turn_loses_it(tmp_path: Path) -> None:
    holds = "import sys; from pathlib import Path; from app.storage.database.write_lock import WriteLock\n"
    holds += "with WriteLock(Path(sys.argv[1])):\n    print('mine', flush=True)\n    sys.stdin.readline()"
    with subprocess.Popen(
        [sys.executable, "-c", holds, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert hear(other) == "mine"
        os.kill(other.pid, signal.SIGKILL)
        lock = WriteLock(tmp_path)
        with lock:
            pass
        lock.close()
