"""Conditions of IF, Filter and Switch, in the shapes of all their versions, as ours."""

from __future__ import annotations

from itertools import product
from typing import Any

from app.flows.model import Condition, Conditions, Mapping, Operator
from app.imports.flows.expressions.conditions import groups_of
from app.imports.flows.expressions.reader import Binary, Call, Unary, read_expression
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings, blocks_of

Groups = list[list[Condition]]
MOST_GROUPS = 50

_OPERATORS: dict[str, Operator] = {
    "equal": "equals", "equals": "equals", "notEqual": "not_equals", "notEquals": "not_equals",
    "contains": "contains", "notContains": "not_contains", "startsWith": "starts_with",
    "notStartsWith": "not_starts_with", "endsWith": "ends_with", "notEndsWith": "not_ends_with",
    "regex": "matches", "notRegex": "not_matches", "isEmpty": "is_empty", "isNotEmpty": "is_not_empty",
    "empty": "is_empty", "notEmpty": "is_not_empty", "exists": "exists", "notExists": "not_exists",
    "smaller": "less", "smallerEqual": "less_or_equal", "larger": "greater",
    "largerEqual": "greater_or_equal",
    "lt": "less", "lte": "less_or_equal", "gt": "greater", "gte": "greater_or_equal",
    "after": "after", "before": "before", "true": "is_true", "false": "is_false",
    "lengthEquals": "length_equals", "lengthGt": "length_greater", "lengthLt": "length_less",
}  # fmt: skip
_ALONE = frozenset(("is_empty", "is_not_empty", "exists", "not_exists", "is_true", "is_false"))
_DATES: dict[str, Operator] = {
    "afterOrEquals": "greater_or_equal",
    "beforeOrEquals": "less_or_equal",
    "gt": "after",
    "lt": "before",
    "gte": "greater_or_equal",
    "lte": "less_or_equal",
}


def read_conditions(settings: Settings, place: str = "conditions") -> Conditions | None:
    """None: there are none (an empty part, as templates have it)."""
    found = settings.peek_raw(place)
    if isinstance(found, dict) and isinstance(found.get("conditions"), list):
        groups = _newer(settings, place)
    else:
        groups = _older(settings, place)
    settings.ignore(place, "combineOperation", "looseTypeValidation")
    return Conditions(groups=groups[:MOST_GROUPS]) if groups else None


def _newer(settings: Settings, place: str) -> Groups:
    """`{combinator, conditions: [{leftValue, rightValue, operator: {type, operation}}]}`."""
    ignore_case = settings.peek(f"{place}.options.caseSensitive") is False
    if settings.peek("options.ignoreCase") is True:
        ignore_case = True
    settings.ignore(f"{place}.options", "options.ignoreCase", "options.looseTypeValidation")
    found = [
        _one(settings, f"{place}.conditions[{index}]", row, ignore_case)
        for index, row in enumerate(settings.rows(f"{place}.conditions"))
    ]
    return combined(found, any_of=settings.peek(f"{place}.combinator") == "or", settings=settings)


def combined(found: list[Groups], *, any_of: bool, settings: Settings) -> Groups:
    """OR: all groups side by side.  AND: each group of one with each of the others."""
    found = [groups for groups in found if groups]
    if any_of:
        return [group for groups in found for group in groups]
    count = 1
    for groups in found:
        count *= len(groups)
    if count > MOST_GROUPS:
        settings.leave_out("conditions", "Too many conditions are nested into each other.")
        found = [groups[:1] for groups in found]
    return [[one for group in groups for one in group] for groups in product(*found)] if found else []


def _one(settings: Settings, at: str, row: dict[str, Any], ignore_case: bool) -> Groups:
    operator = row.get("operator")
    facts = operator if isinstance(operator, dict) else {"operation": operator}
    kind, operation = str(facts.get("type", "")), str(facts.get("operation", "equals"))
    wanted = row.get("rightValue")
    if row.get("leftValue") in ("", None) and wanted in ("", None):
        settings.ignore(at)
        return []
    if groups := _from_expression(settings, f"{at}.leftValue", row.get("leftValue"), operation, wanted):
        return groups
    known = _operator(kind, operation)
    if known is None:
        settings.leave_out(f"the comparison '{operation}'", "There is no such comparison here.")
        known = "equals"
    left = settings.mapping(f"{at}.leftValue")
    right = Mapping() if known in _ALONE else settings.mapping(f"{at}.rightValue")
    settings.ignore(at)
    return [[_condition(left, known, right, ignore_case)]]


