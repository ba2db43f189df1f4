"""Foreign documents are read in a process of their own, with a limit on time and memory: one that is
made to hang or to swell ends there, and the server goes on."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.errors import ConnectorInvalid
from app.imports.apis.choices import Choices
from app.imports.apis.draft import Draft
from app.imports.apis.given import Given, choices_as_json, draft_from

MOST_S = 30
MOST_MEMORY = 768 * 1024 * 1024  # of addresses; what is really used stays far below
_ROOT = Path(__file__).parents[3]


def draft_fenced(given: Given, *, most_s: float = MOST_S) -> Draft:
    """As `draft_from`, in the other process.  Raises ConnectorInvalid."""
    words = json.dumps(_as_json(given)).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app.imports.apis.fenced"],
            input=words,
            capture_output=True,
            timeout=most_s,
            cwd=_ROOT,
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ},
            check=False,
        )
    except subprocess.TimeoutExpired as reason:
        raise ConnectorInvalid(
            f"it could not be read within {most_s:g} seconds.",
            file=given.file,
            remedy="Cut the document down to the operations you need.",
        ) from reason
    return _answer(done.stdout, given.file)


def _answer(output: bytes, file: str) -> Draft:
    try:
        found = json.loads(output)
    except ValueError as reason:
        raise ConnectorInvalid(
            "it needs more memory or time than a document may.",
            file=file,
            remedy="Cut the document down to the operations you need.",
        ) from reason
    if "refused" in found:
        raise ConnectorInvalid(**found["refused"])
    return Draft.from_json(found["draft"])


def _as_json(given: Given) -> dict[str, Any]:
    return {
        "content": base64.b64encode(given.content).decode(),
        "file": given.file,
        "today": given.today,
        "home": given.home,
        "others": {address: base64.b64encode(one).decode() for address, one in given.others.items()},
        "choices": choices_as_json(given.choices),
    }


def _main() -> None:
    """In the other process."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_S, MOST_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write
    told = json.loads(sys.stdin.buffer.read())
    given = Given(
        base64.b64decode(told["content"]),
        told["file"],
        told["today"],
        told["home"],
        {address: base64.b64decode(one) for address, one in told["others"].items()},
        Choices(**told["choices"]),
    )
    try:
        answer: dict[str, Any] = {"draft": draft_from(given).as_json()}
    except ConnectorInvalid as refused:
        answer = {"refused": _words(refused)}
    except (MemoryError, RecursionError):
        answer = {"refused": {"sentence": "it unfolds to more than can be read.", "file": given.file}}
    sys.stdout.write(json.dumps(answer))


def _words(refused: ConnectorInvalid) -> dict[str, str]:
    return {
        "sentence": refused.reason,
        "file": refused.file,
        "field": refused.field,
        "remedy": refused.remedy,
    }


if __name__ == "__main__":
    _main()
