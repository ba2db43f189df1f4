"""Flows → Bring a flow: files of n8n, Make or Plumbline become drafts, and what stayed behind is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from app.commands.flows import Imported, import_drafts
from app.errors import AppError, FlowInvalid
from app.imports.flows.reading import LIMIT_SIZE, TITLES, bring_flows
from app.imports.flows.report import LeftOut
from app.web.frame.context import parts, who, zone_name
from app.web.frame.hx import page

blueprint = Blueprint("bring_flows", __name__)

MOST_FILES = 20
_MOST_LINES = 300


@dataclass
class Result:
    """One file: what was made of it, or why nothing was."""

    file: str
    tool: str = ""
    flows: list[Imported] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    lines: list[LeftOut] = field(default_factory=list)
    more: int = 0
    reason: AppError | None = None


@blueprint.get("/flows/bring")
def ask() -> Response:
    return page("imports/ask.html", text="", reason=None)


@blueprint.post("/flows/bring")
def bring() -> Response:
    """Each file by itself: one that cannot be read keeps no other from coming in."""
    text = request.form.get("text", "")
    try:
        results = [_result(name, body) for name, body in _given(text)]
    except AppError as reason:
        return page("imports/ask.html", status=422, text=text, reason=reason)
    if len(results) == 1 and results[0].reason is not None:
        return page("imports/ask.html", status=422, text=text, reason=results[0].reason)
    return page("imports/report.html", results=results)


def _given(text: str) -> list[tuple[str, str | FileStorage]]:
    files = [file for file in request.files.getlist("file") if file.filename]
    given: list[tuple[str, str | FileStorage]] = [(file.filename or "", file) for file in files]
    if text.strip():
        given.append(("the text", text))
    if not given:
        raise FlowInvalid("There is no file and no text yet.", remedy="Choose a file, or paste its text.")
    if len(given) > MOST_FILES:
        raise FlowInvalid(f"At most {MOST_FILES} files come in at once; these are {len(given)}.")
    return given


def _result(name: str, body: str | FileStorage) -> Result:
    try:
        text = body if isinstance(body, str) else _decoded(body, name)
        brought = bring_flows(text, parts().registry, file=name, time_zone=zone_name())
        made = import_drafts(who(), parts(), brought.drafts)
    except AppError as reason:
        return Result(name, reason=reason)
    counts = {key: value for key, value in brought.report.as_json().items() if isinstance(value, int)}
    lines = list(dict.fromkeys(brought.report.lines))
    return Result(name, TITLES[brought.tool], made, counts, lines[:_MOST_LINES], len(lines[_MOST_LINES:]))


def _decoded(file: FileStorage, name: str) -> str:
    body: bytes = file.read(LIMIT_SIZE * 4 + 1)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise FlowInvalid("this is not a text file in UTF-8.", where=name) from reason
