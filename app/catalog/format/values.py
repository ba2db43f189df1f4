"""The small kinds of values in a connector file: keys, durations, paths, patterns, dates."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

import re2
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.errors import MappingFailed
from app.flows.mapping.jsonpath import parse_path

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d{1,6})([smhd])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LONGEST_PATTERN = 500


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"'{value}' has no unit; write it like 30s, 5m, 24h or 30d")
    found = _DURATION.fullmatch(str(value))
    if not found or int(found[1]) == 0:
        raise ValueError(f"'{value}' is no length of time; write it like 30s, 5m, 24h or 30d")
    return float(int(found[1]) * _UNITS[found[2]])


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError(f"'{value}' is no day; write it like 2027-01-31")
    return date.fromisoformat(value)


def _path(text: str) -> str:
    try:
        parse_path(text)
    except MappingFailed as reason:
        raise ValueError(f"{reason.sentence} {reason.remedy}".strip().rstrip(".")) from reason
    return text


def _place(text: str) -> str:
    kind, _, name = text.partition(":")
    if kind in ("header", "query") and re.fullmatch(r"[A-Za-z0-9_.\-]{1,80}", name):
        return text
    if text.startswith("$"):
        return _path(text)
    raise ValueError(f"'{text}' is no place; write $.path, header:Name or query:name")


def _pattern(text: str) -> str:
    if len(text) > _LONGEST_PATTERN:
        raise ValueError(f"a pattern may have {_LONGEST_PATTERN} characters")
    try:
        re2.compile(text)
    except re2.error as reason:
        raise ValueError(f"'{text[:60]}' is no pattern that can be used: {reason}") from reason
    return text


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"<>]{3,500}", text):
        raise ValueError(f"'{text[:60]}' is no address; write it like https://example.com/page")
    return text


Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,47}$")]
Words = Annotated[str, Field(min_length=1, max_length=500)]
Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=str)]
"""Seconds; written `30s`, `5m`, `24h`, `30d`."""
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=str)]
JsonPath = Annotated[str, AfterValidator(_path)]
Place = Annotated[str, AfterValidator(_place)]
"""Where something stands in a delivery: `$.path` in its body, `header:Name` or `query:name`."""
Pattern = Annotated[str, AfterValidator(_pattern)]
Url = Annotated[str, AfterValidator(_url)]
FixedAddress = Annotated[
    str,
    Field(pattern=r"^https://[A-Za-z0-9][A-Za-z0-9.-]{0,200}(:[0-9]{2,5})?(/[A-Za-z0-9._~-]{1,100}){0,20}$"),
]
"""Where nothing of a connection or a flow decides what host it is."""
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}$")]
