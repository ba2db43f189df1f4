"""The functions a reference may pass its value through: a closed list, one line of facts each."""

from __future__ import annotations

from collections.abc import Iterable

from app.flows.mapping.functions import dates as format_dates
from app.flows.mapping.functions import find as format_find
from app.flows.mapping.functions import lists as format_lists
from app.flows.mapping.functions import numbers as format_numbers
from app.flows.mapping.functions import text as format_text
from app.flows.mapping.functions.function import Apply, Arg, ArgKind, Function, Group, Unfit, zone_named

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
