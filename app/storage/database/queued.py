"""What a transaction does to the queue: which runs it puts there and which it brings to an end.

Who shares a database with other processes hears of it before the commit (`Writer.note_commits`), so
that a run and the job that brings it to a worker are written together.  A process that has its
database to itself notes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Executable

from app.storage.database.prepared import Row, Statement

_KEY = "plumbline_notes"


@dataclass(slots=True)
class Notes:
    """`after_stop`: those queued that a process had when it ended.  `works`: this transaction writes
    down what a run did."""

    queued: list[str] = field(default_factory=list)
    after_stop: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    works: bool = False


def begin_notes(db: Connection) -> None:
    db.info[_KEY] = Notes()


def notes_of(db: Connection) -> Notes | None:
    notes: Notes | None = db.info.get(_KEY)
    return notes


def note_queued(db: Connection, run_ids: Iterable[str], *, after_stop: bool = False) -> None:
    """These runs are queued once this transaction is committed."""
    notes = notes_of(db)
    if notes is not None:
        (notes.after_stop if after_stop else notes.queued).extend(run_ids)


def note_left(db: Connection, run_ids: Iterable[str]) -> None:
    """These runs have ended or lie down as rows: nobody performs them any more."""
    notes = notes_of(db)
    if notes is not None:
        notes.left.extend(run_ids)


def note_work(db: Connection, _rows: Sequence[Row] = ()) -> None:
    notes = notes_of(db)
    if notes is not None:
        notes.works = True


class Noted(Statement):
    """A statement whose rows are noted as they are written."""

    __slots__ = ("_note",)

    def __init__(
        self, sql: Executable, rank: int, note: Callable[[Connection, Sequence[Row]], None] = note_work
    ) -> None:
        super().__init__(sql, rank)
        self._note = note

    def execute(self, db: Connection, rows: Sequence[Row]) -> None:
        super().execute(db, rows)
        self._note(db, rows)


def note_new_runs(db: Connection, rows: Sequence[Row]) -> None:
    if notes_of(db) is not None:
        note_queued(db, [row["id"] for row in rows if row["state"] == "queued"])


def note_moved_runs(db: Connection, rows: Sequence[Row]) -> None:
    if notes_of(db) is not None:
        note_work(db)
        note_left(db, [row["of_run"] for row in rows])
