"""One described operation as an action, and as a trigger where it lists records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from app.catalog.complaints import complaint
from app.catalog.format.definition import Action, Connector, PollTrigger
from app.catalog.references import faults
from app.imports.apis.described import Described
from app.imports.apis.inputs import Inputs, TooHard
from app.imports.apis.names import key_of, label_of, plain_text
from app.imports.apis.outputs import example_table, output_fields
from app.imports.apis.references import References
from app.imports.apis.requests import build_request
from app.imports.apis.shapes import Shapes
from app.imports.apis.sign_in import SignIn, Way
from app.imports.apis.triggers import trigger_of

_REPEATABLE = frozenset(("GET", "PUT", "DELETE"))
_DOCS = "https://www.openapis.org"


@dataclass
class DraftOperation:
    """`reason`: why it cannot be used, '' if it can.  `samples`: a value per required input."""

    title: str
    key: str = ""
    label: str = ""
    tag: str = ""
    reason: str = ""
    deprecated: bool = False
    action: dict[str, Any] = field(default_factory=dict)
    trigger: dict[str, Any] = field(default_factory=dict)
    samples: dict[str, Any] = field(default_factory=dict)


class OperationMaker:
    """`made_requests`: (path, request, whether it wants credentials) of everything that was made."""

    def __init__(self, shapes: Shapes, sign_in: SignIn) -> None:
        self._shapes = shapes
        self._sign_in = sign_in
        self._keys: set[str] = set()
        self._trigger_keys: set[str] = set()
        self.made_requests: list[tuple[str, dict[str, Any], bool]] = []

    def made(
        self, one: Described, prefix: str | None, references: References, at: str = ""
    ) -> DraftOperation:
        """`prefix` None: on no address that is known.  `at`: an address besides the connector's own."""
        draft = DraftOperation(one.title, tag=plain_text(one.tag, 60), deprecated=one.deprecated)
        name = one.name.rpartition("/")[2] if "/" in one.name else one.name
        draft.label = plain_text(one.summary, 120) or label_of(name or _named_by_path(one))[:120]
        try:
            if one.problem:
                raise TooHard(one.problem.rstrip("."))
            if prefix is None:
                listed = one.servers if isinstance(one.servers, list) else []
                where = next(
                    (str(s["url"])[:80] for s in listed if isinstance(s, dict) and s.get("url")),
                    "the first one",
                )
                raise TooHard(f"it lives at another address, {where}: bring that in by itself")
            ways = self._sign_in.ways_of(one.security, _needed(one))
            usable = [way for way in ways if not way.reason]
            if ways and not usable:
                raise TooHard(ways[0].reason)
            self._make(draft, one, prefix, usable)
            if at:
                draft.action["requests"][0]["at"] = at
                if draft.trigger:
                    draft.trigger["request"]["at"] = at
                self.made_requests.pop()  # “Test connection” asks the connector's own address
        except TooHard as reason:
            draft.reason = f"{str(reason)[:1].upper()}{str(reason)[1:]}."
        except RecursionError:
            draft.reason = "Its schemas are nested too deeply to be read."
        return draft

    def _make(self, draft: DraftOperation, one: Described, prefix: str, ways: list[Way]) -> None:
        hidden = frozenset(name for way in ways for name in way.hidden)
        inputs = Inputs(self._shapes)
        built = build_request(one, inputs, prefix, hidden)
        besides = {name: value for way in ways for name, value in way.query.items()}
        if besides:
            built.request["query"] = {**built.request.get("query", {}), **besides}
        example = example_table(one.answer_example)
        draft.key = key_of(one.name or _named_by_path(one), self._keys, one.method.lower())
        action: dict[str, Any] = {
            "key": draft.key,
            "label": draft.label,
            "description": _about(one, draft.label),
            "docs": one.docs,
            "idempotent": one.method in _REPEATABLE,
        }
        if built.idempotency:
            action["idempotency"] = {"header": built.idempotency}
        if built.one_of:
            action["one_of"] = list(built.one_of)
        scopes = next((way.scopes for way in ways if way.auth.get("type") == "oauth2" and way.scopes), ())
        if scopes:
            action["scopes"] = list(scopes)
        if inputs.fields:
            action["input"] = inputs.fields
        action["requests"] = [built.request]
        if fields := output_fields(self._shapes, one.answer, example):
            action["output"] = {"fields": fields}
        _validate(Action, action)
        self._keys.add(draft.key)
        draft.action, draft.samples = action, inputs.samples
        needs = any(field.get("required") for field in inputs.fields)
        self.made_requests.append((one.path, {**built.request, "needs": needs}, bool(ways)))
        self._add_trigger(draft, one, prefix, hidden, besides)

    def _add_trigger(
        self,
        draft: DraftOperation,
        one: Described,
        prefix: str,
        hidden: frozenset[str],
        besides: dict[str, str],
    ) -> None:
        """A list that does not tell enough stays an action alone."""
        try:
            found = trigger_of(self._shapes, one, prefix, hidden)
        except (TooHard, RecursionError):
            return
        if found is None:
            return
        made, inputs = found
        key = key_of(f"new_{draft.key.removeprefix('list_').removeprefix('get_')}", self._trigger_keys)
        if besides:
            made["request"]["query"] = {**made["request"].get("query", {}), **besides}
        trigger = {
            "key": key,
            "label": f"New: {draft.label}"[:200],
            "description": f"Starts the flow once for every new record. {_about(one, draft.label)}"[:500],
            "docs": one.docs,
            **({"input": inputs.fields} if inputs.fields else {}),
            **made,
        }
        try:
            _validate(PollTrigger, trigger)
        except TooHard:
            return
        self._trigger_keys.add(key)
        draft.trigger = trigger


