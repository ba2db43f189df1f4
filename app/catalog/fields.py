"""What an action's inputs have to be, checked before anything is sent, and how they are sent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from app.catalog.format.definition import Action, FieldType, InputField, Trigger
from app.catalog.render import fits
from app.flows.mapping.values import as_flag, as_moment, as_number, as_text, json_number

_EMAIL = re.compile(r"[^@\s<>(),;:\"\[\]\\]{1,64}@[^@\s<>(),;:\"\[\]\\]{1,255}")
_DOMAIN = re.compile(r"(?!-)[^\s.@]{1,63}(?:\.[^\s.@]{1,63})+")
_PHONE = re.compile(r"\+?[0-9][0-9 ().\-/]{3,24}")
_LONGEST = 1_000_000
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class InputProblem:
    """`sentence` names the field as people see it."""

    field: str
    sentence: str


def check_input(operation: Action | Trigger, values: Mapping[str, Any]) -> list[InputProblem]:
    """Empty when everything may be sent.  None stands for "clear this field" and is let through
    where the field is not required."""
    problems = []
    for field in operation.input:
        sentence = _problem(field, values.get(field.key), field.key in values)
        if sentence:
            problems.append(InputProblem(field.key, sentence))
    return problems or _nothing_to_do(operation, values)


def _nothing_to_do(operation: Action | Trigger, values: Mapping[str, Any]) -> list[InputProblem]:
    wanted = operation.one_of if isinstance(operation, Action) else ()
    if not wanted or any(key in values for key in wanted):
        return []
    labels = ", ".join(field.label for field in operation.input if field.key in wanted)
    return [InputProblem(wanted[0], f"Nothing is mapped that could be changed: fill in one of {labels}.")]


def _problem(field: InputField, value: Any, is_given: bool) -> str:
    if field.type == "fields":
        return ""
    if not is_given or value is None or (isinstance(value, str) and not value.strip()):
        return f"{field.label} is required and empty." if field.required else ""
    if len(value) > _LONGEST if isinstance(value, str | list | dict) else False:
        return f"{field.label} is far too long: {len(value):,}."
    wanted = _CHECKS[field.type](value)
    if wanted:
        return f"{field.label}: “{_shown(value)}” is not {wanted}."
    return _limits(field, value)


def _limits(field: InputField, value: Any) -> str:
    if field.choices:
        chosen = as_items(value) if field.type == "list" else [as_text(value)]
        for one in chosen:
            if as_text(one) not in field.choices:
                return f"{field.label}: “{_shown(one)}” is none of {', '.join(field.choices)}."
    text = as_text(value) if field.longest or field.pattern else ""
    if field.longest and len(text) > field.longest:
        return f"{field.label} has {len(text)} characters; at most {field.longest} fit."
    if field.pattern and not fits(field.pattern, text):
        return f"{field.label}: “{_shown(value)}” does not look right. {field.help}".rstrip()
    return ""


def _shown(value: Any) -> str:
    text = as_text(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


# ---------------------------------------------------------------------- what is wrong with a value


def _plain(value: Any) -> str:
    return "a single value" if isinstance(value, dict) else ""


def _email(value: Any) -> str:
    wanted = "an email address such as ana@example.com"
    text = value.strip() if isinstance(value, str) else ""
    if not _EMAIL.fullmatch(text) or not _DOMAIN.fullmatch(text.rpartition("@")[2]):
        return wanted
    local = text.rpartition("@")[0]
    return wanted if ".." in text or local.startswith(".") or local.endswith(".") else ""


def _url(value: Any) -> str:
    wanted = "an address such as https://example.com/page"
    text = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
    except ValueError:
        return wanted
    fits = parts.scheme in ("http", "https") and parts.hostname and not re.search(r"\s", text)
    return "" if fits else wanted


def _phone(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    fits = isinstance(text, str) and _PHONE.fullmatch(text.strip())
    return "" if fits else "a phone number such as +43 1 234567"


def _number(value: Any) -> str:
    return "" if as_number(value) is not None else "a number such as 12.50"


def _integer(value: Any) -> str:
    number = as_number(value)
    return "" if number is not None and number == number.to_integral_value() else "a whole number such as 12"


def _bool(value: Any) -> str:
    return "" if as_flag(value) is not None else "yes or no"


def _date(value: Any) -> str:
    return "" if as_moment(value) is not None else "a date such as 2027-01-31"


def _datetime(value: Any) -> str:
    return "" if as_moment(value) is not None else "a date and time such as 2027-01-31 09:00"


def _list(value: Any) -> str:
    return "a list" if isinstance(value, dict) else ""


def _json(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return 'JSON such as {"a": 1}'
    return ""


def _anything(value: Any) -> str:
    return ""


_CHECKS: Final[dict[FieldType, Callable[[Any], str]]] = {
    "string": _plain,
    "text": _plain,
    "email": _email,
    "url": _url,
    "phone": _phone,
    "number": _number,
    "integer": _integer,
    "bool": _bool,
    "date": _date,
    "datetime": _datetime,
    "choice": _plain,
    "list": _list,
    "json": _json,
    "fields": _anything,
}


# ----------------------------------------------------------------------------- values as they are sent


def as_items(value: Any) -> list[Any]:
    """A list as it is; of a text its parts between commas or line breaks."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return [part.strip() for part in re.split(r"[,\n]", value) if part.strip()]
    return [value]


def ready_input(operation: Action | Trigger, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values in the types their fields have: a number from "12.50", a list from "a, b"."""
    kinds = {field.key: field.type for field in operation.input}
    return {key: ready_value(kinds.get(key, "string"), value) for key, value in values.items()}


def ready_value(kind: FieldType, value: Any) -> Any:
    """What cannot be read as its type is left as it is: `check_input` has refused it before."""
    if value is None:
        return None
    if kind in ("string", "text", "email", "url", "phone", "choice"):
        text = as_text(value)
        return text if kind in ("string", "text") else text.strip()
    return _READY.get(kind, _same)(value)


def _same(value: Any) -> Any:
    return value


def _ready_number(value: Any) -> Any:
    number = as_number(value)
    return value if number is None else json_number(number)


def _ready_flag(value: Any) -> Any:
    flag = as_flag(value)
    return value if flag is None else flag


def _ready_day(value: Any) -> Any:
    moment = as_moment(value)
    return value if moment is None else moment.date().isoformat()


def _ready_moment(value: Any) -> Any:
    moment = as_moment(value)
    return value if moment is None else moment.isoformat()


def _ready_document(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


_READY: Final[dict[str, Callable[[Any], Any]]] = {
    "number": _ready_number,
    "integer": _ready_number,
    "bool": _ready_flag,
    "date": _ready_day,
    "datetime": _ready_moment,
    "list": as_items,
    "json": _ready_document,
}


def action_fields(
    operation: Action, values: Mapping[str, Any], extra: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """`${fields}`: every mapped input that is not used apart, and the account's own fields; what the
    action names itself is never replaced by one of those."""
    own = {field.key: field for field in operation.input}
    names = {field.sent_as or field.key for field in operation.input}
    found = {key: value for key, value in (extra or {}).items() if key and key not in names}
    for key, value in ready_input(operation, values).items():
        field = own.get(key)
        if field is not None and field.type != "fields" and not field.apart:
            found[field.sent_as or key] = value
    return found
