"""Functions for numbers: reading, rounding, adding, writing them with separators or as money."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from app.flows.mapping.functions.function import Arg, Function, Unfit, shown
from app.flows.mapping.values import as_number, as_text, json_number

Args = tuple[str, ...]
_MOST_PLACES = 10
_EXACT = Context(prec=400)

_JUNK = re.compile(r"[\s\u00a0\u202f'’_]|[A-Za-z]{1,4}\.?|[$€£¥₹%]")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def read_number(value: Any) -> Decimal | None:
    """Also numbers as people write them: `1,234.50`, `1.234,50 €`, `(12)` is not one."""
    number = as_number(value)
    if number is not None or not isinstance(value, str) or len(value) > 60:
        return number
    text = _JUNK.sub("", value)
    comma, dot = text.rfind(","), text.rfind(".")
    if comma > dot >= 0 or (comma >= 0 and dot < 0 and not _GROUPED.fullmatch(text)):
        text = text.replace(".", "").replace(",", ".", 1) if text.count(",") == 1 else text
    else:
        text = text.replace(",", "")
    return as_number(text)


def _needed(value: Any) -> Decimal:
    number = read_number(value)
    if number is None:
        raise Unfit(f"{shown(value)} is not a number.")
    return number


def _places(text: str) -> int:
    number = as_number(text) if text else Decimal(0)
    return max(0, min(int(number or 0), _MOST_PLACES))


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _EXACT)


def _number(value: Any, args: Args, zone: str) -> Any:
    if isinstance(value, list):
        return [json_number(_needed(item)) for item in value]
    return json_number(_needed(value))


def _round(value: Any, args: Args, zone: str) -> Any:
    return json_number(_rounded(_needed(value), _places(args[0])))


_STYLES = {"1,234.50": (",", "."), "1.234,50": (".", ","), "1 234,50": ("\u00a0", ","), "1234.50": ("", ".")}


def _money(value: Any, args: Args, zone: str) -> Any:
    currency, style = args
    thousands, point = _STYLES[style]
    text = f"{_rounded(_needed(value), 2):,.2f}"
    text = text.replace(",", "\0").replace(".", point).replace("\0", thousands)
    if not currency:
        return text
    return f"{currency}{text}" if len(currency) == 1 and point == "." else f"{text} {currency}"


def _calculation(name: str) -> Any:
    def apply(value: Any, args: Args, zone: str) -> Any:
        left, right = _needed(value), as_number(args[0]) or Decimal(0)
        if name == "divide" and right == 0:
            raise Unfit("a number cannot be divided by 0.")
        if name == "divide":
            return json_number(left / right)
        return json_number(left + right if name == "add" else left * right)

    return apply


def _text(value: Any, args: Args, zone: str) -> Any:
    return as_text(value)


FUNCTIONS = [
    Function("number", "As a number", "Reads 1,234.50 or 1.234,50 € as a number.", _number, group="Numbers"),
    Function(
        "round",
        "Round",
        "To so many decimal places.",
        _round,
        (Arg("Decimal places", "0", "number"),),
        "Numbers",
    ),
    Function(
        "money",
        "As money",
        "With two decimal places and separators.",
        _money,
        (Arg("Currency", ""), Arg("Written like", "1,234.50", "choice", tuple(_STYLES))),
        "Numbers",
    ),
    Function(
        "add",
        "Add",
        "Plus a number (or minus: -5).",
        _calculation("add"),
        (Arg("Number", "1", "number"),),
        "Numbers",
    ),
    Function(
        "multiply",
        "Multiply",
        "Times a number: 100 turns euros into cents.",
        _calculation("multiply"),
        (Arg("By", "100", "number"),),
        "Numbers",
    ),
    Function(
        "divide",
        "Divide",
        "By a number: 100 turns cents into euros.",
        _calculation("divide"),
        (Arg("By", "100", "number"),),
        "Numbers",
    ),
    Function("text", "As text", "The value as text: 007 stays 007.", _text, group="Text"),
]
