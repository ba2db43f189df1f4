"""Whether everything a connector's files refer to is there: inputs, connection fields, limits, lookups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from app.catalog.format.auth import Auth, TokenAuth, check_auth
from app.catalog.format.definition import (
    Action,
    Connector,
    ErrorRule,
    InputField,
    Lookup,
    PollTrigger,
    Request,
    WebhookTrigger,
)
from app.catalog.templates import EACH, Reference, references_in, texts_in
from app.flows.near import nearest_hint

_SECRET_PIPES = frozenset({"path"})
_SAFE_IN_PATH = (("path",), ("md5lower",), ("number",), ("epoch_s",), ("epoch_ms",))
_API = ("version",)
_FIXED = frozenset({"connection", "api"})


@dataclass(frozen=True)
class Place:
    """`file` is relative to the connector's folder."""

    file: str
    field: str
    roots: frozenset[str]
    inputs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Fault:
    file: str
    field: str
    sentence: str


def faults(connector: Connector) -> Iterator[Fault]:
    yield from _connector(connector)
    for action in connector.actions.values():
        yield from _action(connector, action)
    for trigger in connector.triggers.values():
        if isinstance(trigger, PollTrigger):
            yield from _poll(connector, trigger)
        else:
            yield from _webhook(connector, trigger)
    for lookup in connector.lookups.values():
        yield from _lookup(connector, lookup)


def _connector(connector: Connector) -> Iterator[Fault]:
    file = "connector.yaml"
    names = {field.key for field in connector.all_fields()}
    for auth in connector.auth:
        try:
            check_auth(auth, names)
        except ValueError as reason:
            yield Fault(file, "auth", f"{reason}.")
        yield from _auth(connector, auth, file)
    yield from _leads(connector, connector.api.base_url, Place(file, "api.base_url", _FIXED))
    yield from _templates(
        connector, connector.headers, Place(file, "headers", frozenset({"api", "connection"}))
    )
    yield from _rules(connector.errors, Place(file, "errors", frozenset({"response"})))
    if connector.check is not None:
        here = Place(file, "check.request", frozenset({"api", "connection"}))
        yield from _request(connector, connector.check.request, here)
    yield from _twice([limit.key for limit in connector.limits], file, "limits", "limit")
    yield from _twice([auth.key for auth in connector.auth], file, "auth", "way to connect")


def _auth(connector: Connector, auth: Auth, file: str) -> Iterator[Fault]:
    if not isinstance(auth, TokenAuth):
        return
    for name in ("token_url", "authorize_url", "refresh_url", "revoke_url"):
        if url := getattr(auth, name, ""):
            place = Place(file, f"auth.{auth.key}.{name}", _FIXED)
            yield from _leads(connector, url, place)
            if url.startswith("http://") and not _is_this_machine(url):
                yield Fault(file, place.field, "secrets go there, so the address has to begin with https://.")
    for key in auth.keep:
        field = connector.field_of(key)
        if field is None or field.secret:
            yield Fault(file, f"auth.{auth.key}.keep", f"'{key}' is no public field of the connection.")


def _is_this_machine(url: str) -> bool:
    return re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]", url) is not None


def _leads(connector: Connector, url: str, place: Place) -> Iterator[Fault]:
    """The fields in it decide which host gets the secrets, so each is public and held to a pattern."""
    yield from _templates(connector, url, place)
    used = [one for one in references_in(url) if one.root == "connection" and one.path]
    if not used and not url.startswith(("https://", "http://")):
        yield Fault(place.file, place.field, "the address has to begin with https://.")
    for reference in used:
        field = connector.field_of(reference.path[0])
        if field is not None and (field.secret or not field.pattern):
            yield Fault(
                place.file,
                place.field,
                f"{reference.text} decides where secrets go: its field has to be public and have a pattern.",
            )


def _twice(keys: list[str], file: str, field: str, noun: str) -> Iterator[Fault]:
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield Fault(file, field, f"the {noun} '{key}' is there twice.")


# ----------------------------------------------------------------------------------- operations


def _action(connector: Connector, action: Action) -> Iterator[Fault]:
    file = f"actions/{action.key}.yaml"
    inputs = frozenset(field.key for field in action.input if field.type != "fields")
    roots = frozenset({"api", "connection", "input", "fields"})
    if action.later is not None and action.later.callback is not None:
        roots |= {"callback"}
    for request in action.requests:
        yield from _request(connector, request, Place(file, f"requests.{request.id}", roots, inputs))
    yield from _later(connector, action, Place(file, "later", roots, inputs))
    yield from _batch(connector, action, Place(file, "batch", roots, inputs))
    yield from _lookups_of(connector, action.input, file)
    if any(field.type == "fields" for field in action.input):
        used = any(one.root == "fields" for one in references_in([r.body for r in action.requests]))
        if not used:
            yield Fault(file, "requests", "an input has the type fields, but no body uses ${fields}.")


