"""Writes docs/functions.md from the functions themselves: `python -m tests.functions_page`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app.flows.mapping.functions.menu import FUNCTIONS, Function

PAGE = Path(__file__).parents[1] / "docs" / "functions.md"
ZONE = "Europe/Berlin"
GROUPS = ("Text", "Numbers", "Dates", "Lists", "Other")

# For each function a value to begin with and the arguments; what comes out is worked out.
EXAMPLES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "upper": ("Tea", ()),
    "lower": ("Tea", ()),
    "title": ("ada lovelace", ()),
    "capitalize": ("earl grey", ()),
    "trim": ("  Ana   Silva ", ("inside",)),
    "default": (None, ("friend",)),
    "split": ("tea, cup", (",",)),
    "replace": ("2026/11/21", ("/", "-")),
    "substring": ("DE-1042", ("4",)),
    "length": ("Porto", ()),
    "strip_html": ("<p>Hello <b>Ana</b></p>", ()),
    "email_normalize": (" Ana Silva <Ana@Example.com>", ()),
    "phone": ("0151 12345678", ("DE",)),
    "sha256": ("ana@example.com", ()),
    "md5": ("ana@example.com", ()),
    "url_encode": ("tea & cup", ()),
    "base64": ("ana:secret", ()),
    "json": (["tea", "cup"], ()),
    "from_json": ('{"sku": "TEA"}', ()),
    "not": (True, ()),
    "yes_no": (True, ()),
    "lookup": ("de", ("de=Germany;fr=France;*=Elsewhere",)),
    "match": ("Order #1042", (r"#(\d+)", "1")),
    "inside": ({"customer": {"email": "ana@example.com"}}, ("customer.email",)),
    "join": (["tea", "cup"], (" + ",)),
    "first": (["tea", "cup"], ()),
    "last": (["tea", "cup"], ()),
    "pick": (["tea", "cup", "pot"], ("2",)),
    "count": (["tea", "cup"], ()),
    "unique": (["tea", "cup", "tea"], ()),
    "sum": ([12.5, 7.4], ()),
    "min": ([12.5, 7.4], ()),
    "max": ([12.5, 7.4], ()),
    "number": ("1.234,50 €", ()),
    "round": (12.345, ("1",)),
    "money": (1234.5, ("EUR", "1.234,50")),
    "add": (3, ("-1",)),
    "multiply": (49.9, ("100",)),
    "divide": (4990, ("100",)),
    "text": (7, ()),
    "date": ("2026-11-21T08:00:00Z", ("%d.%m.%Y %H:%M",)),
    "iso_date": ("21 Nov 2026 09:00", ()),
    "timestamp": ("2026-11-21T08:00:00Z", ()),
    "add_time": ("2026-11-21T08:00:00Z", ("3", "days")),
}

HEAD = """# Functions

What a pill can do with its value on the way into a field. You choose a function in the menu of the pill,
and see at once what it makes of the sample; you never have to type one. In a [flow
file](flows-as-files.md) the name stands behind the value: `{{trigger:$['email'] | lower}}`, with
arguments as in `{{trigger:$['name'] | split:" " | first}}`.

Functions can follow each other. A function that cannot deal with a value stops the step and names the
value; none of them guesses. The examples below are worked out by the functions themselves, in the time
zone Europe/Berlin.
"""


def page() -> str:
    """Returns the whole page, one table for each group in the order of the menu."""
    parts = [HEAD]
    for group in GROUPS:
        rows = [_row(function) for function in FUNCTIONS.values() if function.group == group]
        table = ["| function | name in files | what it does | in | out |", "|---|---|---|---|---|", *rows]
        parts.append(f"## {group}\n\n" + "\n".join(table) + "\n")
    return "\n".join(parts)


def _row(function: Function) -> str:
    value, given = EXAMPLES[function.name]
    result = function.apply(value, function.checked(given), ZONE)
    name = function.name + "".join(f':"{one}"' if at == 0 else f',"{one}"' for at, one in enumerate(given))
    cells = (function.label, f"`{name}`", function.description, _shown(value), _shown(result))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text[:24]}…`" if len(text) > 48 else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
