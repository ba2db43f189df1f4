"""Accepting deliveries: what is answered 2xx is on disk, everything else is refused with a reason.

The order is: who is meant, is it genuine, what does it say, is it new.  The request waits for one
commit and shares nothing else with the execution of runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.changes import FlowChanged
from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.errors import DeliveryRefused, NotFound, Unavailable
from app.flows.model import ConnectorTrigger, WebhookTrigger
from app.ids import new_id
from app.intake.deliveries import verification
from app.intake.deliveries.addresses import Address, AddressBook
from app.intake.deliveries.bodies import Document
from app.intake.deliveries.callbacks import Called, find_called, take_call
from app.intake.deliveries.inbound import KEPT_OF_REFUSED, Accepted, Inbound, MethodRefused
from app.intake.deliveries.places import document_of
from app.intake.deliveries.repetition import Reading, arrivals_of
from app.intake.turns import give_places_by
from app.log import fields
from app.storage.database.writer import Rows
from app.storage.flows import flows, subscriptions
from app.storage.history import events
from app.storage.history.events import Arrival
from app.storage.history.received import NO_RECORD

log = logging.getLogger("plumbline.intake")

_PAYLOADS_HANDED_OVER = 200
_NOT_ASKED = "A secret to sign with was sent, but nobody asked this service to send here."
_SMALL_BODY = 64 * 1024
_LONGEST_WRITE_S = 30.0


@dataclass(slots=True, kw_only=True)
class Arriving:
    """A request as it came.  `path_url`: the path alone, `/hooks/…`."""

    method: str
    path_url: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes
    remote_addr: str

    def inbound(self, now: datetime) -> Inbound:
        return Inbound(
            new_id("dlv"),
            now,
            self.method.upper(),
            self.path_url,
            self.query,
            self.headers,
            self.body,
            self.remote_addr,
            {name.lower(): value for name, value in self.headers},
        )


@dataclass(slots=True)
class Keeping:
    """What is written for a delivery, and what its sender is answered after the commit; `then` runs
    in the writer's thread."""

    work: Rows | Callable[[Connection], Any]
    answer: Callable[[Any], Accepted]
    then: Callable[[], None] | None = None