def _operator(kind: str, operation: str) -> Operator | None:
    if kind == "dateTime" and operation in _DATES:
        return _DATES[operation]
    return _OPERATORS.get(operation)


def _condition(left: Mapping, operator: Operator, right: Mapping, ignore_case: bool) -> Condition:
    """Comparing with nothing is asking whether there is something."""
    if operator == "equals" and not right.value:
        operator = "is_empty"
    elif operator == "not_equals" and not right.value:
        operator = "is_not_empty"
    if operator == "matches" or operator == "not_matches":
        right = Mapping(value=_pattern(right.value))
    return Condition(left=left, operator=operator, right=right, ignore_case=ignore_case)


def _pattern(text: str) -> str:
    """`/abc/i` is `abc`."""
    if text.startswith("/") and text.rfind("/") > 0:
        body, _, flags = text[1:].rpartition("/")
        return f"(?i){body}" if "i" in flags else body
    return text


def _from_expression(settings: Settings, place: str, left: Any, operation: str, right: Any) -> Groups:
    """`{{ a === "x" && b > 3 }}` *is true* says itself what it compares."""
    template = settings.source(left)
    if template is None:
        return []
    wants = _wanted_flag(operation, right)
    blocks = blocks_of(template)
    whole = template.strip().startswith("{{") and template.strip().endswith("}}")
    if wants is None or len(blocks) != 1 or not whole:
        return []
    try:
        tree = read_expression(blocks[0])
        if not isinstance(tree, Binary | Unary | Call):
            return []  # a value that is true or false by itself
        groups = groups_of(tree, settings.seen, negated=not wants)
    except NotCarried:
        return []
    settings.report.expression_carried(settings.part, place, 0)
    settings.ignore(place.rpartition(".")[0])
    return groups


def _wanted_flag(operation: str, right: Any) -> bool | None:
    if operation in ("true", "false"):
        return operation == "true"
    if operation in ("equals", "equal") and right in (
        True,
        False,
        "true",
        "false",
        "={{ true }}",
        "={{true}}",
    ):
        return right not in (False, "false")
    return None


def _older(settings: Settings, place: str) -> Groups:
    """`{string: [{value1, operation, value2}], number: […], boolean: […], dateTime: […]}`."""
    found: list[Groups] = []
    kinds = settings.peek_raw(place)
    for kind in ("string", "number", "boolean", "dateTime") if isinstance(kinds, dict) else ():
        for index, row in enumerate(settings.rows(f"{place}.{kind}")):
            found += [_old_one(settings, f"{place}.{kind}[{index}]", kind, row)]
    any_of = settings.peek("combineOperation") == "any"
    return combined(found, any_of=any_of, settings=settings)


def old_rule(settings: Settings, at: str, kind: str, row: dict[str, Any]) -> Groups:
    """A rule of an older Switch: all of them look at the same `value1`."""
    known = _OPERATORS.get(str(row.get("operation", _USUAL.get(kind, "equal"))), "equals")
    left = settings.mapping("value1")
    right = Mapping() if known in _ALONE else settings.mapping(f"{at}.value2")
    settings.ignore(at)
    return [[_condition(left, known, right, ignore_case=False)]]


_USUAL = {"string": "equal", "number": "smaller", "boolean": "equal", "dateTime": "after"}


def _old_one(settings: Settings, at: str, kind: str, row: dict[str, Any]) -> Groups:
    operation = str(row.get("operation", _USUAL[kind]))
    if kind == "boolean" and operation == "equal" and "value2" not in row:
        row = {**row, "value2": False}
    if groups := _from_expression(settings, f"{at}.value1", row.get("value1"), operation, row.get("value2")):
        return groups
    known = _OPERATORS.get(operation)
    if known is None:
        settings.leave_out(f"the comparison '{operation}'", "There is no such comparison here.")
        known = "equals"
    left = settings.mapping(f"{at}.value1")
    right = Mapping() if known in _ALONE else settings.filled(row.get("value2", ""), f"{at}.value2")
    settings.ignore(at)
    return [[_condition(left, known, right, ignore_case=False)]]
