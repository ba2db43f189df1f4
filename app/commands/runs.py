"""What a person does about runs: send again, decide, settle, cancel one or all that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from sqlalchemy import Connection

from app.changes import RunCancelled
from app.commands.letters import replay_chosen
from app.commands.who import Who
from app.engine.dispatch.tickets import RunTicket
from app.engine.replay import Mode, ReplayWay, WhichVersion, decide, run_again
from app.errors import DeliveryRefused, FlowInvalid
from app.ids import new_id
from app.intake.deliveries.bodies import read_body
from app.parts import Parts
from app.storage.cluster.messages import announce
from app.storage.database.executor import Executor
from app.storage.history import progress
from app.storage.history.progress import OpenRun
from app.storage.history.resends import changes, payload_of
from app.storage.history.rows import RunRow, clean, get_row, same_cause, stopped_of, unsettle
from app.storage.history.rows import settle as settle_rows
from app.storage.history.runs import count_by_reason
from app.storage.history.turns import step_out
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import take_back
from app.storage.people import audit

WAITING = ("queued", "waiting")
MOST_EDITED = 1_000_000  # characters: a form is no place for more
_MOST_ALIKE = 500


# -------------------------------------------------------------------------------- sent again


@dataclass(frozen=True, slots=True)
class Replayed:
    """`changed`: the paths of the values that somebody edited."""

    run_id: str
    changed: tuple[str, ...] = ()


def replay(
    who: Who, parts: Parts, run_id: str, *, mode: Mode = "whole", version: WhichVersion = "same"
) -> str:
    """Runs the same event again as a new run, and settles the failure it was made from; returns the id of
    the new run.  Raises NotAllowed, NotFound, and FlowInvalid while the run is under way."""
    who.must("runs")
    return _run_again(who, parts, run_id, ReplayWay(mode, version, who.id), "replayed", {"mode": mode})


def edit_and_replay(
    who: Who, parts: Parts, run_id: str, text: str, *, mode: Mode, version: WhichVersion
) -> Replayed:
    """Sends a run again with its event's data as a person edited them; the original stays as it was.  A run
    that stopped at no step begins anew whatever `mode` says.  Raises NotAllowed, NotFound, FlowInvalid while
    the run is under way, and DeliveryRefused for a text that is not a JSON document."""
    who.must("runs")
    with parts.database.read() as db:
        run = get_ended(db, run_id)
        before = payload_of(db, run)
    if len(text) > MOST_EDITED:
        raise DeliveryRefused(f"This is longer than {MOST_EDITED:,} characters.", status=413)
    if not text.strip():
        raise DeliveryRefused("The data are empty. Write {} for an event without data.")
    edited = read_body(text.encode("utf-8", "replace"), "application/json").raw
    changed = tuple(one.path for one in changes(before, edited))
    way = ReplayWay(mode if run.position else "whole", version, who.id, edited if changed else None)
    action = "edited and resent" if changed else "replayed"
    return Replayed(_run_again(who, parts, run.id, way, action, {"changed": list(changed)}), changed)


def get_ended(db: Executor, run_id: str) -> RunRow:
    """Returns a run that can be sent again.  Raises NotFound, and FlowInvalid while it is under way."""
    run = get_row(db, run_id)
    if run.is_open:
        raise FlowInvalid("This run is still under way.", remedy="Wait for its end, or cancel it first.")
    return run


def _run_again(
    who: Who, parts: Parts, run_id: str, way: ReplayWay, action: str, detail: dict[str, object]
) -> str:
    now = parts.clock.now()
    made = {"as": "", "version": way.version, **detail}

    def work(db: Connection) -> RunTicket:
        ticket = run_again(db, run_id, way, now)
        _record(db, who, now, action, run_id, {**made, "as": ticket.run_id})
        return ticket

    ticket = parts.database.write(work)
    parts.engine.enqueue([ticket])
    return ticket.run_id


def replay_alike(who: Who, parts: Parts, run_id: str) -> int:
    """Orders this run and all others that stopped for the same cause to be sent again, the oldest first;
    returns how many.  Raises NotAllowed and NotFound."""
    who.must("runs")
    with parts.database.read() as db:
        run = get_row(db, run_id)
        ids = [run.id, *same_cause(db, run, limit=_MOST_ALIKE - 1)]
    replay_chosen(who, parts, ids, mode="failed" if run.position else "whole")
    return len(ids)


# ------------------------------------------------------------------------------------ decided


def decide_unknown(who: Who, parts: Parts, run_id: str, *, was_sent: bool) -> None:
    """Decides about a call whose outcome nobody knows, as a person saw it at the service: the step counts
    as done, or is sent again under its key.  Raises NotAllowed, NotFound, and FlowInvalid for a run that
    does not wait for that."""
    who.must("runs")
    now = parts.clock.now()

    def work(db: Connection) -> RunTicket:
        ticket = decide(db, run_id, was_sent=was_sent)
        action = "decided that it was sent" if was_sent else "had it sent again"
        _record(db, who, now, action, run_id)
        return ticket

    parts.engine.enqueue([parts.database.write(work)])


def settle(who: Who, parts: Parts, run_ids: Sequence[str]) -> int:
    """Settles those of these runs that stopped: a person dealt with them.  Returns how many.  Raises
    NotAllowed."""
    who.must("runs")
    now = parts.clock.now()

    def work(db: Connection) -> int:
        stopped = stopped_of(db, run_ids)
        settle_rows(db, stopped, now=now)
        for run_id in stopped:
            _record(db, who, now, "put aside", run_id)
        return len(stopped)

    return parts.database.write(work)


def reopen(who: Who, parts: Parts, run_id: str) -> None:
    """Makes a failure that was settled one that somebody has to deal with.  Raises NotAllowed and
    NotFound."""
    who.must("runs")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        run = get_row(db, run_id)
        unsettle(db, run.id)
        take_back(db, run.id)
        _record(db, who, now, "took up again", run.id)

    parts.database.write(work)


def go_ahead(who: Who, parts: Parts, run_id: str) -> None:
    """Lets a run wait no longer for the earlier ones of the same key.  Raises NotAllowed, NotFound, and
    FlowInvalid when it does not wait for one any more."""
    who.must("runs")
    now = parts.clock.now()

    def work(db: Connection) -> OpenRun:
        run = step_out(db, get_row(db, run_id).id)
        if run is None:
            raise FlowInvalid("This run no longer waits for another one.")
        _record(db, who, now, "let go ahead", run_id)
        return run

    parts.engine.runs.pass_on([parts.database.write(work)])


def try_now(who: Who, parts: Parts, run_id: str) -> bool:
    """Brings forward the next try of a step that failed.  Returns False when the run does not wait for one
    any more.  Raises NotAllowed and NotFound."""
    who.must("runs")
    now = parts.clock.now()

    def work(db: Connection) -> OpenRun | None:
        run = progress.try_now(db, get_row(db, run_id).id)
        if run is not None:
            _record(db, who, now, "tried at once", run_id)
        return run

    run = parts.database.write(work)
    parts.engine.runs.pass_on([run])
    return run is not None


# ---------------------------------------------------------------------------------- cancelled


def cancel(who: Who, parts: Parts, run_id: str) -> bool:
    """Cancels a run: it makes no further call, and one that is under way is waited for and recorded.
    Returns False when the run had already ended.  Raises NotAllowed and NotFound."""
    who.must("runs")
    now = parts.clock.now()
    name = " ".join(who.name.split())[:60] or "somebody"
    sentence = f"Cancelled by {name}; nothing more was sent."

    def work(db: Connection) -> bool:
        cancelled = progress.cancel(db, get_row(db, run_id).id, sentence, now=now)
        announce(db, RunCancelled(run_id))
        if cancelled:
            _record(db, who, now, "cancelled", run_id)
        return cancelled

    cancelled = parts.database.write(work)
    if cancelled:
        parts.engine.drop([run_id])
    return cancelled


class Narrowed(TypedDict, total=False):
    """What a list of runs is narrowed to, as `runs_page` takes it."""

    flow_id: str | None
    states: Sequence[str]
    since: datetime | None
    until: datetime | None
    text: str


def cancel_waiting(who: Who, parts: Parts, narrowed: Narrowed) -> str:
    """Orders all runs of a list that wait now to be cancelled; returns the order's id.  Raises NotAllowed,
    and FlowInvalid when none of them waits any more."""
    who.must("runs")
    now = parts.clock.now()
    wanted: Narrowed = {
        "flow_id": narrowed.get("flow_id"),
        "states": [state for state in WAITING if state in narrowed.get("states", WAITING)],
        "since": narrowed.get("since"),
        "until": narrowed.get("until"),
        "text": narrowed.get("text", ""),
    }
    flow_id = wanted["flow_id"] or ""

    def work(db: Connection) -> str:
        place = new_id("run")  # what comes from now on has a later one
        number = sum(count_by_reason(db, **wanted, before=place).values()) if wanted["states"] else 0
        if not number:
            raise FlowInvalid("Nothing waits any more.", remedy="It has ended or begun meanwhile.")
        since, until = (at.isoformat() if at else None for at in (wanted["since"], wanted["until"]))
        order_id = bulk_orders.give_order(
            db,
            what="cancel",
            by=who.id,
            created_at=now,
            narrowed={**wanted, "since": since, "until": until},
            flow_id=flow_id,
            total=number,
            after=place,
        )
        audit.record(
            db,
            now=now,
            user_id=who.id,
            action="cancelled all that waits",
            noun="flow",
            noun_id=flow_id,
            detail={"order": order_id, "number": number, "text": wanted["text"]},
        )
        return order_id

    return parts.database.write(work)


def _record(
    db: Connection,
    who: Who,
    now: datetime,
    action: str,
    run_id: str,
    detail: dict[str, object] | None = None,
) -> None:
    audit.record(db, now=now, user_id=who.id, action=action, noun="run", noun_id=clean(run_id), detail=detail)