def _later(connector: Connector, action: Action, place: Place) -> Iterator[Fault]:
    later = action.later
    if later is None:
        return
    if later.check is not None and later.check.request is not None:
        roots = place.roots | {"accepted"}
        inner = Place(place.file, "later.check.request", roots, place.inputs)
        yield from _request(connector, later.check.request, inner)
    if later.callback is not None and not _uses(action.requests, "callback"):
        yield Fault(place.file, "later.callback", "no request sends ${callback}, so nobody can call it.")


def _batch(connector: Connector, action: Action, place: Place) -> Iterator[Fault]:
    batch = action.batch
    if batch is None:
        return
    roots = place.roots | {"records"}
    inner = Place(place.file, "batch.request", roots, place.inputs)
    yield from _request(connector, batch.request, inner)
    for name, part in (("record", batch.record), ("match", batch.match)):
        yield from _templates(connector, part, Place(place.file, f"batch.{name}", place.roots, place.inputs))
    if not any(one.root == "records" for one in references_in(batch.request.body)):
        yield Fault(place.file, "batch.request", "its body does not use ${records}.")
    for request in (batch.request.path, batch.request.query, batch.request.headers):
        if any(one.root in ("fields", "records") for one in references_in(request)):
            yield Fault(place.file, "batch.request", "only its body can hold ${fields} or ${records}.")


def _uses(requests: Iterable[Request], root: str) -> bool:
    parts = [part for one in requests for part in (one.path, one.query, one.headers, one.body)]
    return any(one.root == root for one in references_in(parts))


def _poll(connector: Connector, trigger: PollTrigger) -> Iterator[Fault]:
    file = f"triggers/{trigger.key}.yaml"
    inputs = frozenset(field.key for field in trigger.input)
    roots = {"api", "connection", "input"}
    roots |= {"cursor"} if trigger.cursor is not None else set()
    roots |= {"page"} if trigger.paginate is not None else set()
    yield from _request(connector, trigger.request, Place(file, "request", frozenset(roots), inputs))
    yield from _page_used(trigger.request, trigger.paginate, file)
    yield from _lookups_of(connector, trigger.input, file)


def _webhook(connector: Connector, trigger: WebhookTrigger) -> Iterator[Fault]:
    file = f"triggers/{trigger.key}.yaml"
    yield from _lookups_of(connector, trigger.input, file)
    yield from _subscribe(connector, trigger, file)
    secrets = [("verify.secret", trigger.verify.secret)]
    for shake in trigger.handshakes:
        secrets += [("handshakes", one.secret) for one in (shake.token, shake.proof) if one is not None]
    for field, key in secrets:
        if not key:
            continue
        found = connector.field_of(key)
        if found is None or not found.secret:
            yield Fault(file, field, f"'{key}' is no secret field of the connection.")


def _subscribe(connector: Connector, trigger: WebhookTrigger, file: str) -> Iterator[Fault]:
    subscribe = trigger.subscribe
    inputs = frozenset(field.key for field in trigger.input)
    for purpose, request in subscribe.requests.items():
        roots = {"api", "connection", "input"}
        if purpose != "ask":
            roots |= {"subscription"} | ({"asked"} if subscribe.ask is not None else set())
        if purpose == "look" and subscribe.look is not None and subscribe.look.paginate is not None:
            roots |= {"page"}
        place = Place(file, f"subscribe.{purpose}", frozenset(roots), inputs)
        yield from _request(connector, request, place)
        for reference in references_in([request.path, request.query, request.headers, request.body]):
            if reference.root == "subscription" and (why := _wrong_subscription(trigger, purpose, reference)):
                yield Fault(file, place.field, f"{reference.text}: {why}")
    if subscribe.create is not None and not any(
        one.root == "subscription" and one.path == ("address",)
        for one in references_in([subscribe.create.path, subscribe.create.query, subscribe.create.body])
    ):
        yield Fault(file, "subscribe.create", "it does not send ${subscription.address}.")
    if subscribe.look is not None:
        yield from _page_used(subscribe.look.request, subscribe.look.paginate, file)


def _wrong_subscription(trigger: WebhookTrigger, purpose: str, reference: Reference) -> str:
    known = {"address", "tag"}
    known |= {"secret"} if trigger.subscribe.makes_secret else set()
    known |= {"id"} if purpose in ("then", "renew", "look", "remove") else set()
    if len(reference.path) != 1 or reference.path[0] not in known:
        return f"there is {', '.join(sorted(known))}."
    is_open = reference.path[0] in ("id", "tag") or set(reference.pipes) <= _SECRET_PIPES
    return "" if is_open else "it is put in at the very end, so no pipe can work on it."


