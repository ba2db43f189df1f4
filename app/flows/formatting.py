"""The functions a reference may pass its value through: a closed list, one line of facts each."""

from __future__ import annotations

from collections.abc import Iterable

from app.flows import format_dates, format_find, format_lists, format_numbers, format_text
from app.flows.function import Apply, Arg, ArgKind, Function, Group, Unfit, zone_named

__all__ = ["FUNCTIONS", "Apply", "Arg", "ArgKind", "Function", "Group", "Unfit", "zone_named"]


def _by_name(functions: Iterable[Function]) -> dict[str, Function]:
    return {function.name: function for function in functions}


FUNCTIONS: dict[str, Function] = _by_name(
    [
        *format_text.FUNCTIONS,
        *format_find.FUNCTIONS,
        *format_lists.FUNCTIONS,
        *format_numbers.FUNCTIONS,
        *format_dates.FUNCTIONS,
    ]
)
