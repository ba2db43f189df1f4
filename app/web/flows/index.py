"""The list of flows, and what is done to a flow as a whole: new, copies, files, versions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint, Response, flash, request

from app.commands import flows as commands
from app.errors import AppError, FlowInvalid, NotFound
from app.flows.portable.files import FileConnection, connection_ids, diff, from_text, to_text
from app.storage.connections.connections import list_connections
from app.storage.database.db import pages_db
from app.storage.flows.flows import (
    FlowRow,
    VersionRow,
    changed_drafts,
    get_flow,
    list_flows,
    list_versions,
)
from app.storage.history.counts import LastRun, counts_by_flow, last_runs
from app.storage.people.users import list_users
from app.web.builder.words import CardWords, trigger_words
from app.web.frame.context import parts, who, zone_name
from app.web.frame.hx import hx, page, redirect

blueprint = Blueprint("flows", __name__)

_LAST_RUNS = 12
_MOST_FLOWS_IN_A_FILE = 100
_STOPPED = ("failed", "dead")


@dataclass(frozen=True)
class FlowLine:
    """A flow in the list; `runs` are its newest, the oldest first."""

    flow: FlowRow
    trigger: CardWords
    has_changes: bool
    runs: list[LastRun]
    total: int
    stopped: int


@dataclass(frozen=True)
class VersionLine:
    """`changes`: in what it differs from the version before it."""

    version: VersionRow
    by: str
    changes: list[str]
    is_live: bool


@blueprint.get("/flows")
def index() -> Response:
    """Each flow with what it did in the last 24 hours."""
    pages_db.session.rollback()
    changed = changed_drafts(pages_db.session)
    counts = counts_by_flow(pages_db.session, since=parts().clock.now() - timedelta(days=1))
    runs = last_runs(pages_db.session, limit=_LAST_RUNS)
    lines = []
    for flow in list_flows(pages_db.session):
        of_flow = counts.get(flow.id, {})
        line = FlowLine(
            flow,
            trigger_words(flow.draft.trigger, parts().registry),
            has_changes=flow.id in changed,
            runs=runs.get(flow.id, []),
            total=sum(of_flow.values()),
            stopped=sum(of_flow.get(state, 0) for state in _STOPPED),
        )
        lines.append(line)
    return page("flows/index.html", lines=lines)


# --------------------------------------------------------------------------- new, copy, rename


@blueprint.post("/flows/new")
def new() -> Response:
    """One click: the flow is there and asks what starts it."""
    flow_id = commands.create(who(), parts(), name="New flow", time_zone=zone_name())
    return redirect(f"/flows/{flow_id}?choose=trigger")


@blueprint.post("/flows/<flow_id>/duplicate")
def duplicate(flow_id: str) -> Response:
    return redirect(f"/flows/{commands.copy(who(), parts(), flow_id)}")


@blueprint.post("/flows/<flow_id>/rename")
def rename_flow(flow_id: str) -> Response:
    commands.rename(who(), parts(), flow_id, request.form.get("name", ""))
    return redirect(f"/flows/{flow_id}" if request.form.get("back") == "editor" else "/flows")


@blueprint.post("/flows/<flow_id>/delete")
def delete(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    try:
        commands.delete(who(), parts(), flow_id)
    except FlowInvalid as reason:
        flash(f"{reason.sentence} {reason.remedy}", "error")
        return redirect("/flows")
    flash(f"“{flow.name}” is deleted. Its history stays under Runs.", "success")
    return redirect("/flows")


@blueprint.post("/flows/<flow_id>/on")
def switch(flow_id: str) -> Response:
    """The switch in the list."""
    wanted = request.form.get("on") == "1"
    flow = get_flow(pages_db.session, flow_id)
    if wanted and flow.live_version_id is None:
        flash(f"“{flow.name}” has to be published before it can be switched on.", "error")
        return redirect(f"/flows/{flow_id}/publish" if not hx() else "/flows")
    (commands.switch_on if wanted else commands.switch_off)(who(), parts(), flow_id)
    flash(f"“{flow.name}” is {'on' if wanted else 'off'}.", "success")
    return redirect("/flows")


# --------------------------------------------------------------------------------------- files


@blueprint.get("/flows/<flow_id>/export")
def export(flow_id: str) -> Response:
    """The draft; with `version`, that version."""
    flow = get_flow(pages_db.session, flow_id)
    definition = flow.draft
    if number := request.args.get("version", ""):
        definition = _version(flow_id, number).definition
    used = set(connection_ids(definition))
    rows = [row for row in list_connections(pages_db.session) if row.id in used]
    text = to_text(definition, {row.id: FileConnection(row.connector, row.name) for row in rows})
    answer = Response(text, mimetype="application/yaml")
    file = re.sub(r"[^a-z0-9]+", "-", flow.name.lower()).strip("-")[:60] or "flow"
    answer.headers["Content-Disposition"] = f'attachment; filename="{file}.yaml"'
    return answer


@blueprint.get("/flows/import")
def ask_import() -> Response:
    """One page takes the files of every tool, our own among them."""
    return redirect("/flows/bring")


@blueprint.post("/flows/import")
def import_file() -> Response:
    """All flows of a file, or none: an error names the file, the place and the reason."""
    upload = request.files.get("file")
    name = upload.filename or "" if upload else ""
    text = request.form.get("text", "")
    try:
        if upload and name:
            text = _decoded(upload.read())
        files = from_text(text, name or "the text")
        if len(files) > _MOST_FLOWS_IN_A_FILE:
            raise FlowInvalid(f"A file can hold at most {_MOST_FLOWS_IN_A_FILE} flows.", where=name)
    except AppError as reason:
        return page("flows/import.html", status=422, text=text, reason=reason)
    made = commands.import_files(who(), parts(), files)
    names = ", ".join(f"“{one.name}”" for one in made[:3])
    more = f" and {len(made) - 3} more" if len(made) > 3 else ""
    flash(f"Imported {names}{more} as a draft. Check the connections, then publish.", "success")
    return redirect(f"/flows/{made[0].id}" if len(made) == 1 else "/flows")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise FlowInvalid("This file is not a text file in UTF-8.") from reason


# ------------------------------------------------------------------------------------- versions


@blueprint.get("/flows/<flow_id>/versions")
def versions(flow_id: str) -> Response:
    pages_db.session.rollback()
    flow = get_flow(pages_db.session, flow_id)
    lines = _version_lines(flow)
    live = next((line.version.definition for line in lines if line.is_live), None)
    waiting = [] if live is None else diff(live, flow.draft)
    return page("flows/versions.html", flow=flow, lines=lines, waiting=waiting)


def _version_lines(flow: FlowRow) -> list[VersionLine]:
    """Version 0 is what single steps were tried with; it never was live."""
    found = [version for version in list_versions(pages_db.session, flow.id) if version.number > 0]
    names = {user.id: user.name for user in list_users(pages_db.session)}
    older = [*found[1:], None][: len(found)]
    return [
        VersionLine(
            version,
            names.get(version.created_by or "", ""),
            diff(before.definition, version.definition) if before else ["The first version."],
            version.id == flow.live_version_id,
        )
        for version, before in zip(found, older, strict=True)
    ]


def _version(flow_id: str, number: str) -> VersionRow:
    for version in list_versions(pages_db.session, flow_id):
        if str(version.number) == number and version.number > 0:
            return version
    raise NotFound("There is no such version of this flow.", flow=flow_id)


@blueprint.post("/flows/<flow_id>/versions/<number>/restore")
def restore(flow_id: str, number: str) -> Response:
    """An old version becomes the draft again; what is live stays live until the next publishing."""
    commands.restore_version(who(), parts(), flow_id, int(number) if number.isdecimal() else 0)
    flash(f"Version {number} is the draft now. Publish it to make it live.", "success")
    return redirect(f"/flows/{flow_id}")
