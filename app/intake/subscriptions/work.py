"""The clock's work on subscriptions: made, looked after, renewed, made again when lost, ended.

A call whose outcome nobody knows is never simply repeated: the service is asked what it has first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.engine.runtime import Runtime
from app.errors import AppError, CallFailed
from app.intake.subscriptions import calls
from app.intake.subscriptions.calls import Found, Talk
from app.intake.subscriptions.reach import refuse_second, refuse_unreachable
from app.log import fields
from app.states import SubscriptionState
from app.storage.database.writer import Row
from app.storage.flows import subscriptions as store
from app.storage.flows.subscriptions import SubscriptionRow, Told, seal_told

log = logging.getLogger("plumbline.subscriptions")

LEASE = timedelta(minutes=5)
_LONGEST_S = 4 * 60
_WAITS_S = (60, 300, 900, 3600, 6 * 3600)
_HOPELESS_S = 6 * 3600
_MOST_TRIES_TO_END = 8
_EARLY = timedelta(days=2)
_EARLY_PART = 4  # of its life, where that is shorter
_OVER = ("not_found", "gone")
Values = dict[str, Any]


@dataclass
class Job:
    """`row`: as it stands in the database.  `calls`: kept whatever comes of them."""

    runtime: Runtime
    row: SubscriptionRow
    others: frozenset[str] = frozenset()
    talk: Talk | None = None
    calls: list[tuple[str, Row]] = field(default_factory=list)

    def begin(self) -> Talk:
        self.talk = calls.begin(self.runtime, self.row)
        self.talk.others = self.others
        self.calls = self.talk.calls
        return self.talk

    @property
    def now(self) -> datetime:
        return self.runtime.clock.now()

    @property
    def name(self) -> str:
        """Of the service, in sentences."""
        found = self.runtime.registry.find(str(self.row.trigger.get("connector", "")))
        return found.name if found is not None else "The service"


async def look_after(runtime: Runtime, flow_id: str) -> None:
    """Call it in the engine's loop, with the leases taken.  Never raises."""
    try:
        for row, others in await asyncio.to_thread(_due, runtime, flow_id):
            await _look_after_one(Job(runtime, row, others))
    except Exception:
        log.exception("%s", fields(event="subscriptions_broke", flow=flow_id))
    finally:
        await runtime.database.writer.awrite(lambda db: store.end_leases(db, flow_id), patient=True)


def _due(runtime: Runtime, flow_id: str) -> list[tuple[SubscriptionRow, frozenset[str]]]:
    """Each with what the service calls the flow's other ones."""
    with runtime.database.read() as db:
        rows = store.of_flow(db, flow_id)
    due = store.due_among(rows, runtime.clock.now())
    lasting = [row for row in rows if row.state not in store.ENDED]
    return [(row, frozenset(one.vendor_id for one in lasting if one.id != row.id)) for row in due]


async def _look_after_one(job: Job) -> None:
    work = _WORK.get(job.row.state)
    if work is None:
        return
    try:
        async with asyncio.timeout(_LONGEST_S):
            values = await work(job)
    except AppError as reason:
        values = _after_failure(job, reason)
    except TimeoutError:
        values = _after_failure(job, CallFailed("unavailable", f"{job.name} took too long.", ambiguous=True))
    except Exception:
        log.exception("%s", fields(event="subscription_broke", subscription=job.row.id))
        broke = CallFailed("invalid_payload", f"Plumbline could not work with what {job.name} answered.")
        values = _after_failure(job, broke)
    await _write(job, values)


async def _write(job: Job, values: Values) -> None:
    """Where somebody changed the row meanwhile, what the service said is kept, and their wish counts."""

    def work(db: Connection) -> None:
        store.add_calls(db, job.row.id, job.calls)
        if not store.change_from(db, job.row, **values):
            facts = {name: values[name] for name in _FACTS if name in values}
            if facts:
                store.change(db, job.row.id, **facts)

    await job.runtime.database.writer.awrite(work, patient=True)


_FACTS = ("vendor_id", "sealed", "expires_at")


