"""One-time addresses: which run and step a service answers, told by a code that nobody can make up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

PURPOSE = "callbacks"
_TOKEN = re.compile(r"cb_([0-9a-z]{20})_([A-Za-z0-9_-]{22})", re.ASCII)
_CODE_BYTES = 16


def token_for(key: bytes, run_id: str, step_key: str) -> str:
    """The same for each attempt of a step, so that an answer to the first is an answer."""
    return f"cb_{run_id.removeprefix('run_')}_{_code(key, run_id, step_key)}"


def run_of(token: str) -> str | None:
    """None for what is no address of this kind."""
    found = _TOKEN.fullmatch(token)
    return f"run_{found[1]}" if found else None


def step_of(key: bytes, token: str, run_id: str, step_keys: Iterable[str]) -> str | None:
    """The step that the token was made for."""
    code = token.rpartition(f"{run_id.removeprefix('run_')}_")[2]
    fitting = [one for one in step_keys if hmac.compare_digest(_code(key, run_id, one), code)]
    return fitting[0] if fitting else None


def _code(key: bytes, run_id: str, step_key: str) -> str:
    digest = hmac.new(key, f"{run_id}:{step_key}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_CODE_BYTES]).decode().rstrip("=")
