"""What a person does about runs: replay, cancel, decide on an unknown outcome, put a failure aside."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.engine.dead_letters import MOST_CHOSEN, resend_chosen
from app.engine.replay import decide_unknown, replay
from app.errors import FlowInvalid
from app.storage.database.db import pages_db
from app.storage.history.rows import get_row, same_cause, settle, stopped_of, unsettle
from app.storage.letters.dead_letters import take_back
from app.storage.people import audit
from app.web.frame.context import me, my_id, parts
from app.web.frame.hx import redirect
from app.web.runs.bodies import one_line
from app.web.runs.words import counted

blueprint = Blueprint("runs_actions", __name__)

_MOST_ALIKE = 500
Mode = Literal["whole", "failed"]
Version = Literal["same", "current"]


@blueprint.post("/runs/<run_id>/replay")
def replay_run(run_id: str) -> Response:
    new_id = _replay(run_id, _mode(request.form.get("mode", "")), _version(request.form.get("version", "")))
    flash("Replayed: this is the new run.", "success")
    return redirect(f"/runs/{new_id}")


@blueprint.post("/runs/<run_id>/replay-alike")
def replay_alike(run_id: str) -> Response:
    """This run and all others that stopped for the same cause, the oldest first, a few at a time."""
    run = get_row(pages_db.session, run_id)
    ids = sorted([run.id, *same_cause(pages_db.session, run, limit=_MOST_ALIKE - 1)])
    mode: Mode = "failed" if run.position else "whole"
    resend_chosen(parts().database, parts().clock, ids, mode=mode, by=my_id())
    if parts().engine.is_started:
        parts().engine.work_orders()
    flash(f"{counted(len(ids), 'run')} are sent again, a few at a time.", "success")
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
        _settle(stopped := stopped_of(pages_db.session, ids))
        flash(f"{counted(len(stopped), 'run')} put aside.", "success")
        return redirect(_next())
    order_id = resend_chosen(parts().database, parts().clock, ids, mode=_mode(done), by=my_id())
    if parts().engine.is_started:
        parts().engine.work_orders()
    flash("They are sent again, a few at a time; this page shows how far it is.", "success")
    return redirect(f"/orders/{order_id}")


@blueprint.post("/runs/<run_id>/cancel")
def cancel(run_id: str) -> Response:
    run = get_row(pages_db.session, run_id)
    who = me()
    name = one_line(who.name or who.email, 60) if who else "somebody"
    if parts().engine.cancel(run.id, f"Cancelled by {name}; nothing more was sent."):
        _record("cancelled", run.id)
        flash("Cancelled. What was already sent stays sent.", "success")
    else:
        flash("This run had already ended.", "info")
    return redirect(f"/runs/{run.id}")


@blueprint.post("/runs/<run_id>/go-ahead")
def go_ahead(run_id: str) -> Response:
    """It waits no longer for the earlier run of the same key."""
    run = get_row(pages_db.session, run_id)
    parts().engine.go_ahead(run.id)
    _record("let go ahead", run.id)
    flash("This run goes ahead; the earlier one goes on as before.", "success")
    return redirect(f"/runs/{run.id}")


@blueprint.post("/runs/<run_id>/try-now")
def try_now(run_id: str) -> Response:
    """The next try of a step that failed is not waited for."""
    run = get_row(pages_db.session, run_id)
    if parts().engine.try_now(run.id):
        _record("tried at once", run.id)
        flash("It is tried now.", "success")
    else:
        flash("This run no longer waits for its next try.", "info")
    return redirect(f"/runs/{run.id}")


@blueprint.post("/runs/<run_id>/decide")
def decide(run_id: str) -> Response:
    answer = request.form.get("sent", "")
    if answer not in ("yes", "no"):
        raise FlowInvalid("Choose “It was sent” or “Send again”.")
    run = get_row(pages_db.session, run_id)
    engine = parts().engine
    decide_unknown(parts().database, engine.dispatcher, run.id, was_sent=answer == "yes")
    _record("decided that it was sent" if answer == "yes" else "had it sent again", run.id)
    flash("The run goes on." if answer == "yes" else "It is sent again.", "success")
    return redirect(f"/runs/{run.id}")


@blueprint.post("/runs/<run_id>/settle")
def put_aside(run_id: str) -> Response:
    _settle([get_row(pages_db.session, run_id).id])
    flash("This run needs nothing more.", "success")
    return redirect(f"/runs/{run_id}")


@blueprint.post("/runs/<run_id>/reopen")
def reopen(run_id: str) -> Response:
    run = get_row(pages_db.session, run_id)

    def work(db: Connection) -> None:
        unsettle(db, run.id)
        take_back(db, run.id)

    parts().database.write(work)
    _record("took up again", run.id)
    return redirect(f"/runs/{run.id}")


def _replay(run_id: str, mode: Mode, version: Version = "same") -> str:
    known = parts()
    new_id = replay(
        *(known.database, known.engine.dispatcher, known.clock, run_id),
        mode=mode,
        version=version,
        by=my_id(),
    )
    _record("replayed", run_id, {"as": new_id, "mode": mode, "version": version})
    return new_id


def _settle(ids: list[str]) -> None:
    """With who did it, in one go."""
    now, by = parts().clock.now(), my_id()

    def work(db: Connection) -> None:
        settle(db, ids, now=now)
        for run_id in ids:
            audit.record(db, now=now, user_id=by, action="put aside", noun="run", noun_id=run_id)

    parts().database.write(work)


def _record(action: str, run_id: str, detail: object = None) -> None:
    now, by = parts().clock.now(), my_id()
    parts().database.write(
        lambda db: audit.record(
            db, now=now, user_id=by, action=action, noun="run", noun_id=run_id, detail=detail
        )
    )


def _mode(text: str) -> Mode:
    return "failed" if text == "failed" else "whole"


def _version(text: str) -> Version:
    return "current" if text == "current" else "same"


def _next() -> str:
    """Back to the list as it was; never to another website."""
    wanted = urlsplit(request.form.get("next", ""))
    is_ours = not wanted.scheme and not wanted.netloc and wanted.path == "/runs"
    return f"/runs?{wanted.query}" if is_ours and wanted.query else "/runs"
