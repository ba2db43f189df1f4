"""Statements compiled once, for rows that are written by the thousand.

SQLAlchemy writes the SQL and converts the values; what is left out is the work it does anew for each
execution, which cost more than the database itself.  On SQLite many rows are sent as one statement: each
statement releases the GIL and must reacquire it in competition with other threads.  On
PostgreSQL they are sent as one document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from app.storage.database.document import Document

Row = dict[str, Any]
_Convert = Callable[[Any], Any] | None

_AT_ONCE = (64, 16, 4)  # few sizes, for each is a statement of its own that SQLite keeps prepared


class Statement:
    """An insert or update for many rows, with its place in a group: `rank` puts inserts before the
    updates that need them.  All rows of one statement should have the same names."""

    __slots__ = ("_compiled", "rank", "sql")

    def __init__(self, sql: Executable, rank: int) -> None:
        self.sql = sql
        self.rank = rank
        self._compiled: dict[tuple[str, tuple[str, ...]], _Compiled] = {}

    def execute(self, db: Connection, rows: Sequence[Row]) -> None:
        """Rows with other names than their neighbours are sent apart."""
        start = 0
        for index in range(1, len(rows) + 1):
            if index == len(rows) or rows[index].keys() != rows[start].keys():
                self._execute_alike(db, rows[start:index])
                start = index

    def _execute_alike(self, db: Connection, rows: Sequence[Row]) -> None:
        key = (db.dialect.name, tuple(rows[0]))
        compiled = self._compiled.get(key)
        if compiled is None:
            compiled = self._compiled[key] = _Compiled(self.sql, db.dialect, list(rows[0]))
        compiled.execute(db, rows)


class _Compiled:
    def __init__(self, sql: Executable, dialect: Dialect, names: list[str]) -> None:
        compiled = sql.compile(dialect=dialect, column_keys=names)  # type: ignore[attr-defined]
        if not isinstance(compiled, SQLCompiler):
            raise TypeError("only statements with columns can be prepared")
        self._text = compiled.string
        self._positions = compiled.positiontup
        self._converts = [
            (name, self._convert(compiled, name, dialect)) for name in (self._positions or compiled.binds)
        ]
        self._defaults = _defaults(compiled)
        self._together: dict[int, str] = {}
        self._as_document: Document | None = None
        if dialect.name == "postgresql":
            self._as_document = Document(compiled, [name for name, _ in self._converts])
        elif dialect.name == "sqlite":
            self._together = {size: _for_many(self._text, size) for size in _AT_ONCE}
        # rows of an update are told apart by what their condition compares
        self._keys = [] if compiled.isinsert else [name for name in names if name.startswith("of_")]

    @staticmethod
    def _convert(compiled: SQLCompiler, name: str, dialect: Dialect) -> _Convert:
        kind = compiled.binds[name].type
        return kind.dialect_impl(dialect).bind_processor(dialect)

    def execute(self, db: Connection, rows: Sequence[Row]) -> None:
        if self._defaults:
            rows = [{**self._defaults, **row} for row in rows]
        if self._as_document is not None and self._all_differ(rows):
            self._as_document.execute(db, self._text, [self._named(row) for row in rows])
        elif self._positions is None:
            db.exec_driver_sql(self._text, [self._named(row) for row in rows])
        elif self._together and len(rows) >= _AT_ONCE[-1] and self._all_differ(rows):
            values = [self._tuple(row) for row in rows]
            start = 0
            for size in _AT_ONCE:
                while len(values) - start >= size:
                    flat = tuple([value for one in values[start : start + size] for value in one])
                    db.exec_driver_sql(self._together[size], flat)
                    start += size
            if start < len(values):
                db.exec_driver_sql(self._text, values[start:])
        else:
            db.exec_driver_sql(self._text, [self._tuple(row) for row in rows])

    def _all_differ(self, rows: Sequence[Row]) -> bool:
        """Of two values for one row, a joint update would take either; one after the other, the last."""
        if not self._keys:
            return True
        return len({tuple([row[name] for name in self._keys]) for row in rows}) == len(rows)

    def _tuple(self, row: Row) -> tuple[Any, ...]:
        return tuple(
            [row[name] if convert is None else convert(row[name]) for name, convert in self._converts]
        )

    def _named(self, row: Row) -> Row:
        return {
            name: row[name] if convert is None else convert(row[name]) for name, convert in self._converts
        }


def _for_many(text: str, size: int) -> str:
    """`INSERT … VALUES (?, ?)` for more rows at once, or `UPDATE … SET a=? WHERE b = ?` as one that
    takes its values from a list of rows."""
    if text.startswith("INSERT"):
        head, _, row = text.rpartition(" VALUES ")
        return f"{head} VALUES {', '.join([row] * size)}"
    count = text.count("?")
    pieces = text.split("?")
    named = (
        "".join(f"{piece}given.column{number}" for number, piece in enumerate(pieces[:-1], 1)) + pieces[-1]
    )
    head, _, condition = named.partition(" WHERE ")
    row = f"({', '.join('?' * count)})"
    return f"{head} FROM (VALUES {', '.join([row] * size)}) AS given WHERE {condition}"


def _defaults(compiled: SQLCompiler) -> Row:
    """Values of columns that no row names and the model gives a constant for."""
    found: Row = {}
    for column in getattr(compiled, "insert_prefetch", ()) or ():
        default = column.default
        if default is None or not default.is_scalar:
            raise TypeError(f"{column}: give its value in the row")
        found[column.key] = default.arg
    return found
