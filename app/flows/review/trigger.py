"""What is wrong with a trigger, kind by kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from app.errors import FlowInvalid
from app.flows.model import (
    ConnectorTrigger,
    ManualTrigger,
    PollTrigger,
    ScheduleTrigger,
    Trigger,
    WebhookTrigger,
)
from app.flows.review.notes import Notes, PartView, mappings_in
from app.flows.review.request import check_request
from app.flows.review.steps import check_input, check_service
from app.flows.schedules.schedule import EXAMPLES, parse_when

_CURSOR = frozenset({"cursor"})


def check_trigger(notes: Notes, trigger: Trigger) -> None:
    notes.gaps(trigger)
    json_text = isinstance(trigger, PollTrigger) and trigger.request.body_kind == "json_text"
    for place, name, mapping in mappings_in(trigger):
        if place != "request.body_text" or not json_text:
            notes.mapping(trigger.id, place, name, mapping, _CURSOR)
    cast(Callable[[Notes, Any], None], _CHECKS[trigger.kind])(notes, trigger)


def _webhook(notes: Notes, trigger: WebhookTrigger) -> None:
    if trigger.items:
        notes.path(trigger.id, "items", "Items", trigger.items)
    _dedupe(notes, trigger.id, trigger.dedupe)
    if not trigger.methods:
        notes.add(trigger.id, "methods", "It takes no kind of request. Allow at least POST.")
    signature = trigger.signature
    if signature is None:
        return
    if not signature.header.strip() and signature.scheme not in ("standard_webhooks", "basic"):
        notes.add(trigger.id, "signature.header", "It does not say in which header the signature comes.")
    if not signature.connection_id:
        notes.add(trigger.id, "signature.connection_id", "It does not say which connection holds the secret.")
    notes.connection(trigger.id, "signature.connection_id", signature.connection_id)


def _dedupe(notes: Notes, trigger_id: str, text: str) -> None:
    kind, _, name = text.partition(":")
    if kind in ("header", "query"):
        if not name.strip():
            notes.add(trigger_id, "dedupe", f"Tell apart by: the name of the {kind} is missing.")
    elif text and text != "none":
        notes.path(trigger_id, "dedupe", "Tell apart by", text)


def _poll(notes: Notes, trigger: PollTrigger) -> None:
    check_request(notes, trigger.id, trigger.request, _CURSOR)
    if not trigger.items:
        notes.add(
            trigger.id, "items", "It does not say where the records are in the answer, such as $.items[*]."
        )
    for place, name in (("items", "Items"), ("dedupe", "Tell apart by"), ("cursor", "Newest by")):
        if text := getattr(trigger, place):
            notes.path(trigger.id, place, name, text)


def _schedule(notes: Notes, trigger: ScheduleTrigger) -> None:
    try:
        parse_when(trigger.when)
    except FlowInvalid as error:
        notes.add(trigger.id, "when", f"{error.reason} For example: {'; '.join(EXAMPLES[:5])}.")


def _manual(notes: Notes, trigger: ManualTrigger) -> None:
    """A person starts it: nothing can be wrong."""


def _connector(notes: Notes, trigger: ConnectorTrigger) -> None:
    part = notes.connectors.find_trigger(trigger.connector, trigger.trigger)
    wanted = f"trigger '{trigger.trigger}'"
    if check_service(notes, trigger.id, trigger.connector, part, wanted, trigger.connection_id):
        check_input(notes, trigger.id, cast(PartView, part), trigger.input)
    if trigger.accept_unsigned:
        notes.hint(
            trigger.id,
            "accept_unsigned",
            "Deliveries without a signature are accepted: anybody could send one.",
        )


_CHECKS: dict[str, Any] = {
    "webhook": _webhook,
    "poll": _poll,
    "schedule": _schedule,
    "manual": _manual,
    "connector": _connector,
}
