"""An operation's request as the product puts it on the wire: planned, encoded, with credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.calls.connections.book import ConnectionFacts
from app.calls.message.call import CallRequest, Ready, make_ready
from app.calls.message.encode import encode_body
from app.catalog.fields import action_fields
from app.catalog.format.definition import Action, Connector, PollTrigger, Request, WebhookTrigger
from app.catalog.pages import first_page
from app.catalog.render import plan
from tests.connectors.samples import EXTRA, connection_for, inputs_of, taped_input, tapes_of

CURSOR = "2026-11-20T08:00:00Z"
ADDRESS = "https://flows.example.com/hooks/0123456789abcdef0123456789abcdef"
_USER, _TEAM = "https://api.calendly.com/users/AAAA", "https://api.calendly.com/organizations/BBBB"
ASKED = {  # as Calendly and Asana answer
    "resource": {"uri": _USER, "current_organization": _TEAM},
    "data": {"workspace": {"gid": "9"}},
}


def on_the_wire(
    connector: Connector, request: Request, scope: Mapping[str, Any], connection: ConnectionFacts
) -> Ready:
    planned = plan(connector, request, scope={**scope, "connection": connection.as_scope()})
    body, content_type = encode_body(planned.body_kind, planned.body, planned.content_type)
    return make_ready(
        CallRequest(
            method=planned.method,
            url=planned.url,
            query=planned.query,
            headers=planned.headers,
            body=body,
            content_type=content_type,
            connection=connection,
        )
    )


def requests_of(connector: Connector) -> Iterator[tuple[str, Ready]]:
    """(what it is, the request) for everything the connector can send."""
    connection = connection_for(connector)
    if connector.check is not None:
        yield "check", on_the_wire(connector, connector.check.request, {}, connection)
    for action in connector.actions.values():
        for full in (False, True):
            yield from _action(connector, action, connection, full=full)
    for trigger in connector.triggers.values():
        if isinstance(trigger, PollTrigger) and trigger.reads != "answer":
            continue
        if isinstance(trigger, PollTrigger):
            yield from _poll(connector, trigger, connection)
        else:
            yield from _subscription(connector, trigger, connection)
    for lookup in connector.lookups.values():
        page = first_page(lookup.paginate).value
        taped = taped_input(connector.key, f"lookups/{lookup.key}")
        scope = {"input": {**dict.fromkeys(lookup.needs, "abc123"), **taped}, "page": page}
        yield f"lookups/{lookup.key}", on_the_wire(connector, lookup.request, scope, connection)


def _action(
    connector: Connector, action: Action, connection: ConnectionFacts, *, full: bool
) -> Iterator[tuple[str, Ready]]:
    values = inputs_of(action, taped_input(connector.key, f"actions/{action.key}"), full=full)
    takes_extra = any(field.type == "fields" for field in action.input)
    fields = action_fields(action, values, EXTRA if full and takes_extra else {})
    for request in action.requests:
        name = f"actions/{action.key}.{request.id}.{'full' if full else 'least'}"
        yield name, on_the_wire(connector, request, {"input": values, "fields": fields}, connection)
    if action.batch is not None:
        scope = {"input": values, "fields": fields}
        scope["records"] = [action.batch.record_filler({**scope, "api": {"version": connector.api.version}})]
        name = f"actions/{action.key}.batch.{'full' if full else 'least'}"
        yield name, on_the_wire(connector, action.batch.request, scope, connection)


def _subscription(
    connector: Connector, trigger: WebhookTrigger, connection: ConnectionFacts
) -> Iterator[tuple[str, Ready]]:
    """What the service is told when a flow goes on and off."""
    taped = taped_input(connector.key, f"triggers/{trigger.key}")
    given = {"subscription_address": ADDRESS, "subscription_secret": "a" * 64}
    connection = replace(connection, secrets={**connection.secrets, **given})
    known = {name: f"{{{{secret:subscription_{name}}}}}" for name in ("address", "secret")}
    known |= {"id": "42", "tag": "plumbline-0123456789ab"}
    look = trigger.subscribe.look
    usual = {field.key: field.default for field in trigger.input if field.default}
    scope = {
        "input": {**inputs_of(trigger, taped, full=True), **usual},
        "subscription": known,
        "asked": ASKED,
        "page": first_page(look.paginate).value if look is not None else None,
    }
    for purpose, request in trigger.subscribe.requests.items():
        yield f"triggers/{trigger.key}.{purpose}", on_the_wire(connector, request, scope, connection)


def _cursor(key: str, trigger: PollTrigger) -> str:
    """Where the service's cursor is no moment, the one of its cassettes."""
    if trigger.cursor is None or trigger.cursor.type == "datetime":
        return CURSOR
    taped = (one.cursor for one in tapes_of(key) if one.operation == f"triggers/{trigger.key}" and one.cursor)
    return next(taped, CURSOR)


def _poll(
    connector: Connector, trigger: PollTrigger, connection: ConnectionFacts
) -> Iterator[tuple[str, Ready]]:
    taped = taped_input(connector.key, f"triggers/{trigger.key}")
    scope = {"input": inputs_of(trigger, taped, full=True), "cursor": _cursor(connector.key, trigger)}
    first = first_page(trigger.paginate).value
    pages = {"first": first, "next": "100" if isinstance(first, str | None) else 100}
    if trigger.paginate is None or trigger.paginate.type == "link":
        pages = {"first": None}
    for name, page in pages.items():
        request = on_the_wire(connector, trigger.request, {**scope, "page": page}, connection)
        yield f"triggers/{trigger.key}.{name}", request
