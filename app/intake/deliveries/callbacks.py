"""What services send to the one-time addresses of steps that wait for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.engine.steps.callbacks import PURPOSE, run_of, step_of
from app.intake.deliveries.inbound import KEPT_OF_REFUSED, Accepted, Inbound, MethodRefused
from app.intake.deliveries.places import document_of
from app.storage.flows import callbacks
from app.storage.flows.callbacks import Asked
from app.storage.history import events
from app.storage.history.progress import OpenRun

_METHODS = ("POST", "PUT")


@dataclass(frozen=True, slots=True)
class Called:
    """A step's one-time address that was called."""

    asked: Asked
    run_id: str
    step_key: str


def find_called(runtime: Runtime, token: str) -> Called | None:
    """None = no step has this address."""
    run_id = run_of(token)
    if run_id is None:
        return None
    with runtime.database.read() as db:
        asked = callbacks.asked(db, run_id)
    if asked is None:
        return None
    step_key = step_of(runtime.vault.derive(PURPOSE), token, run_id, asked.step_keys)
    return None if step_key is None else Called(asked, run_id, step_key)


def take_call(
    runtime: Runtime, called: Called, inbound: Inbound
) -> tuple[Callable[[Connection], OpenRun | None], Callable[[OpenRun | None], Accepted]]:
    """What is to be written, and what is answered then.  Raises DeliveryRefused."""
    if inbound.method not in _METHODS:
        raise MethodRefused(inbound.method, _METHODS)
    document = document_of(inbound)
    row = inbound.row(
        called.asked.flow_id,
        outcome="callback",
        body=inbound.body[:KEPT_OF_REFUSED],
        reason=f"The answer that the run {called.run_id} waits for.",
    )
    accepted = Accepted(200, inbound.delivery_id, state="callback")

    def work(db: Connection) -> OpenRun | None:
        is_first, run = False, None
        if called.asked.is_open:
            now, key = inbound.received_at, called.step_key
            is_first, run = callbacks.keep(db, called.run_id, key, document.value, now=now)
        if not is_first:
            row.update(outcome="duplicate", reason=f"The run {called.run_id} has its answer already.")
            accepted.state, accepted.duplicate = "duplicate", True
        events.write_all(db, [(events.DELIVERY, row)])
        return run

    def answer(run: OpenRun | None) -> Accepted:
        if run is not None:
            runtime.dispatcher.enqueue([RunTicket(*run, fresh=False)])
        return accepted

    return work, answer