# -------------------------------------------------------------------------------------- making


async def _make(job: Job) -> Values:
    talk = job.begin()
    refuse_unreachable(job.runtime, talk)
    await asyncio.to_thread(refuse_second, job.runtime, talk)
    subscribe = talk.subscribe
    look, create = subscribe.look, subscribe.create
    if create is None:
        raise AssertionError("a conversation without a create never begins")
    if look is not None and look.finds:
        kept = await _take_over(job, talk, await talk.look())
        if kept is not None:
            made = calls.Made(kept.vendor_id, talk.told.secret, _lasts(job, talk))
            return _live(job, talk, await _finish(talk, made))
    elif job.row.state == "making" and not subscribe.same_twice:
        return _unsure(job)
    if not await _note(job, state="making"):
        return {}
    answer = await talk.say("create", create)
    made = calls.read_made(talk, answer, job.now)
    if subscribe.id and not made.vendor_id:
        made = await _find_id(talk, made)
    return _live(job, talk, await _finish(talk, made))


async def _finish(talk: Talk, made: calls.Made) -> calls.Made:
    """Services that tell what they sign with only when they are asked for it."""
    talk.vendor_id = made.vendor_id
    then = talk.subscribe.then
    if then is None:
        return made
    secret = calls.read_secret(talk, await talk.say("then", then))
    if not secret:
        raise CallFailed(
            "invalid_payload",
            f"{talk.name} did not say what it signs with ({talk.subscribe.secret}).",
            remedy="Tell whoever keeps this connector.",
        )
    return replace(made, secret=secret)


async def _take_over(job: Job, talk: Talk, found: list[Found]) -> Found | None:
    """One that is there already, if its deliveries can be checked; all others end."""
    kept = next((one for one in found if one.works), None) if _knows_secret(job, talk) else None
    for one in found:
        if one is not kept:
            await _remove(talk, one.vendor_id)
    return kept


def _knows_secret(job: Job, talk: Talk) -> bool:
    subscribe = talk.subscribe
    if not subscribe.secret or subscribe.then is not None:
        return True
    if subscribe.makes_secret and job.row.state == "making":
        return True
    entered = talk.connection.secrets if talk.connection is not None else {}
    return bool(entered.get(talk.service.verify.secret))


async def _note(job: Job, *, state: SubscriptionState) -> bool:
    """On disk before the call goes out.  False = the flow changed its mind meanwhile."""
    row = job.row

    def work(db: Connection) -> bool:
        return store.change_from(db, row, state=state)

    taken: bool = await job.runtime.database.writer.awrite(work, patient=True)
    if taken:
        job.row = replace(row, state=state)
    return taken


async def _find_id(talk: Talk, made: calls.Made) -> calls.Made:
    look = talk.subscribe.look
    found = await talk.look() if look is not None and look.finds else []
    if not found:
        raise CallFailed(
            "invalid_payload",
            f"{talk.name} said yes, but its answer does not say what it calls the subscription "
            f"({talk.subscribe.id}).",
            remedy="Tell whoever keeps this connector.",
            ambiguous=True,
        )
    return replace(made, vendor_id=found[0].vendor_id)


def _lasts(job: Job, talk: Talk) -> datetime | None:
    if job.row.expires_at is not None or talk.subscribe.lasts is None:
        return job.row.expires_at
    return job.now + timedelta(seconds=talk.subscribe.lasts)


def _live(job: Job, talk: Talk, made: calls.Made) -> Values:
    row, vault = job.row, job.runtime.vault
    told = Told(talk.told.address, made.secret)
    return {
        "state": "live",
        "vendor_id": made.vendor_id,
        # a service may have said by itself what it signs with
        **({"sealed": seal_told(vault, row.id, told)} if made.secret else {}),
        "since": job.now,
        "expires_at": made.expires_at,
        **_well(job, talk, made.expires_at),
        "sentence": row.sentence if row.since is not None and not row.error_kind else "",
    }


