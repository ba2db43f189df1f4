"""A poll that a connector describes: its request, its pages, its cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from app.calls.http.paginate import pages
from app.calls.message.call import CallRequest
from app.catalog.fields import check_input, ready_input
from app.catalog.format.definition import Connector
from app.catalog.format.definition import PollTrigger as ServicePoll
from app.catalog.format.definition import WebhookTrigger as ServiceWebhook
from app.catalog.render import plan
from app.catalog.sheets import records_of
from app.engine.runtime import Runtime
from app.engine.steps.action import request_of
from app.errors import CallFailed
from app.flows.mapping.template import MISSING, Finding, fill, find
from app.flows.model import ConnectorTrigger
from app.intake.polls import feeds, mailbox
from app.intake.polls.records import records_in
from app.intake.polls.source import Look, ready_connection, wait_turn

_MOST_PAGES = 1000
_BEGINNING: dict[str, Any] = {"datetime": "1970-01-01T00:00:00Z", "number": 0, "string": None}


class ConnectorSource:
    def __init__(self, runtime: Runtime, trigger: ConnectorTrigger) -> None:
        self._runtime = runtime
        self._trigger = trigger
        self._connector, self._poll = _find(runtime, trigger)
        self.dedupe = self._poll.dedupe
        self.cursor = self._poll.cursor.path if self._poll.cursor is not None else ""

    @property
    def overlap_s(self) -> float | None:
        return None if self._poll.cursor is None else self._poll.cursor.overlap

    def uses_cursor(self) -> bool:
        """Pages are read to their end, so one round is always the whole."""
        return False

    def start(self, now: datetime) -> Any:
        """The cursor of the first look: from now on, or from the beginning of time."""
        cursor = self._poll.cursor
        if cursor is None:
            return None
        if cursor.start == "beginning":
            return _BEGINNING[cursor.type]
        if cursor.type == "datetime":
            return now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        return None

    async def batches(self, look: Look, since: Any) -> AsyncIterator[list[Any]]:
        connection = ready_connection(self._runtime, self._trigger.connection_id)
        values = trigger_input(self._trigger, self._poll)
        if self._poll.reads == "feed":
            async for found in feeds.entries(self._runtime, look, values, since):
                yield found
            return
        if self._poll.reads == "mailbox":
            async for mails in mailbox.messages(self._runtime, look, connection, values, since):
                yield mails
            return

        def build(page: Any) -> CallRequest:
            scope = {
                "input": values,
                "connection": connection.as_scope() if connection is not None else {},
                **({} if since is None else {"cursor": since}),
                **({} if page is None else {"page": page}),
            }
            return request_of(plan(self._connector, self._poll.request, scope=scope), connection)

        # More pages than the connector thinks usual are read while they bring anything: where the
        # newest comes first, the oldest would else be passed over for ever.
        usual = self._poll.paginate
        read = pages(
            self._runtime.caller,
            build,
            usual and usual.model_copy(update={"max_pages": _MOST_PAGES}),
            count=lambda document: len(poll_records(self._poll, document)),
            rules=self._poll.request.errors + self._connector.errors,
            success=self._poll.success or self._connector.success,
            turn=partial(wait_turn, self._runtime),
        )
        async for page in read:
            look.calls.extend((*page.outcome.before, page.outcome.row))
            if page.failure is not None:
                raise page.failure
            before = len(look.records)
            yield poll_records(self._poll, page.document)
            if usual is not None and page.number >= usual.max_pages and len(look.records) == before:
                return
            if page.number == _MOST_PAGES:
                raise _too_many_pages()


def poll_records(poll: ServicePoll, document: Any) -> list[Any]:
    """What a look finds in an answer.  Raises CallFailed where there is nothing that could hold records."""
    is_left_out = poll.may_lack_items and isinstance(document, dict) and not find(poll.items, document)
    found = [] if is_left_out else records_in(document, poll.items)
    return records_of(found) if poll.table else found


def trigger_input(trigger: ConnectorTrigger, service: ServicePoll | ServiceWebhook) -> dict[str, Any]:
    """The inputs of a trigger hold no references to events: there is none yet.  Raises CallFailed."""
    findings: list[Finding] = []
    values: dict[str, Any] = {}
    for one in service.input:
        mapping = trigger.input.get(one.key)
        if mapping is None:
            continue
        value = fill(one.label, mapping, {}, findings, required=one.required)
        if value is not MISSING:
            values[one.key] = value
    if problems := check_input(service, values):
        raise CallFailed(
            "invalid_payload",
            f"{problems[0].sentence} The service was not asked.",
            remedy="Fix the trigger's input.",
        )
    return ready_input(service, values)


def _too_many_pages() -> CallFailed:
    return CallFailed(
        "invalid_payload",
        f"One look found more than {_MOST_PAGES} pages of records; nothing of it was taken.",
        remedy="Narrow the trigger's input, or ask whoever keeps this connector for larger pages.",
    )


def _find(runtime: Runtime, trigger: ConnectorTrigger) -> tuple[Connector, ServicePoll]:
    connector = runtime.registry.find(trigger.connector)
    found = runtime.registry.find_trigger(trigger.connector, trigger.trigger)
    if connector is None or not isinstance(found, ServicePoll):
        raise CallFailed(
            "not_found",
            f"The trigger “{trigger.trigger}” of “{trigger.connector}” is not installed here any more.",
            remedy="Install the connector again, or choose another trigger.",
        )
    return connector, found
