"""Conditions: operators, and a verdict that says in words what was compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, Literal, cast
from zoneinfo import ZoneInfo

import re2

from app.errors import AppError
from app.flows.mapping.functions.function import shown, zone_named
from app.flows.mapping.jsonpath import MISSING
from app.flows.mapping.jsonpath import parse_path as _parse_path
from app.flows.mapping.picker import humanise
from app.flows.mapping.template import Finding, Reference, compile_template, resolve
from app.flows.mapping.values import as_flag, as_moment, as_number, as_text, is_empty
from app.flows.model import Condition, Conditions, Mapping, Operator

Group = Literal["Text", "Number", "Date", "Yes or no", "Presence", "List"]

LIMIT_PATTERN: Final = 1000
LIMIT_SEARCHED: Final = 200_000
LIMIT_COMPARISONS: Final = 100_000


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """`label` reads between the two sides: "Order total *is at least* 150"."""

    label: str
    needs_right: bool
    group: Group


OPERATORS: Final[dict[Operator, OperatorFacts]] = {
    "equals": OperatorFacts("is", True, "Text"),
    "not_equals": OperatorFacts("is not", True, "Text"),
    "contains": OperatorFacts("contains", True, "Text"),
    "not_contains": OperatorFacts("does not contain", True, "Text"),
    "starts_with": OperatorFacts("starts with", True, "Text"),
    "not_starts_with": OperatorFacts("does not start with", True, "Text"),
    "ends_with": OperatorFacts("ends with", True, "Text"),
    "not_ends_with": OperatorFacts("does not end with", True, "Text"),
    "is_one_of": OperatorFacts("is one of", True, "List"),
    "is_not_one_of": OperatorFacts("is none of", True, "List"),
    "greater": OperatorFacts("is more than", True, "Number"),
    "greater_or_equal": OperatorFacts("is at least", True, "Number"),
    "less": OperatorFacts("is less than", True, "Number"),
    "less_or_equal": OperatorFacts("is at most", True, "Number"),
    "between": OperatorFacts("is between", True, "Number"),
    "before": OperatorFacts("is before", True, "Date"),
    "after": OperatorFacts("is after", True, "Date"),
    "is_true": OperatorFacts("is true", False, "Yes or no"),
    "is_false": OperatorFacts("is false", False, "Yes or no"),
    "is_empty": OperatorFacts("is empty", False, "Presence"),
    "is_not_empty": OperatorFacts("is not empty", False, "Presence"),
    "exists": OperatorFacts("is in the data", False, "Presence"),
    "not_exists": OperatorFacts("is not in the data", False, "Presence"),
    "matches": OperatorFacts("matches the pattern", True, "Text"),
    "not_matches": OperatorFacts("does not match the pattern", True, "Text"),
    "length_equals": OperatorFacts("has a length of", True, "List"),
    "length_greater": OperatorFacts("is longer than", True, "List"),
    "length_less": OperatorFacts("is shorter than", True, "List"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`sentence`: "Order total 128.70 is at least 150: no".  `findings`: what could not be compared.
    `absent`: what was not in the data where it may be absent, since that is what was asked."""

    holds: bool
    sentence: str
    findings: tuple[Finding, ...] = field(default=())
    absent: tuple[Finding, ...] = field(default=())


class _Odd(Exception):
    """The two sides cannot be compared in this way; the condition does not hold."""


@dataclass(frozen=True, slots=True)
class _Sides:
    left: Any
    right: Any
    right_to: Any
    ignore_case: bool
    zone: ZoneInfo

    def text(self, value: Any) -> str:
        text = as_text(value)
        return text.casefold() if self.ignore_case else text


def holds(conditions: Conditions, scope: dict[str, Any]) -> Verdict:
    """OR between the groups, AND inside one.  Never raises: what cannot be compared does not hold."""
    findings: list[Finding] = []
    absent: list[Finding] = []
    said: list[str] = []
    for group in conditions.groups:
        verdicts = [_judge(condition, scope, findings, absent) for condition in group]
        failed = [sentence for held, sentence in verdicts if not held]
        if not failed:
            sentence = ", and ".join(sentence for _, sentence in verdicts) or "There is no condition: yes"
            return Verdict(True, sentence, tuple(findings), tuple(absent))
        said.append(failed[0])
    sentence = ", and ".join(said) or "There is no condition: no"
    return Verdict(False, sentence, tuple(findings), tuple(absent))


def _judge(
    condition: Condition, scope: dict[str, Any], findings: list[Finding], absent: list[Finding]
) -> tuple[bool, str]:
    noticed: list[Finding] = []
    name = _name(condition.left)
    try:
        sides = _sides(condition, scope, noticed, name)
        (absent if OPERATORS[condition.operator].group == "Presence" else findings).extend(noticed)
        held = _TESTS[condition.operator](sides)
    except _Odd as odd:
        findings.append(Finding(name, f"{name}: {odd}", condition.left.value))
        return False, f"{_in_words(condition, name, scope)}: no ({odd})"
    except AppError as error:
        findings.append(Finding(name, error.sentence, condition.left.value))
        return False, f"{name} could not be read: no ({error.sentence})"
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        findings.append(Finding(name, f"{name} could not be compared.", condition.left.value))
        return False, f"{name} could not be compared: no ({type(error).__name__})"
    return held, f"{_sentence(condition, name, sides)}: {'yes' if held else 'no'}"