def _well(job: Job, talk: Talk, expires_at: datetime | None) -> Values:
    return {
        "checked_at": job.now,
        "next_at": _next(job, talk, expires_at),
        "tries": 0,
        "error_kind": "",
        "sentence": "",
        "remedy": "",
    }


def _next(job: Job, talk: Talk, expires_at: datetime | None) -> datetime | None:
    """The next look at the service, or the renewal, if that comes first."""
    moments = []
    if talk.subscribe.look is not None:
        moments.append(job.now + timedelta(seconds=talk.subscribe.every))
    if expires_at is not None:
        moments.append(max(job.now + timedelta(minutes=1), renewal_at(job.now, expires_at)))
    return min(moments, default=None)


def renewal_at(since: datetime, expires_at: datetime) -> datetime:
    """In good time, so that a day without the service does no harm."""
    return expires_at - min(_EARLY, (expires_at - since) / _EARLY_PART)


def _unsure(job: Job) -> Values:
    return {
        "state": "unsure",
        "next_at": None,
        "error_kind": "unavailable",
        "sentence": f"Plumbline was interrupted while it asked {job.name} to send here, and {job.name} "
        "cannot be asked whether it does.",
        "remedy": f"Look at the webhooks in {job.name}. If this flow's address is not among them, try "
        "again; a second one does no harm, as the same delivery is taken once.",
    }


# -------------------------------------------------------------------------------- looking after


async def _keep(job: Job) -> Values:
    row, talk = job.row, job.begin()
    since = row.checked_at or row.since or job.now
    if row.expires_at is not None and job.now >= renewal_at(since, row.expires_at):
        return await _renew(job, talk)
    if talk.subscribe.look is None:
        return _well(job, talk, row.expires_at)
    found = await talk.look()
    kept = next((one for one in found if one.works), None)
    for one in found:
        if one is not kept:
            await _remove(talk, one.vendor_id)
    if kept is None:
        return _lost(job)
    return {**_well(job, talk, row.expires_at), "vendor_id": kept.vendor_id or row.vendor_id}


async def _renew(job: Job, talk: Talk) -> Values:
    subscribe, row = talk.subscribe, job.row
    if subscribe.renew is not None:
        answer = await talk.say("renew", subscribe.renew)
    elif subscribe.same_twice and subscribe.create is not None:
        answer = await talk.say("create", subscribe.create)
    else:
        return await _make_next(job)
    made = calls.read_made(talk, answer, job.now)
    made = replace(made, vendor_id=made.vendor_id or row.vendor_id)
    return {**_live(job, talk, made), "since": row.since, "sentence": ""}


async def _make_next(job: Job) -> Values:
    """Where none can be prolonged: a new one first, then this one ends."""
    row, told = job.row, calls.told_of(job.runtime, job.row)

    def work(db: Connection) -> None:
        store.add_subscription(
            db,
            row.flow_id,
            connection_id=row.connection_id,
            trigger=row.trigger,
            hook_id=row.hook_id,
            told=told,
            vault=job.runtime.vault,
            now=job.now,
        )

    await job.runtime.database.writer.awrite(work, patient=True)
    return {"state": "leaving", "next_at": job.now + timedelta(minutes=1), "tries": 0}


def _lost(job: Job) -> Values:
    """It is made again with the next tick."""
    when = job.now.strftime("%d %b %Y %H:%M UTC")
    return {
        "state": "asked",
        "vendor_id": "",
        "next_at": job.now,
        "tries": 0,
        "error_kind": "",
        "sentence": f"{job.name} no longer knew where to send ({when}), and Plumbline told it again. What "
        "happened there shortly before may not have come in.",
        "remedy": "",
    }


# -------------------------------------------------------------------------------------- ending


