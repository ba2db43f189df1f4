"""A recorded call as a curl command that is safe to paste; secrets stay placeholders."""

from __future__ import annotations

import re
import shlex

from app.storage.history.detail import CallRow
from app.web.runs.bodies import HIDDEN, header_pairs

_OWN_WORK = ("content-length", "host", "accept-encoding", "connection", "transfer-encoding")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLAIN_URL = re.compile(r"https?://", re.IGNORECASE)


def as_curl(call: CallRow) -> str:
    """'' for what is no HTTP call.  A body that is no text is left out, which the command says."""
    if not _PLAIN_URL.match(call.url):
        return ""
    parts = [f"curl --globoff --request {quoted(call.method)}", f"--url {quoted(call.url)}"]
    for name, value in header_pairs(call.request_headers):
        if name.lower() not in _OWN_WORK and _NAME.fullmatch(name):
            parts.append(f"--header {quoted(f'{name}: {value}')}")
    if call.request_body:
        try:
            parts.append(f"--data-raw {quoted(call.request_body.decode())}")
        except UnicodeDecodeError:
            parts.append("--data-binary @body-that-is-not-text")
    return " \\\n  ".join(parts)


def quoted(text: str) -> str:
    """One word of a shell.  Control characters, which could end a paste and run what follows, and
    marks that turn text around are written as escapes."""
    if not HIDDEN.search(text):
        return shlex.quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "$'" + HIDDEN.sub(_escape, escaped) + "'"


def _escape(found: re.Match[str]) -> str:
    """As its bytes in UTF-8; NUL cannot stand in an argument and is left out."""
    return (
        ""
        if found[0] == "\x00"
        else "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "replace"))
    )