def _sides(condition: Condition, scope: dict[str, Any], findings: list[Finding], name: str) -> _Sides:
    run = scope.get("run")
    zone = run.get("time_zone") if isinstance(run, dict) else None
    facts = OPERATORS[condition.operator]
    right = (
        resolve(condition.right, scope, findings, "The value to compare with")
        if facts.needs_right
        else MISSING
    )
    right_to = (
        resolve(condition.right_to, scope, findings, "The value to compare with")
        if condition.operator == "between"
        else MISSING
    )
    return _Sides(
        resolve(condition.left, scope, findings, name),
        right,
        right_to,
        condition.ignore_case,
        (zone_named(zone) if isinstance(zone, str) else None) or ZoneInfo("UTC"),
    )


# ---------------------------------------------------------------------------------------- words


def _in_words(condition: Condition, name: str, scope: dict[str, Any]) -> str:
    return _sentence(condition, name, _sides(condition, scope, [], name))


def _sentence(condition: Condition, name: str, sides: _Sides) -> str:
    facts = OPERATORS[condition.operator]
    presence = facts.group == "Presence" and condition.operator in ("exists", "not_exists")
    value = (
        ""
        if presence
        else f" {_short(sides.left)}"
        if compile_template(condition.left.value).references
        else ""
    )
    words = f"{name}{value} {facts.label}"
    if facts.needs_right:
        words += f" {_short(sides.right)}"
    return f"{words} and {_short(sides.right_to)}" if condition.operator == "between" else words


def _name(left: Mapping) -> str:
    """`{{trigger:$['order_total']}}` -> `Order total`; a longer text as it is."""
    try:
        template = compile_template(left.value)
    except AppError:
        return shown(left.value)
    if not template.references:
        return shown(left.value)
    return _reference_name(template.references[0]) if template.single else shown(left.value)


def _reference_name(reference: Reference) -> str:
    segments = _parse_path(reference.path).segments or ()
    keys = [segment for segment in segments if isinstance(segment, str)]
    return humanise(keys[-1]) if keys else humanise(reference.root)


def _short(value: Any) -> str:
    if is_empty(value):
        return "(empty)"
    if isinstance(value, int | float):
        return as_text(value)[:60]
    if isinstance(value, list | dict) and (
        len(value) > 5 or any(isinstance(one, list | dict) for one in value)
    ):
        return f"({len(value)} {'items' if isinstance(value, list) else 'fields'})"
    text = shown(value)
    return text[1:-1] if as_number(value) is not None else text


# ---------------------------------------------------------------------------------------- tests


def _equal(sides: _Sides) -> bool:
    return _same(sides.left, sides.right, sides)


def _same(left: Any, right: Any, sides: _Sides) -> bool:
    """Numbers as numbers, true and false as such, dates of different spelling by their text."""
    if is_empty(left) or is_empty(right):
        return is_empty(left) and is_empty(right)
    if isinstance(left, list | dict) and isinstance(right, list | dict):
        return bool(left == right)
    numbers = as_number(left), as_number(right)
    if None not in numbers and _number_like(left, right):
        return numbers[0] == numbers[1]
    if isinstance(left, bool) or isinstance(right, bool):
        flags = as_flag(left), as_flag(right)
        return flags[0] is not None and flags[0] is flags[1]
    return sides.text(left).strip() == sides.text(right).strip()


def _number_like(left: Any, right: Any) -> bool:
    """Two texts are compared as text if one has a zero or a plus in front: 007 is no 7."""
    texts = [side.strip() for side in (left, right) if isinstance(side, str)]
    return not any(text[:1] == "+" or (text[:1] == "0" and text[1:2].isdecimal()) for text in texts)


def _contains(sides: _Sides) -> bool:
    if sides.right is MISSING or sides.right is None or sides.right == "":
        raise _Odd("there is nothing to look for")
    if isinstance(sides.left, list):
        _refuse_too_many(len(sides.left))
        return any(_same(item, sides.right, sides) for item in sides.left)
    if isinstance(sides.left, dict):
        return sides.text(sides.right) in {sides.text(key) for key in sides.left}
    return sides.text(sides.right) in sides.text(sides.left)


def _edge(test: Callable[[str, str], bool]) -> Callable[[_Sides], bool]:
    def apply(sides: _Sides) -> bool:
        wanted = sides.text(sides.right)
        if not wanted:
            raise _Odd("there is nothing to look for")
        return test(sides.text(sides.left), wanted)

    return apply


def _one_of(sides: _Sides) -> bool:
    choices = sides.right if isinstance(sides.right, list) else _split(as_text(sides.right))
    lefts = sides.left if isinstance(sides.left, list) else [sides.left]
    _refuse_too_many(len(lefts) * len(choices))
    return any(_same(left, choice, sides) for left in lefts for choice in choices)