async def _leave(job: Job) -> Values:
    talk = job.begin()
    subscribe = talk.subscribe
    if subscribe.only_one and await asyncio.to_thread(_has_successor, job):
        return _gone(job, "Another subscription took its place.")
    look = subscribe.look
    ids = [job.row.vendor_id]
    if subscribe.id and not job.row.vendor_id:
        if look is None or not look.finds:
            raise CallFailed("not_found", f"Nobody knows what {talk.name} calls it.", permanent=True)
        ids = [one.vendor_id for one in await talk.look()]
    for vendor_id in ids:
        await _remove(talk, vendor_id)
    if subscribe.only_one:
        await job.runtime.database.writer.awrite(partial(_wake_waiting, job), patient=True)
    return _gone(job, "")


def _wake_waiting(job: Job, db: Connection) -> None:
    """Those that were refused because this one held the only place."""
    for one in store.of_connection(db, job.row.connection_id):
        if one.state == "refused":
            store.change(db, one.id, next_at=job.now, tries=0)


async def _remove(talk: Talk, vendor_id: str) -> None:
    """One that is not there any more is as good as ended."""
    remove = talk.subscribe.remove
    if remove is None:
        return
    before, talk.vendor_id = talk.vendor_id, vendor_id
    try:
        await talk.say("remove", remove)
    except CallFailed as failure:
        if failure.kind not in _OVER:
            raise
    finally:
        talk.vendor_id = before


def _has_successor(job: Job) -> bool:
    with job.runtime.database.read() as db:
        others = store.of_connection(db, job.row.connection_id)
    return any(one.id != job.row.id and one.state in ("live", "making", "asked") for one in others)


def _gone(job: Job, sentence: str) -> Values:
    return {
        "state": "gone",
        "ended_at": job.now,
        "next_at": None,
        "error_kind": "",
        "sentence": sentence,
        "remedy": "",
    }


# ------------------------------------------------------------------------------------- failing


def _after_failure(job: Job, reason: AppError) -> Values:
    state = job.row.state
    if state == "live" and reason.kind in _OVER and job.talk is not None:
        return _lost(job)
    log.warning("%s", fields(event="subscription_failed", subscription=job.row.id, kind=reason.kind))
    values: Values = {
        # made, although what comes after it failed: it is to be found again, and to be ended
        **({"vendor_id": job.talk.vendor_id} if job.talk is not None else {}),
        "state": _state_after(state, reason),
        "tries": job.row.tries + 1,
        "error_kind": reason.kind,
        "sentence": _ended(reason.sentence),
        "remedy": reason.remedy.replace("then replay", "then try again"),
        "next_at": job.now + timedelta(seconds=_wait_s(job.row.tries, reason)),
    }
    if state == "leaving" and _is_given_up(job, reason):
        values |= _given_up(job, reason)
    return values


def _ended(sentence: str) -> str:
    """What a service says does not always end with a full stop, and our remedy follows."""
    return sentence if sentence.endswith((".", "!", "?", "…", "”")) else f"{sentence}."


def _state_after(state: SubscriptionState, reason: AppError) -> SubscriptionState:
    """Told, and no clear no: it may be there.  A clear no to the first question is a refusal."""
    if state == "making":
        status = getattr(reason, "status", None)
        unclear = getattr(reason, "ambiguous", False) or (status is not None and status >= 500)
        return "making" if unclear else "refused"
    return "refused" if state == "asked" else state


def _wait_s(tries: int, reason: AppError) -> float:
    if isinstance(reason, CallFailed) and not reason.permanent:
        return max(_WAITS_S[min(tries, len(_WAITS_S) - 1)], reason.wait_s or 0)
    return _HOPELESS_S


def _is_given_up(job: Job, reason: AppError) -> bool:
    return reason.kind in _OVER or job.row.tries + 1 >= _MOST_TRIES_TO_END


def _given_up(job: Job, reason: AppError) -> Values:
    return {
        "state": "left",
        "ended_at": job.now,
        "next_at": None,
        "sentence": f"{job.name} could not be told to stop: {reason.sentence} It may still send to an "
        "address where nothing is taken any more.",
        "remedy": f"Remove the webhook in {job.name} by hand.",
    }


_WORK: dict[str, Callable[[Job], Awaitable[Values]]] = {
    "asked": _make,
    "making": _make,
    "refused": _make,
    "live": _keep,
    "leaving": _leave,
}
