"""A whole installation from one database to another: from SQLite, when it has outgrown one process, to
PostgreSQL.  The source is only read.

Rows go over as they are stored, so that nothing is interpreted on the way, and are counted on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Connection, Table, delete, func, select, text

from app.errors import SettingInvalid
from app.storage.database.db import Database
from app.storage.database.migrate import migrate, schema_head, schema_of
from app.storage.database.server_values import get_value, put_value
from app.storage.tables.models import Base

_BATCH = 2000
_BATCH_BYTES = 16 * 1024 * 1024
_MARK = "moving"
_NOT_MOVED = {"processes", "claims"}
_OF_THE_TARGET = {_MARK, "job_queue_schema"}


@dataclass(frozen=True, slots=True)
class Moved:
    table: str
    rows: int


def move(source: Database, target: Database, *, say: Callable[[Moved], None]) -> list[Moved]:
    """Raises SettingInvalid when the target holds something that is not the rest of a move that broke
    off, or when the counts differ in the end."""
    _check_source(source)
    migrate(target)
    _clear_the_rest(target)
    target.write(lambda db: put_value(db, _MARK, "under way"))
    moved = []
    with source.read() as db:  # one transaction: everything as of one moment
        for table in _tables():
            one = Moved(table.name, _copy(db, target, table))
            _compare(db, target, table, one)
            say(one)
            moved.append(one)
    target.write(_unmark)
    return moved


def _tables() -> list[Table]:
    return [table for table in Base.metadata.sorted_tables if table.name not in _NOT_MOVED]


def _check_source(source: Database) -> None:
    with source.read() as db:
        schema = schema_of(db)
    if schema != schema_head():
        raise SettingInvalid(
            f"The database to be moved has schema {schema or 'none'}, this release has {schema_head()}.",
            remedy="Start and stop `plumbline serve` once on it, then move it.",
        )


def _clear_the_rest(target: Database) -> None:
    """An earlier move that broke off leaves its mark; what it copied is copied anew."""
    with target.read() as db:
        is_rest = get_value(db, _MARK) is not None
        found = {table.name: _count(db, table) for table in _tables()}
    full = [f"{name} ({rows})" for name, rows in found.items() if rows and name != "server_values"]
    if full and not is_rest:
        raise SettingInvalid(
            f"The target is not empty: {', '.join(full)}. Nothing was changed.",
            remedy="Name an empty database.",
        )
    for table in reversed(_tables()):
        target.write(lambda db, table=table: db.execute(_delete_all(table)))  # type: ignore[misc]


def _delete_all(table: Table) -> Any:
    if table.name == "server_values":
        return delete(table).where(table.c.name.not_in(_OF_THE_TARGET))
    return delete(table)


def _unmark(db: Connection) -> None:
    db.execute(delete(Base.metadata.tables["server_values"]).where(text("name = :mark")), {"mark": _MARK})


# -------------------------------------------------------------------------------------- one table


def _copy(source: Connection, target: Database, table: Table) -> int:
    names = ", ".join(column.name for column in table.columns)
    read = source.exec_driver_sql(f"SELECT {names} FROM {table.name}")  # noqa: S608
    total = 0
    for rows in _batches(read, table):
        target.write(lambda db, rows=rows: _write(db, table.name, names, rows))  # type: ignore[misc]
        total += len(rows)
    return total


def _batches(read: Any, table: Table) -> Iterator[list[tuple[Any, ...]]]:
    converts = [_as_bool if isinstance(c.type, Boolean) else _as_text for c in table.columns]
    batch: list[tuple[Any, ...]] = []
    size = 0
    for row in read:
        batch.append(tuple([convert(value) for convert, value in zip(converts, row, strict=True)]))
        size += sum(len(value) for value in row if isinstance(value, bytes | str))
        if len(batch) == _BATCH or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _as_bool(value: Any) -> Any:
    return None if value is None else bool(value)


def _as_text(value: Any) -> Any:
    """PostgreSQL keeps no NUL in a text."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _write(db: Connection, table: str, names: str, rows: list[tuple[Any, ...]]) -> None:
    raw: Any = db.connection.driver_connection
    with raw.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _compare(source: Connection, target: Database, table: Table, moved: Moved) -> None:
    with target.read() as db:
        there = _count(db, table)
    extra = len(_OF_THE_TARGET) if table.name == "server_values" else 0
    here = _count(source, table)
    if here != moved.rows or there != here + extra:
        raise SettingInvalid(
            f"{table.name}: {here} rows were to be moved, {there - extra} have arrived.",
            remedy="Move again: what has arrived is replaced.",
        )


def _count(db: Connection, table: Table) -> int:
    return db.execute(select(func.count()).select_from(table)).scalar_one()