def _refuse_too_many(comparisons: int) -> None:
    if comparisons > LIMIT_COMPARISONS:
        raise _Odd("the lists are too long to be compared")


def _split(text: str) -> list[Any]:
    separator = "\n" if "\n" in text else ";" if ";" in text else ","
    return [part.strip() for part in text.split(separator) if part.strip()]


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[_Sides], bool]:
    def apply(sides: _Sides) -> bool:
        left, right = _comparable(sides.left, sides.right, sides.zone)
        return test(left, right)

    return apply


def _comparable(left: Any, right: Any, zone: ZoneInfo) -> tuple[Any, Any]:
    """Both as numbers, or else both as dates."""
    for value in (left, right):
        if is_empty(value):
            raise _Odd("one side is empty")
    numbers: tuple[Decimal | None, Decimal | None] = as_number(left), as_number(right)
    if None not in numbers:
        return numbers
    moments: tuple[datetime | None, datetime | None] = as_moment(left, zone), as_moment(right, zone)
    if None not in moments:
        return moments
    odd = left if as_number(left) is None and as_moment(left, zone) is None else right
    raise _Odd(f"{shown(odd)} is neither a number nor a date")


def _between(sides: _Sides) -> bool:
    left, low = _comparable(sides.left, sides.right, sides.zone)
    same, high = _comparable(sides.left, sides.right_to, sides.zone)
    return bool(low <= left and same <= high)


def _dated(test: Callable[[datetime, datetime], bool]) -> Callable[[_Sides], bool]:
    def apply(sides: _Sides) -> bool:
        return test(_moment(sides.left, sides.zone), _moment(sides.right, sides.zone))

    return apply


def _moment(value: Any, zone: ZoneInfo) -> datetime:
    moment = as_moment(value, zone)
    if moment is None:
        raise _Odd("one side is empty" if is_empty(value) else f"{shown(value)} is not a date")
    return moment


def _flag(wanted: bool) -> Callable[[_Sides], bool]:
    def apply(sides: _Sides) -> bool:
        flag = as_flag(sides.left)
        if flag is None and not is_empty(sides.left):
            raise _Odd(f"{shown(sides.left)} is neither true nor false")
        return flag is wanted

    return apply


def _matches(sides: _Sides) -> bool:
    pattern = _pattern(as_text(sides.right), sides.ignore_case)
    return pattern.search(as_text(sides.left)[:LIMIT_SEARCHED]) is not None


def pattern_problem(text: str) -> str:
    """Why a pattern cannot be used; '' if it can."""
    try:
        _pattern(text, True)
    except _Odd as odd:
        return str(odd)
    return ""


@lru_cache(maxsize=1024)
def _pattern(text: str, ignore_case: bool) -> Any:
    if not text or len(text) > LIMIT_PATTERN:
        raise _Odd("the pattern is empty" if not text else "the pattern is too long")
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.log_errors = False
    options.max_mem = 4 << 20
    try:
        return re2.compile(text, options)
    except re2.error:
        raise _Odd(f"{shown(text)} is not a pattern that can be used") from None


def _sized(test: Callable[[int, Decimal], bool]) -> Callable[[_Sides], bool]:
    def apply(sides: _Sides) -> bool:
        wanted = as_number(sides.right)
        if wanted is None:
            raise _Odd(f"{shown(sides.right)} is not a number")
        size = len(sides.left) if isinstance(sides.left, list | dict) else len(as_text(sides.left))
        return test(size, wanted)

    return apply


def _not(test: Callable[[_Sides], bool]) -> Callable[[_Sides], bool]:
    return lambda sides: not test(sides)


_TESTS = cast(
    dict[Operator, Callable[[_Sides], bool]],
    {
        "equals": _equal,
        "not_equals": _not(_equal),
        "contains": _contains,
        "not_contains": _not(_contains),
        "starts_with": _edge(str.startswith),
        "not_starts_with": _not(_edge(str.startswith)),
        "ends_with": _edge(str.endswith),
        "not_ends_with": _not(_edge(str.endswith)),
        "is_one_of": _one_of,
        "is_not_one_of": _not(_one_of),
        "greater": _ordered(lambda left, right: left > right),
        "greater_or_equal": _ordered(lambda left, right: left >= right),
        "less": _ordered(lambda left, right: left < right),
        "less_or_equal": _ordered(lambda left, right: left <= right),
        "between": _between,
        "before": _dated(lambda left, right: left < right),
        "after": _dated(lambda left, right: left > right),
        "is_true": _flag(True),
        "is_false": _flag(False),
        "is_empty": lambda sides: is_empty(sides.left),
        "is_not_empty": lambda sides: not is_empty(sides.left),
        "exists": lambda sides: sides.left is not MISSING,
        "not_exists": lambda sides: sides.left is MISSING,
        "matches": _matches,
        "not_matches": _not(_matches),
        "length_equals": _sized(lambda size, wanted: size == wanted),
        "length_greater": _sized(lambda size, wanted: size > wanted),
        "length_less": _sized(lambda size, wanted: size < wanted),
    },
)
