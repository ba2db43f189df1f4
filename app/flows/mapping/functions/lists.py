"""Functions for lists: joining, picking, counting, adding up."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from app.flows.mapping.functions.function import Arg, Function, Unfit, bounded, shown
from app.flows.mapping.values import as_json, as_number, as_text, json_number

Args = tuple[str, ...]


def items_of(value: Any) -> list[Any]:
    """A value that is no list counts as a list of one."""
    return value if isinstance(value, list) else [value]


def _join(value: Any, args: Args, zone: str) -> Any:
    return bounded(args[0].join(as_text(item) for item in items_of(value)))


def _first(value: Any, args: Args, zone: str) -> Any:
    return _nth(items_of(value), 0)


def _last(value: Any, args: Args, zone: str) -> Any:
    return _nth(items_of(value), -1)


def _pick(value: Any, args: Args, zone: str) -> Any:
    number = int(as_number(args[0]) or 1)
    return _nth(items_of(value), number - 1 if number > 0 else number)


def _nth(items: list[Any], index: int) -> Any:
    if -len(items) <= index < len(items):
        return items[index]
    count = "no items" if not items else f"only {len(items)} item{'' if len(items) == 1 else 's'}"
    raise Unfit(f"the list has {count}.")


def _count(value: Any, args: Args, zone: str) -> Any:
    return len(value) if isinstance(value, list | dict) else 1


def _unique(value: Any, args: Args, zone: str) -> Any:
    seen: dict[str, Any] = {}
    for item in items_of(value):
        seen.setdefault(f"{type(item).__name__}:{as_json(item)}", item)
    return list(seen.values())


def _reduced(combine: Callable[[list[Decimal]], Decimal]) -> Callable[[Any, Args, str], Any]:
    def apply(value: Any, args: Args, zone: str) -> Any:
        numbers = [_number(item) for item in items_of(value) if item is not None]
        if not numbers:
            raise Unfit("the list has no numbers.")
        return json_number(combine(numbers))

    return apply


def _number(item: Any) -> Decimal:
    number = as_number(item)
    if number is None:
        raise Unfit(f"{shown(item)} is not a number.")
    return number


def _sum(numbers: list[Decimal]) -> Decimal:
    return sum(numbers, Decimal(0))


FUNCTIONS = [
    Function("join", "Join a list", "The items as one text.", _join, (Arg("Between them", ", "),), "Lists"),
    Function("first", "First item", "The first of a list.", _first, group="Lists"),
    Function("last", "Last item", "The last of a list.", _last, group="Lists"),
    Function(
        "pick",
        "Item number…",
        "One item: 1 is the first, -1 the last.",
        _pick,
        (Arg("Number", "1", "number"),),
        "Lists",
    ),
    Function("count", "Count", "How many items a list has.", _count, group="Lists"),
    Function("unique", "Without doubles", "Each item once.", _unique, group="Lists"),
    Function("sum", "Sum", "The numbers of a list added up.", _reduced(_sum), group="Numbers"),
    Function("min", "Smallest", "The smallest number of a list.", _reduced(min), group="Numbers"),
    Function("max", "Largest", "The largest number of a list.", _reduced(max), group="Numbers"),
]