def _needed(one: Described) -> frozenset[str]:
    return frozenset(f"{other.place}:{other.name}".lower() for other in one.parameters if other.required)


def _validate(kind: type[Action] | type[PollTrigger], data: dict[str, Any]) -> None:
    checked = {**data, "docs": data["docs"] or _DOCS}
    try:
        kind.model_validate(checked)
    except ValidationError as error:
        place, sentence = complaint(error, checked, kind)
        raise TooHard(f"{place}: {sentence}".rstrip(".")[:300]) from error


def _named_by_path(one: Described) -> str:
    parts = [part.strip("{}") for part in one.path.split("/") if part]
    return "_".join([{"GET": "get", "POST": "post"}.get(one.method, one.method.lower()), *parts[-4:]])


def _about(one: Described, label: str) -> str:
    text = plain_text(one.description, 380) or plain_text(one.summary, 380) or label
    return f"{text} (No longer recommended.)" if one.deprecated else text


def at_of(operations: Iterable[DraftOperation]) -> list[str]:
    """The addresses besides the connector's own that these go to."""
    requests = [one.action["requests"][0] for one in operations if one.action and not one.reason]
    return list(dict.fromkeys(request["at"] for request in requests if "at" in request))


def drop_faulty(head: dict[str, Any], operations: list[DraftOperation]) -> None:
    """What the quality check would refuse is refused here, with its reason.  Fills in missing `docs`."""
    for one in operations:
        for part in (one.action, one.trigger):
            if part and not _is_address(part["docs"]):
                part["docs"] = head["docs"]
    kept = [one for one in operations if one.action and not one.reason]
    connector = Connector.model_validate(
        {
            **head,
            "actions": {one.key: one.action for one in kept},
            "triggers": {one.trigger["key"]: one.trigger for one in kept if one.trigger},
        }
    )
    by_file = {f"actions/{one.key}.yaml": one for one in kept}
    triggers = {f"triggers/{one.trigger['key']}.yaml": one for one in kept if one.trigger}
    for fault in faults(connector):
        if fault.file in by_file:
            by_file[fault.file].reason = f"{fault.field}: {fault.sentence}"
        elif fault.file in triggers:
            triggers[fault.file].trigger = {}
    for one in operations:
        if one.reason:
            one.action, one.trigger, one.samples = {}, {}, {}


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://")) and not set(text) & set(' "<>\n\t') and len(text) < 500