def _lookup(connector: Connector, lookup: Lookup) -> Iterator[Fault]:
    file = f"lookups/{lookup.key}.yaml"
    roots = {"api", "connection", "input"} | ({"page"} if lookup.paginate is not None else set())
    place = Place(file, "request", frozenset(roots), frozenset(lookup.needs))
    yield from _request(connector, lookup.request, place)
    asked = Place(file, "where", frozenset({"input"}), frozenset(lookup.needs))
    yield from _templates(connector, list(lookup.where.values()), asked)
    yield from _page_used(lookup.request, lookup.paginate, file)


def _page_used(request: Request, paginate: Any, file: str) -> Iterator[Fault]:
    if paginate is None or paginate.type == "link":
        return
    if not any(one.root == "page" for one in references_in([request.path, request.query, request.body])):
        yield Fault(file, "paginate", "the request does not use ${page}, so every page would be the same.")


def _lookups_of(connector: Connector, fields: tuple[InputField, ...], file: str) -> Iterator[Fault]:
    keys = {field.key for field in fields}
    for field in fields:
        if not field.lookup:
            continue
        place = f"input.{field.key}.lookup"
        lookup = connector.lookups.get(field.lookup)
        if lookup is None:
            hint = nearest_hint(field.lookup, sorted(connector.lookups), "There is")
            yield Fault(file, place, f"there is no lookups/{field.lookup}.yaml. {hint}".rstrip())
        elif (lookup.fields is not None) != (field.type == "fields"):
            given = "fields" if lookup.fields is not None else "options"
            yield Fault(file, place, f"lookups/{field.lookup}.yaml gives {given}, which does not fit.")
        elif missing := sorted(set(lookup.needs) - keys):
            yield Fault(file, place, f"lookups/{field.lookup}.yaml needs '{missing[0]}', which is no input.")


# ------------------------------------------------------------------------------------- requests


def _request(connector: Connector, request: Request, place: Place) -> Iterator[Fault]:
    if request.at and request.at not in connector.api.also_at:
        yield Fault(place.file, f"{place.field}.at", f"'{request.at}' is none of api.also_at.")
    for reference in references_in(request.path):
        if reference.root != "api" and reference.pipes[-1:] not in _SAFE_IN_PATH:
            yield Fault(place.file, f"{place.field}.path", f"{reference.text} has to end with | path here.")
    parts = {"path": request.path, "query": request.query, "headers": request.headers}
    for name, part in parts.items():
        inner = Place(place.file, f"{place.field}.{name}", place.roots, place.inputs)
        yield from _templates(connector, part, inner)
    roots = place.roots | ({"item"} if EACH in texts_in(request.body) else set())
    body = Place(place.file, f"{place.field}.body", frozenset(roots), place.inputs)
    yield from _templates(connector, request.body, body)
    yield from _rules(request.errors, Place(place.file, f"{place.field}.errors", frozenset({"response"})))
    known = [limit.key for limit in connector.limits]
    for key in request.limits or ():
        if key not in known:
            hint = nearest_hint(key, known, "There is")
            yield Fault(place.file, f"{place.field}.limits", f"there is no limit '{key}'. {hint}".rstrip())


def _rules(rules: tuple[ErrorRule, ...], place: Place) -> Iterator[Fault]:
    for rule in rules:
        for reference in references_in(rule.message):
            if reference.root != "response" or reference.pipes or not reference.path:
                yield Fault(
                    place.file,
                    place.field,
                    f"{reference.text} cannot stand in a message, only ${{response.path}}.",
                )


def _templates(connector: Connector, node: Any, place: Place) -> Iterator[Fault]:
    for reference in references_in(node):
        sentence = _wrong(connector, reference, place)
        if sentence:
            yield Fault(place.file, place.field, f"{reference.text}: {sentence}")


def _wrong(connector: Connector, reference: Reference, place: Place) -> str:
    root, path = reference.root, reference.path
    if root not in place.roots:
        return f"'{root}' is not known in this place. There is {', '.join(sorted(place.roots))}."
    if root in ("fields", "cursor", "page", "callback", "records"):
        return f"'{root}' has no parts." if path else ""
    if root in ("item", "accepted", "asked", "subscription"):
        return ""
    if not path:
        return f"'{root}' alone says nothing; write ${{{root}.name}}."
    if root == "api":
        return "" if path[0] in _API and len(path) == 1 else f"There is {', '.join(_API)}."
    if root == "connection":
        return _wrong_field(connector, reference)
    if root == "input" and path[0] not in place.inputs:
        hint = nearest_hint(path[0], sorted(place.inputs), "There is")
        return f"there is no input '{path[0]}'. {hint}".rstrip()
    return ""


def _wrong_field(connector: Connector, reference: Reference) -> str:
    name = reference.path[0]
    field = connector.field_of(name)
    if field is None or len(reference.path) > 1:
        known = sorted({one.key for one in connector.all_fields()})
        return f"the connection has no field '{name}'. {nearest_hint(name, known, 'There is')}".rstrip()
    if field.secret and not set(reference.pipes) <= _SECRET_PIPES:
        return "a secret is put in at the very end, so no pipe can work on it."
    return ""