class Deliveries:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.addresses = AddressBook(runtime.database, runtime.clock, runtime.vault)
        runtime.changes.on(FlowChanged, lambda change: self.addresses.forget(change.flow_id))
        self.unknown = 0  # requests to addresses that do not exist, since the start
        self._most_bytes = runtime.settings.max_body_mb * 1024 * 1024

    async def accept(self, token: str, *, too_large: bool = False, **request: Any) -> Accepted:
        """Returns after the commit.  Raises DeliveryRefused, NotFound (no such address) or Unavailable.
        `request`: what `Arriving` names.  `too_large`: the body was not read to its end.  What may take
        long to look at is looked at on a thread."""
        arriving = Arriving(**request)
        if len(arriving.body) <= _SMALL_BODY and self.addresses.remembers(token):
            keeping = self._look_at(token, arriving, too_large=too_large)
        else:
            keeping = await asyncio.to_thread(self._look_at, token, arriving, too_large=too_large)
        try:
            async with asyncio.timeout(_LONGEST_WRITE_S):
                kept = await self._runtime.database.writer.awrite(keeping.work, then=keeping.then)
        except TimeoutError as reason:
            raise _too_slow() from reason
        return keeping.answer(kept)

    def _look_at(self, token: str, arriving: Arriving, *, too_large: bool) -> Keeping:
        """What is to be written and then answered.  Raises NotFound or Unavailable."""
        if token.startswith("cb_") and (called := find_called(self._runtime, token)) is not None:
            return self._take_call(called, arriving, too_large=too_large)
        address = self.addresses.find(token)
        if address is None:
            self.unknown += 1
            raise NotFound("Nothing listens at this address.")
        self._check_disk()
        inbound = arriving.inbound(self._runtime.clock.now())
        try:
            if too_large or len(inbound.body) > self._most_bytes:
                raise self._too_large()
            return self._admit(address, inbound)
        except DeliveryRefused as reason:
            return self._refusal(address, inbound, reason, keep_body=not too_large)

    def _take_call(self, called: Called, arriving: Arriving, *, too_large: bool) -> Keeping:
        """A service says how a call ended that it had accepted."""
        self._check_disk()
        if too_large or len(arriving.body) > self._most_bytes:
            raise self._too_large()
        return Keeping(*take_call(self._runtime, called, arriving.inbound(self._runtime.clock.now())))

    # -------------------------------------------------------------------------- may it come in

    def _admit(self, address: Address, inbound: Inbound) -> Keeping:
        trigger = _listening(address, inbound)
        handshake = self._verify(address, trigger, inbound)
        if handshake is not None:
            row = inbound.row(
                address.facts.flow_id,
                outcome="handshake",
                body=inbound.body[:KEPT_OF_REFUSED],
                reason="The service asked whether somebody is here, and got its answer.",
            )
            if handshake.secret:
                return self._keep_secret(address, handshake, row)
            return Keeping([(events.DELIVERY, row)], lambda _: handshake)
        document = document_of(inbound)
        reading = self._reading(trigger)
        if address.facts.version_id is None:
            return self._keep_sample(address, reading, inbound, document)
        if not address.facts.is_on:
            raise DeliveryRefused("This flow is switched off.", status=409)
        found = arrivals_of(reading, inbound, document)
        if address.facts.one_by_one.value:
            give_places_by(address.facts.one_by_one, trigger.id, found)
        as_it_came = len(found) == 1 and found[0].payload is inbound.body
        row = inbound.row(
            address.facts.flow_id,
            outcome="accepted",
            body=None if as_it_came else inbound.body,
            reason="" if found else NO_RECORD,
        )
        if address.facts.is_held or any(new.dedupe_key is not None for new in found):
            return self._keep_checked(address, trigger, inbound, row, found)
        return self._keep_straight(address, trigger, inbound, row, found)

    def _keep_secret(self, address: Address, handshake: Accepted, row: dict[str, object]) -> Keeping:
        """Only while the service is being told: nobody else may say later what counts from then on."""

        def work(db: Connection) -> bool:
            kept = subscriptions.keep_secret(db, self._runtime.vault, address.facts.flow_id, handshake.secret)
            if not kept:
                row.update(outcome="refused", reason=_NOT_ASKED)
            row["body"] = None
            events.write_all(db, [(events.DELIVERY, row)])
            return kept

        def answer(kept: bool) -> Accepted:
            if not kept:
                raise DeliveryRefused(_NOT_ASKED, status=401)
            return handshake

        return Keeping(work, answer)

    def _verify(
        self, address: Address, trigger: WebhookTrigger | ConnectorTrigger, inbound: Inbound
    ) -> Accepted | None:
        """A service may sign with a secret that it agreed on with us a moment ago."""
        try:
            return verification.check(self._runtime, trigger, inbound, address.secrets)
        except DeliveryRefused as reason:
            newer = self.addresses.read_secrets(address) if reason.status == 401 else address.secrets
            if newer == address.secrets:
                raise
            return verification.check(self._runtime, trigger, inbound, newer)

    def _reading(self, trigger: WebhookTrigger | ConnectorTrigger) -> Reading:
        if isinstance(trigger, WebhookTrigger):
            id_header = trigger.signature.id_header if trigger.signature else ""
            return Reading(trigger.items, trigger.dedupe, id_header=id_header)
        service = verification.service_trigger(self._runtime, trigger)
        return Reading(service.items, service.dedupe, service.where, service.verify.id_header)

    def _too_large(self) -> DeliveryRefused:
        most = self._runtime.settings.max_body_mb
        return DeliveryRefused(f"The body is larger than {most} MB.", status=413)

    def _check_disk(self) -> None:
        """A disk that is almost full answers 503 before it answers with broken writes."""
        if self._runtime.space.is_low:
            raise Unavailable("The server's disk is almost full; nothing was accepted.", retry_after_s=60)
        self._runtime.database.writer.refuse_if_away()

    # --------------------------------------------------------------------------------- keeping

    def _keep_straight(
        self,
        address: Address,
        trigger: WebhookTrigger | ConnectorTrigger,
        inbound: Inbound,
        row: dict[str, object],
        found: list[Arrival],
    ) -> Keeping:
        rows: Rows = [(events.DELIVERY, row), *self._rows(address, inbound, found, held=False)]
        tickets = _tickets(address, inbound, found)
        accepted = Accepted(_status(trigger), inbound.delivery_id, [new.event_id for new in found])
        return Keeping(rows, lambda _: accepted, then=lambda: self._hand_over(tickets))

    def _keep_checked(
        self,
        address: Address,
        trigger: WebhookTrigger | ConnectorTrigger,
        inbound: Inbound,
        row: dict[str, object],
        found: list[Arrival],
    ) -> Keeping:
        """Where the transaction has to look first: is it a repetition, is the flow still held."""
        flow_id = address.facts.flow_id

        def work(db: Connection) -> tuple[list[Arrival], list[str], bool]:
            held = address.facts.is_held and events.is_held(db, flow_id)
            fresh, repeated = events.take_keys(db, flow_id, found, now=inbound.received_at)
            if repeated:
                row["repeated"] = len(repeated)
            if repeated and not fresh:
                row.update(outcome="duplicate", reason=f"A repetition of {', '.join(repeated[:5])}.")
                row["body"] = inbound.body[:KEPT_OF_REFUSED]
            elif repeated:
                row["reason"] = f"{len(repeated)} of its {len(found)} records had come before."
            arrivals = self._rows(address, inbound, fresh, held=held)
            events.write_all(db, [(events.DELIVERY, row), *arrivals])
            return fresh, repeated, held

        def answer(kept: tuple[list[Arrival], list[str], bool]) -> Accepted:
            fresh, repeated, held = kept
            if not held:
                self._hand_over(_tickets(address, inbound, fresh))
            ids = [new.event_id for new in fresh] + repeated
            if repeated and not fresh:
                return Accepted(200, inbound.delivery_id, ids, duplicate=True, state="duplicate")
            return Accepted(_status(trigger), inbound.delivery_id, ids)

        return Keeping(work, answer)

    def _rows(self, address: Address, inbound: Inbound, found: list[Arrival], *, held: bool) -> Rows:
        return events.arrival_rows(
            found,
            flow_id=address.facts.flow_id,
            version_id=address.facts.version_id or "",
            delivery_id=inbound.delivery_id,
            source="webhook",
            now=inbound.received_at,
            held=held,
        )

    def _hand_over(self, tickets: list[RunTicket]) -> None:
        """The runs are on disk: whatever goes wrong here, the next sweep finds them."""
        try:
            self._runtime.dispatcher.enqueue(tickets)
        except Exception:
            log.exception("%s", fields(event="hand_over_failed", runs=len(tickets)))

    def _keep_sample(
        self,
        address: Address,
        reading: Reading,
        inbound: Inbound,
        document: Document,
    ) -> Keeping:
        """A flow that was never published shows in the builder what its sender sends."""
        found = arrivals_of(reading, inbound, document)
        sample = found[0].document if found else document.value
        row = inbound.row(
            address.facts.flow_id,
            outcome="sample",
            body=inbound.body[:KEPT_OF_REFUSED],
            reason="It came before the flow was published and is kept as its sample; it started nothing.",
        )

        def work(db: Connection) -> None:
            flows.set_sample(db, address.facts.flow_id, sample)
            events.write_all(db, [(events.DELIVERY, row)])

        return Keeping(work, lambda _: Accepted(202, inbound.delivery_id, state="sample"))

    def _refusal(
        self, address: Address, inbound: Inbound, reason: DeliveryRefused, *, keep_body: bool
    ) -> Keeping:
        small = keep_body and len(inbound.body) <= self._most_bytes
        body = inbound.body[:KEPT_OF_REFUSED] if small else None
        row = inbound.row(address.facts.flow_id, outcome="refused", body=body, reason=reason.sentence)

        def answer(_: Any) -> Accepted:
            log.info("%s", fields(event="delivery_refused", delivery=row["id"], status=reason.status))
            raise reason

        return Keeping([(events.DELIVERY, row)], answer)


