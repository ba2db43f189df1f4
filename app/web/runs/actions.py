"""What a person does about runs: replay, cancel, decide on an unknown outcome, put a failure aside."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, request

from app.commands import runs
from app.commands.letters import MOST_CHOSEN, replay_chosen
from app.engine.replay import Mode, WhichVersion
from app.errors import FlowInvalid
from app.storage.database.db import pages_db
from app.storage.history.rows import get_row
from app.web.frame.context import parts, who
from app.web.frame.hx import redirect
from app.web.runs.words import counted

blueprint = Blueprint("runs_actions", __name__)


@blueprint.post("/runs/<run_id>/replay")
def replay_run(run_id: str) -> Response:
    version: WhichVersion = "current" if request.form.get("version") == "current" else "same"
    new_id = runs.replay(who(), parts(), run_id, mode=_mode(request.form.get("mode", "")), version=version)
    flash("Sent again: this is the new run.", "success")
    return redirect(f"/runs/{new_id}")


@blueprint.post("/runs/<run_id>/replay-alike")
def replay_alike(run_id: str) -> Response:
    """This run and all others that stopped for the same cause, the oldest first, a few at a time."""
    number = runs.replay_alike(who(), parts(), run_id)
    work_now()
    flash(f"{counted(number, 'run')} are sent again, a few at a time.", "success")
    return redirect("/dead-letters")


@blueprint.post("/runs/bulk")
def bulk() -> Response:
    """What is sent again is an order, which goes on after a stop of the server and shows how far it is."""
    ids = request.form.getlist("run")
    done = request.form.get("do", "")
    if not ids:
        flash("No run was selected.", "info")
        return redirect(_next())
    if len(ids) > MOST_CHOSEN:
        raise FlowInvalid(f"Select at most {MOST_CHOSEN:,} runs at a time.")
    if done == "settle":
        flash(f"{counted(runs.settle(who(), parts(), ids), 'run')} put aside.", "success")
        return redirect(_next())
    order_id = replay_chosen(who(), parts(), ids, mode=_mode(done))
    work_now()
    flash("They are sent again, a few at a time; this page shows how far it is.", "success")
    return redirect(f"/orders/{order_id}")


@blueprint.post("/runs/<run_id>/cancel")
def cancel(run_id: str) -> Response:
    if runs.cancel(who(), parts(), run_id):
        flash("Cancelled. What was already sent stays sent.", "success")
    else:
        flash("This run had already ended.", "info")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/go-ahead")
def go_ahead(run_id: str) -> Response:
    """It waits no longer for the earlier run of the same key."""
    runs.go_ahead(who(), parts(), run_id)
    flash("This run goes ahead; the earlier one goes on as before.", "success")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/try-now")
def try_now(run_id: str) -> Response:
    """The next try of a step that failed is not waited for."""
    if runs.try_now(who(), parts(), run_id):
        flash("It is tried now.", "success")
    else:
        flash("This run no longer waits for its next try.", "info")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/decide")
def decide(run_id: str) -> Response:
    answer = request.form.get("sent", "")
    if answer not in ("yes", "no"):
        raise FlowInvalid("Choose “It was sent” or “Send again”.")
    runs.decide_unknown(who(), parts(), run_id, was_sent=answer == "yes")
    flash("The run goes on." if answer == "yes" else "It is sent again.", "success")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/settle")
def put_aside(run_id: str) -> Response:
    runs.settle(who(), parts(), [get_row(pages_db.session, run_id).id])
    flash("Resolved. This run no longer counts as stopped.", "success")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/reopen")
def reopen(run_id: str) -> Response:
    runs.reopen(who(), parts(), run_id)
    return redirect(f"/runs/{run_id}")


def work_now() -> None:
    """Begins on what was just ordered, so that the page that follows shows it."""
    if parts().engine.is_started:
        parts().engine.work_orders()


def _mode(text: str) -> Mode:
    return "failed" if text == "failed" else "whole"


def _next() -> str:
    """Back to the list as it was; never to another website."""
    wanted = urlsplit(request.form.get("next", ""))
    is_ours = not wanted.scheme and not wanted.netloc and wanted.path == "/runs"
    return f"/runs?{wanted.query}" if is_ours and wanted.query else "/runs"
