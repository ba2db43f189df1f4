"""The order and pace of a flow's runs and how often a step tries again, as the builder says it."""

from __future__ import annotations

import re
from typing import Any

from app.engine.retry import spans
from app.flows.mapping.picker import PickerNode, humanise, tree
from app.flows.model import FlowDefinition, Mapping, RetryPolicy
from app.web.builder.forms import Data

Errors = dict[str, str]
Options = list[tuple[str, str]]

WHOLE_FLOW = "all"
_MOST_FIELDS = 60
_ONE_REFERENCE = re.compile(r"""\{\{\s*[^{}|]*?(?:\['([^'\]]+)'\]|\.(\w+))\s*\}\}""")
_ODD_FIRST = ("email", "e-mail", "mail", "id", "phone", "contact", "customer")


def shown_pace(definition: FlowDefinition) -> Data:
    most = definition.most_at_once
    return {"one_by_one": definition.one_by_one.value, "most_at_once": "" if most is None else str(most)}


def read_pace(definition: FlowDefinition, typed: Any, errors: Errors) -> dict[str, Any]:
    """What the form says of the flow itself, as changes of its model."""
    if not isinstance(typed, dict):
        return {}
    value = str(typed.get("one_by_one", definition.one_by_one.value))[:2000].strip()
    most = str(typed.get("most_at_once") or "").strip()
    if most and not (most.isdecimal() and most.isascii() and 1 <= int(most[:6]) <= 1000):
        errors["flow.most_at_once"] = f"Write a number from 1 to 1,000, or nothing. You wrote “{most[:40]}”."
        return {}
    return {"one_by_one": Mapping(value=value), "most_at_once": int(most) if most else None}


def line_options(definition: FlowDefinition, sample: Any) -> Options:
    """By what runs may stand in line: nothing, a field of the sample, or the flow as a whole."""
    current = definition.one_by_one.value
    fields = [] if sample is None else _fields(tree(sample, "trigger"))
    options = [
        ("", "no: runs go side by side"),
        *((reference, f"yes, for each {words}") for reference, words in fields),
        (WHOLE_FLOW, "yes, all runs of this flow"),
    ]
    if current and current not in [value for value, _ in options]:
        options.insert(1, (current, f"yes, for each {_words(current)}"))
    return options


def _words(template: str) -> str:
    """Of a single reference its last name, as the picker writes it; else the text as it is."""
    found = _ONE_REFERENCE.fullmatch(template)
    return humanise(found[1] or found[2]) if found else template[:80]


def _fields(root: PickerNode) -> Options:
    found = [node for node in _leaves(root) if node.sample]
    found.sort(key=lambda node: not any(word in node.label.lower() for word in _ODD_FIRST))
    return [
        (f"{{{{{node.reference}}}}}", f"{node.label} ({node.sample[:40]})") for node in found[:_MOST_FIELDS]
    ]


def _leaves(node: PickerNode) -> list[PickerNode]:
    if node.kind in ("text", "number"):
        return [node]
    return [] if node.kind == "list" else [leaf for child in node.children for leaf in _leaves(child)]


# ------------------------------------------------------------------------------------ trying again


def retry_sentence(data: Any) -> str:
    """What numbers of one's own come to."""
    try:
        policy = RetryPolicy.model_validate(data)
    except ValueError:
        return ""
    waits = spans(policy)
    if not waits:
        return "One try and no more."
    shown = ", ".join(seconds_words(wait) for wait in waits[:5]) + (" and so on" if len(waits) > 5 else "")
    tries = f"{len(waits) + 1} tries, with waits of up to {shown}"
    return f"{tries}: over after at most {seconds_words(sum(waits))}."


def seconds_words(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size, 1)
            return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
    return f"{seconds:g} second" if seconds == 1 else f"{seconds:g} seconds"