def _listening(address: Address, inbound: Inbound) -> WebhookTrigger | ConnectorTrigger:
    """The trigger that takes this request, if the address is still in use."""
    retires_at = address.facts.retires_at
    if retires_at is not None and retires_at <= inbound.received_at:
        raise DeliveryRefused(
            "This address was replaced by a new one and no longer works.",
            status=410,
            remedy="Copy the new address from the flow's trigger.",
        )
    trigger = address.trigger
    if trigger is None:
        raise DeliveryRefused("This flow does not start with a webhook any more.", status=409)
    if isinstance(trigger, WebhookTrigger) and inbound.method not in trigger.methods:
        raise MethodRefused(inbound.method, trigger.methods)
    return trigger


def _tickets(address: Address, inbound: Inbound, found: list[Arrival]) -> list[RunTicket]:
    flow_id, version_id = address.facts.flow_id, address.facts.version_id or ""
    delivery = events.delivery_scope(inbound.method, inbound.shown_headers(), inbound.shown_query())
    few = len(found) <= _PAYLOADS_HANDED_OVER
    return [
        RunTicket(new.run_id, flow_id, version_id, new.event_id, new.payload if few else None, delivery)
        for new in found
    ]


def _too_slow() -> Unavailable:
    return Unavailable("The database is too slow now; send this again.")


def _status(trigger: WebhookTrigger | ConnectorTrigger) -> int:
    """Some services take nothing but 200 for success."""
    return 200 if isinstance(trigger, ConnectorTrigger) else 202
