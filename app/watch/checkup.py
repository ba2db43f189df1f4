"""Is this installation well?  Each thing looked at gives one sentence, and what to do when it is not."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from app.clock import Clock
from app.settings import Settings
from app.storage.database.backup import last_backup
from app.storage.database.db import Database
from app.storage.database.migrate import schema_head, schema_of
from app.storage.database.server_values import latest_time
from app.storage.database.shrink import file_facts
from app.storage.flows.standstill import get_standstill, stands_still
from app.storage.tables.models import Run, Trigger

Look = Literal["good", "note", "bad"]

_MB = 1024 * 1024
_STUCK = timedelta(minutes=10)
_FEW_FILES = 1024
_LARGE_LOG = 256 * _MB
_LARGE_FILE = 64 * _MB
_BACKUP_OLD = timedelta(days=7)
_CLOCK_SLACK = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Checked:
    """`look`: good; note = worth knowing; bad = something is wrong."""

    name: str
    look: Look
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class Subject:
    """`thorough`: read the whole file of the database, which takes a while when it is large."""

    settings: Settings
    clock: Clock
    database: Database
    thorough: bool = True

    @property
    def file(self) -> Path | None:
        return Path(self.database.engine.url.database or "") if self.database.is_sqlite else None


def check_up(subject: Subject) -> list[Checked]:
    """What cannot be looked at is itself a finding."""
    found: list[Checked] = []
    for name, look in _LOOKS:
        try:
            found += look(subject)
        except (DBAPIError, OSError) as reason:
            why = reason.orig if isinstance(reason, DBAPIError) else reason
            remedy = "Look at the disk and the log of the server."
            found.append(Checked(name, "bad", f"This could not be looked at: {why}.", remedy))
    return found


# ------------------------------------------------------------------------------- the database


def _integrity(subject: Subject) -> Iterator[Checked]:
    if not subject.database.is_sqlite:
        return
    if not subject.thorough:
        yield Checked(
            "Database file", "note", "Not read through here.", "`plumbline doctor` reads it to its end."
        )
        return
    with subject.database.read() as db:
        complaint = db.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if complaint == "ok":
        yield Checked("Database file", "good", "The database file is whole.")
    else:
        remedy = "Stop Plumbline, keep the file, and restore the last backup: `plumbline restore FILE`."
        yield Checked("Database file", "bad", f"The database file is damaged: {complaint}.", remedy)


def _schema(subject: Subject) -> Iterator[Checked]:
    with subject.database.read() as db:
        schema = schema_of(db)
    if schema == schema_head():
        yield Checked("Tables", "good", "The tables are those of this release.")
    else:
        sentence = f"The tables are of schema {schema}, and this release works with {schema_head()}."
        yield Checked("Tables", "bad", sentence, "Start the server of this release once.")


def _stuck(subject: Subject) -> Iterator[Checked]:
    since = subject.clock.now() - _STUCK
    with subject.database.read() as db:
        overdue = _count(db, Run, Run.state == "waiting", Run.wake_at < since)
        leases = _count(db, Trigger, Trigger.is_on, Trigger.lease_until < since)
        on = (Trigger.is_on, Trigger.flow_id.not_in(stands_still(db)))
        late = _count(db, Trigger, *on, Trigger.next_due_at < since)
    remedy = "Is the server running? Start it, or restart it: it takes up what is due."
    if overdue:
        what = "1 run should" if overdue == 1 else f"{overdue:,} runs should"
        yield Checked("Waiting runs", "bad", f"{what} have gone on more than ten minutes ago.", remedy)
    else:
        yield Checked("Waiting runs", "good", "No run waits longer than it should.")
    if leases or late:
        what = (
            "1 poll or schedule is"
            if max(leases, late) == 1
            else f"{max(leases, late):,} polls or schedules are"
        )
        yield Checked("Polls and schedules", "bad", f"{what} more than ten minutes late.", remedy)
    else:
        yield Checked("Polls and schedules", "good", "Polls and schedules are on time.")


def _held(subject: Subject) -> Iterator[Checked]:
    with subject.database.read() as db:
        standstill = get_standstill(db)
    if standstill is not None:
        number = len(standstill.flows)
        flows = "1 flow is" if number == 1 else f"{number:,} flows are"
        sentence = (
            f"{flows} held since {standstill.since:%d %b %Y, %H:%M} UTC; no service is called for them."
        )
        yield Checked("Everything held", "bad", sentence, "Release them in the browser: /standstill.")


def _shrinks(subject: Subject) -> Iterator[Checked]:
    if subject.file is None:
        return
    with subject.database.read() as db:
        facts = file_facts(db)
    free = facts.free_pages * facts.page_size
    if not facts.shrinks:
        sentence = f"The database file never becomes smaller; {free // _MB:,} MB of it are unused."
        yield Checked("File size", "note", sentence, "Stop Plumbline and run `plumbline doctor --compact`.")
    else:
        size = f"The database file has {facts.size / _MB:,.0f} MB, {free / _MB:,.0f} MB of it unused."
        yield Checked("File size", "good", f"{size} It gives room back when history goes.")


def _log(subject: Subject) -> Iterator[Checked]:
    if subject.file is None:
        return
    log = subject.file.with_name(subject.file.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > _LARGE_LOG:
        sentence = f"The write-ahead log has {size // _MB:,} MB: something reads the database for very long."
        yield Checked(
            "Write-ahead log", "bad", sentence, "End other programs that have the file open, or restart."
        )
    else:
        yield Checked("Write-ahead log", "good", f"The write-ahead log has {size / _MB:,.0f} MB.")


def _backup(subject: Subject) -> Iterator[Checked]:
    if not subject.database.is_sqlite:
        return
    with subject.database.read() as db:
        made, runs = last_backup(db), db.execute(select(Run.id).limit(1)).one_or_none()
    remedy = "`plumbline backup FILE` makes one while Plumbline serves; a timer may do it each night."
    if made is None:
        if runs is not None:
            yield Checked("Backup", "note", "No backup was made yet with `plumbline backup`.", remedy)
        return
    days = (subject.clock.now() - made).days
    sentence = f"The last backup is of {made:%d %b %Y, %H:%M} UTC."
    yield Checked(
        "Backup", "note" if days >= _BACKUP_OLD.days else "good", sentence, remedy if days >= 7 else ""
    )


# --------------------------------------------------------------------------------- the machine


def _disk(subject: Subject) -> Iterator[Checked]:
    folder, wanted = subject.settings.data_dir, subject.settings.min_free_mb
    free = shutil.disk_usage(folder).free // _MB
    if free < wanted:
        sentence = f"{free:,} MB are free, and Plumbline accepts nothing below {wanted:,} MB."
        yield Checked("Disk", "bad", sentence, "Delete files on that disk, or keep history shorter.")
    elif free < 2 * wanted:
        yield Checked("Disk", "note", f"{free:,} MB are free.", f"Below {wanted:,} MB nothing is accepted.")
    else:
        yield Checked("Disk", "good", f"{free:,} MB are free.")
    facts = os.statvfs(folder)
    if facts.f_files and facts.f_favail < 1000:
        sentence = f"The disk can take only {facts.f_favail:,} more files."
        yield Checked("Files on the disk", "bad", sentence, "Delete small files that nobody needs.")


def _permissions(subject: Subject) -> Iterator[Checked]:
    folder = subject.settings.data_dir
    key = folder / "secret.key"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Checked("Data folder", "bad", f"{folder} cannot be written.", "Give it to Plumbline's user.")
    if key.exists() and key.stat().st_mode & 0o077:
        sentence = f"Other users of this machine can read {key}."
        yield Checked("Key", "bad", sentence, f"Shut it: `chmod 600 {key}`.")
    elif key.exists():
        yield Checked("Key", "good", "Only Plumbline's user can read the key.")
    file = subject.file
    if file is not None and file.exists() and file.stat().st_mode & 0o004 and folder.stat().st_mode & 0o005:
        sentence = f"Other users of this machine can read {file}, with all the data that went through flows."
        yield Checked("Who can read the data", "note", sentence, f"Shut it: `chmod 700 {folder}`.")


def _descriptors(_subject: Subject) -> Iterator[Checked]:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        sentence = f"Only {soft:,} files and connections may be open at once."
        remedy = "Raise the limit: LimitNOFILE=65536 in the systemd unit, or `ulimit -n 65536`."
        yield Checked("Open files", "bad", sentence, remedy)
    else:
        yield Checked("Open files", "good", "Enough files and connections may be open at once.")


def _clock(subject: Subject) -> Iterator[Checked]:
    """A clock that went back is noticed by what was seen before."""
    now = subject.clock.now()
    with subject.database.read() as db:
        seen = latest_time(db) or now
        latest = db.execute(select(func.max(Trigger.last_ended_at))).scalar()
    ahead = max(seen, latest or seen) - now
    remedy = "Set the clock, and let it be kept right (systemd-timesyncd, chrony)."
    if ahead > _CLOCK_SLACK:
        minutes = round(ahead.total_seconds() / 60)
        span = f"{minutes} minutes" if minutes < 120 else f"{round(minutes / 60)} hours"
        sentence = f"The clock says {now:%d %b %Y, %H:%M} UTC and was {span} further on before."
        yield Checked("Clock", "bad", sentence, remedy)
    else:
        yield Checked("Clock", "good", f"The clock says {now:%d %b %Y, %H:%M} UTC.")
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        sentence = "The names of time zones are not installed, so schedules in local time cannot be kept."
        yield Checked("Time zones", "bad", sentence, "Install the package tzdata.")


def _demo(subject: Subject) -> Iterator[Checked]:
    address = urlsplit(subject.settings.demo_url).netloc
    allowed = subject.settings.allow_targets
    if address and address not in allowed and address.split(":")[0] not in allowed:
        sentence = f"The demo services are at {address}, and calls to that address are not allowed."
        yield Checked("Demo", "note", sentence, f"Add it to PLUMBLINE_ALLOW_TARGETS: {address}.")


def _count(db: Connection, table: Any, *where: Any) -> int:
    return db.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


_LOOKS: tuple[tuple[str, Callable[[Subject], Iterator[Checked]]], ...] = (
    ("Database file", _integrity),
    ("Tables", _schema),
    ("Waiting runs", _stuck),
    ("Everything held", _held),
    ("Disk", _disk),
    ("Data folder", _permissions),
    ("File size", _shrinks),
    ("Write-ahead log", _log),
    ("Backup", _backup),
    ("Clock", _clock),
    ("Open files", _descriptors),
    ("Demo", _demo),
)
