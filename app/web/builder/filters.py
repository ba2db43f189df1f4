"""Small helpers of the builder's templates: ids of fields, keys of inputs, operators in groups."""

from __future__ import annotations

import re
from typing import cast
from zoneinfo import available_timezones

from flask import Blueprint, Flask
from flask.blueprints import BlueprintSetupState

from app.flows.conditions import OPERATORS
from app.web.builder.forms import field_key
from app.web.builder.pace import seconds_words

blueprint = Blueprint("builder_filters", __name__)

_ODD = re.compile(r"[^a-zA-Z0-9_]")


def field_id(name: str) -> str:
    """A field's name as an id that needs no escaping in selectors: `request.url` is `request-url`."""
    return _ODD.sub(lambda match: "-" if match.group() == "." else f"-{ord(match.group()):x}-", name)


def operator_groups() -> list[tuple[str, list[tuple[str, str]]]]:
    """(label of the group, its operators with their words), in the order they were written."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for key, facts in OPERATORS.items():
        groups.setdefault(facts.group, []).append((key, facts.label))
    return list(groups.items())


def needs_right(operator: str) -> bool:
    facts = OPERATORS.get(operator)  # type: ignore[call-overload]
    return facts is None or bool(facts.needs_right)


def compares_text(operator: str) -> bool:
    """Does it matter to this operator whether letters are large or small?"""
    facts = OPERATORS.get(operator)  # type: ignore[call-overload]
    return facts is not None and facts.group == "Text"


def zones() -> list[str]:
    return sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/"))


@blueprint.record_once
def _register(state: BlueprintSetupState) -> None:
    environment = cast(Flask, state.app).jinja_env
    environment.filters |= {
        "field_id": field_id,
        "field_key": field_key,
        "seconds_words": seconds_words,
    }
    environment.globals |= {
        "operator_groups": operator_groups,
        "needs_right": needs_right,
        "compares_text": compares_text,
        "time_zones": zones,
    }
