"""What the doctor notices: each disorder gives its sentence, and a healthy house gives none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from app.settings import Settings
from app.storage.database.backup import copy_database, note_backup
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.server_values import note_the_time
from app.storage.tables.models import Run, Trigger
from app.watch.checkup import Checked, Subject, check_up
from tests.fakes.clock import FakeClock
from tests.storage.test_triggers import live_flow


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def subject(tmp_path: Path, clock: FakeClock) -> Iterator[Subject]:
    settings = Settings(data_dir=tmp_path, min_free_mb=10, secret_key="5a" * 32)
    database = Database(settings.database)
    database.start()
    migrate(database)
    yield Subject(settings, clock, database)
    database.close()


def _named(subject: Subject, name: str) -> Checked:
    (found,) = [one for one in check_up(subject) if one.name == name]
    return found


def _run(clock: FakeClock, **values: object) -> dict[str, object]:
    row = {
        "id": "run_a",
        "flow_id": "f",
        "version_id": "v",
        "event_id": "e",
        "label": "",
        "source": "webhook",
    }
    return {**row, "source": "webhook", "created_at": clock.now(), **values}


def test_a_healthy_house_has_nothing_wrong(subject: Subject) -> None:
    assert [one for one in check_up(subject) if one.look == "bad" and one.name != "Open files"] == []


def test_a_run_that_nobody_wakes_is_noticed_after_ten_minutes(subject: Subject, clock: FakeClock) -> None:
    row = _run(clock, state="waiting", reason="retry", wake_at=clock.now())
    subject.database.write(lambda db: db.execute(insert(Run), row))
    clock.advance(599)
    assert _named(subject, "Waiting runs").look == "good"
    clock.advance(2)
    found = _named(subject, "Waiting runs")
    assert (found.look, found.sentence[:10]) == ("bad", "1 run shou")


def test_a_poll_that_is_late_is_noticed(subject: Subject, clock: FakeClock) -> None:
    flow = live_flow(subject.database, clock)
    due = clock.now() - timedelta(minutes=11)
    subject.database.write(
        lambda db: db.execute(
            update(Trigger).where(Trigger.flow_id == flow).values(is_on=True, next_due_at=due)
        )
    )
    assert _named(subject, "Polls and schedules").look == "bad"


def test_a_clock_that_went_back_is_noticed(subject: Subject, clock: FakeClock) -> None:
    later = clock.now() + timedelta(hours=3)
    subject.database.write(lambda db: note_the_time(db, later))
    found = _named(subject, "Clock")
    assert found.look == "bad"
    assert "was 3 hours further on before" in found.sentence


def test_a_disk_below_its_mark_is_noticed(subject: Subject, clock: FakeClock) -> None:
    settings = Settings(data_dir=subject.settings.data_dir, min_free_mb=2**40)
    assert _named(Subject(settings, clock, subject.database), "Disk").look == "bad"


def test_a_backup_that_is_old_is_worth_a_note(subject: Subject, clock: FakeClock, tmp_path: Path) -> None:
    assert "Backup" not in {one.name for one in check_up(subject)}  # there is nothing to lose yet
    subject.database.write(lambda db: db.execute(insert(Run), _run(clock, state="succeeded")))
    assert _named(subject, "Backup").look == "note"
    assert subject.file is not None
    copy = copy_database(subject.file, tmp_path / "copy.db", now=clock.now(), release="1")
    subject.database.write(lambda db: note_backup(db, copy))
    assert _named(subject, "Backup").look == "good"
    clock.advance(8 * 86400)
    assert _named(subject, "Backup").look == "note"


def test_a_demo_that_calls_cannot_reach_is_worth_a_note(subject: Subject, clock: FakeClock) -> None:
    settings = Settings(data_dir=subject.settings.data_dir, min_free_mb=10, demo_url="http://127.0.0.1:8090")
    assert _named(Subject(settings, clock, subject.database), "Demo").look == "note"


def test_a_table_that_is_gone_is_a_finding_and_no_traceback(subject: Subject) -> None:
    subject.database.write(lambda db: db.exec_driver_sql("ALTER TABLE runs RENAME TO runs_away"))
    found = [one for one in check_up(subject) if "could not be looked at" in one.sentence]
    assert {one.name for one in found} >= {"Waiting runs"}
