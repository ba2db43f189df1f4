"""One recorded call made fit to look at: a line that opens, a page, the bytes kept, a curl command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response

from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.history.detail import CallRow, get_call
from app.web.frame.hx import page
from app.web.runs import words as runs_words
from app.web.runs.bodies import ALL_CHARS, HIDDEN, ShownBody, content_type, header_pairs, show
from app.web.runs.words import StepName

_OWN_WORK = ("content-length", "host", "accept-encoding", "connection", "transfer-encoding")
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PLAIN_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallView:
    """`is_full`: with bodies; after many calls the rest are lines that lead to their own page."""

    call: CallRow
    host: str
    is_full: bool
    sent: ShownBody
    answer: ShownBody
    curl: str
    is_open: bool


def call_view(call: CallRow, *, is_full: bool, is_open: bool) -> CallView:
    return CallView(
        call=call,
        host=runs_words.host(call),
        is_full=is_full,
        sent=show(call.request_body if is_full else None, content_type(call.request_headers)),
        answer=show(
            call.answer_body if is_full else None, content_type(call.answer_headers), size=call.answer_size
        ),
        curl=as_curl(call) if is_full else "",
        is_open=is_open,
    )


def call_page(
    made_for: str, number: int, *, back: str, title: str, names: Mapping[str, StepName] | None = None
) -> Response:
    """`names`: of the steps, where the call was made for a run."""
    call = _found(made_for, number)
    return page(
        "runs/call.html",
        back=back,
        title=title,
        address=f"{back}/calls/{number}",
        call=call,
        at=(names or {}).get(runs_words.step_id(call.step_key)),
        curl=as_curl(call),
        sent=show(call.request_body, content_type(call.request_headers), most=ALL_CHARS),
        answer=show(
            call.answer_body, content_type(call.answer_headers), size=call.answer_size, most=ALL_CHARS
        ),
    )


def body_download(made_for: str, number: int, side: str) -> Response:
    """Exactly the bytes that are kept; never shown by the browser itself."""
    call = _found(made_for, number)
    body = call.request_body if side == "request" else call.answer_body
    if body is None:
        raise NotFound("There is no such body in the history.")
    return attachment(body, f"{made_for}-call-{number}-{side}.bin", "application/octet-stream")


def attachment(body: bytes, name: str, kind: str) -> Response:
    answer = Response(body, mimetype=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _found(made_for: str, number: int) -> CallRow:
    call = get_call(pages_db.session, made_for, number)
    if call is None:
        raise NotFound("This call is not in the history.", made_for=made_for)
    return call


def as_curl(call: CallRow) -> str:
    """Writes a call as a curl command whose secrets stay placeholders; '' for what is no HTTP call.  A body
    that is not text is left out, and the command says so."""
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
    """Quotes a text as one word of a shell.  Control characters, which could end a paste and run what
    follows, and marks that turn text around are written as escapes."""
    if not HIDDEN.search(text):
        return shlex.quote(text)

    def as_bytes(found: re.Match[str]) -> str:
        if found[0] == "\x00":  # cannot stand in an argument
            return ""
        return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "replace"))

    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return "$'" + HIDDEN.sub(as_bytes, escaped) + "'"
