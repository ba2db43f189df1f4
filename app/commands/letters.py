"""What a person decides about runs that stopped: sent again or put away, a whole cause or some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from sqlalchemy import Connection

from app.commands.who import Who
from app.engine.replay import Mode, WhichVersion
from app.errors import FlowInvalid, NotFound
from app.parts import Parts
from app.storage.history.rows import clean
from app.storage.letters import orders as bulk_orders
from app.storage.letters.dead_letters import LONGEST_REASON, get_group, parse_cause
from app.storage.people import audit

MOST_CHOSEN = 5_000


def replay_group(
    who: Who, parts: Parts, cause: str, *, mode: Mode = "failed", version: WhichVersion = "same"
) -> str:
    """Orders all dead letters of this cause that are there now to be sent again; returns the order's id.
    Raises NotAllowed, NotFound when nothing is left of them, FlowInvalid while they are being worked off."""
    return _order_group(who, parts, "replay", cause, {"mode": mode, "version": version})


def settle_group(who: Who, parts: Parts, cause: str, *, reason: str) -> str:
    """Orders all dead letters of this cause to be put away; returns the order's id.  Raises NotAllowed,
    NotFound and FlowInvalid, also where no reason is given."""
    return _order_group(who, parts, "discard", cause, {"reason": _checked(reason)})


def replay_chosen(
    who: Who,
    parts: Parts,
    run_ids: Sequence[str],
    *,
    mode: Mode = "failed",
    version: WhichVersion = "same",
) -> str:
    """Orders these runs to be sent again, the oldest first; returns the order's id.  Raises NotAllowed, and
    FlowInvalid for none or more than `MOST_CHOSEN`."""
    return _order_chosen(who, parts, "replay", run_ids, {"mode": mode, "version": version})


def settle_chosen(who: Who, parts: Parts, run_ids: Sequence[str], *, reason: str) -> str:
    """Orders those of these runs that are dead letters to be put away; returns the order's id.  Raises
    NotAllowed and FlowInvalid."""
    return _order_chosen(who, parts, "discard", run_ids, {"reason": _checked(reason)})


def stop_order(who: Who, parts: Parts, order_id: str) -> bool:
    """Stops an order: what it has queued goes on, no more follows.  Returns False when it was over already.
    Raises NotAllowed, and NotFound for an order that is not kept any more."""
    who.must("letters")
    now = parts.clock.now()

    def work(db: Connection) -> bool:
        order = bulk_orders.get_order(db, order_id)
        stopped = bulk_orders.end(db, order.id, "stopped", now=now)
        if stopped:
            audit.record(
                db,
                now=now,
                user_id=who.id,
                action=f"stopped an order to {order.what}",
                noun="flow",
                noun_id=order.flow_id,
                detail={"order": order.id, "done": order.done, "of": order.total},
            )
        return stopped

    return parts.database.write(work)


# -------------------------------------------------------------------------- how an order is given

What = Literal["replay", "discard"]
How = Mapping[str, str]


def _order_group(who: Who, parts: Parts, what: What, cause: str, how: How) -> str:
    who.must("letters")

    def work(db: Connection) -> str:
        group = get_group(db, cause)
        if group is None:
            raise NotFound("No runs are left in this incident: somebody has dealt with all of it.")
        if bulk_orders.is_ordered(db, group.cause):
            raise FlowInvalid(
                "This group is being worked off already.",
                remedy="Wait for the order's end, or stop it first.",
            )
        number, last = bulk_orders.count_letters(db, group.cause)
        order = {"what": what, "cause": group.cause, "flow_id": group.flow_id, "upto": last, "total": number}
        about = parse_cause(group.cause)
        facts = {"step": about.step_id, "kind": about.error_kind, "about": about.about}
        return _give(db, who, parts, {**order, **how}, facts)

    return parts.database.write(work)


def _order_chosen(who: Who, parts: Parts, what: What, run_ids: Sequence[str], how: How) -> str:
    who.must("letters")
    ids = sorted({clean(run_id) for run_id in run_ids} - {""})
    if not ids:
        raise FlowInvalid("No run was selected.", remedy="Tick the runs first.")
    if len(ids) > MOST_CHOSEN:
        raise FlowInvalid(f"Select at most {MOST_CHOSEN:,} runs at a time.")

    def work(db: Connection) -> str:
        flow_id = bulk_orders.common_flow(db, ids)
        order = {"what": what, "chosen": ids, "flow_id": flow_id, "total": len(ids)}
        return _give(db, who, parts, {**order, **how}, {})

    return parts.database.write(work)


def _give(
    db: Connection, who: Who, parts: Parts, order: Mapping[str, object], facts: Mapping[str, str]
) -> str:
    now = parts.clock.now()
    order_id = bulk_orders.give_order(db, by=who.id, created_at=now, **order)
    how = {name: order[name] for name in ("mode", "version", "reason") if order.get(name)}
    audit.record(
        db,
        now=now,
        user_id=who.id,
        action="resent dead letters" if order["what"] == "replay" else "discarded dead letters",
        noun="flow",
        noun_id=str(order["flow_id"]),
        detail={"order": order_id, "number": order["total"], **facts, **how},
    )
    return order_id


def _checked(reason: str) -> str:
    words = reason.strip().replace("\x00", "")
    if not words:
        raise FlowInvalid(
            "Say why it is discarded.", where="reason", remedy="A few words: others will look for them."
        )
    if len(words) > LONGEST_REASON:
        raise FlowInvalid(f"Write at most {LONGEST_REASON} characters.", where="reason")
    return words.encode("utf-8", "replace").decode()
