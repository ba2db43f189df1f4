"""The schema that migrations make is the one the models describe, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.errors import SettingInvalid
from app.storage.database import migrate as migrations
from app.storage.database.backup import look_at
from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.tables.models import Base


@pytest.mark.postgres
def test_migrations_make_what_the_models_describe(database: Database) -> None:
    with database.read() as db:
        options = {"target_metadata": Base.metadata, "include_object": _is_ours}
        context = MigrationContext.configure(db, opts=options)
        assert compare_metadata(context, Base.metadata) == []


def _is_ours(made: Any, name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
    """The tables of the job queue are its own package's."""
    return not str(name).startswith(("procrastinate_", "idx_procrastinate_"))


def test_files_of_migrations_are_named_by_their_place_in_the_line() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent / "migrations"))
    line = ScriptDirectory.from_config(config)
    assert line.get_current_head() == migrations.schema_head()
    for script in line.walk_revisions():
        assert Path(script.path).name.partition("_")[0] == script.revision


@pytest.mark.postgres
def test_migrating_again_changes_nothing(database: Database) -> None:
    assert migrate(database) is False


def test_a_database_of_a_newer_release_is_refused_with_what_to_do(database: Database) -> None:
    database.write(lambda db: db.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(SettingInvalid, match="newer release of Plumbline") as refused:
        migrate(database)
    assert "backup" in refused.value.remedy


def test_a_file_is_copied_before_it_is_brought_to_other_tables_and_not_again_the_same_day(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert migrations.keep_before_upgrade(database) is None
    monkeypatch.setattr(migrations, "schema_head", lambda: "9999")
    copy = migrations.keep_before_upgrade(database)
    assert copy is not None
    assert look_at(copy).counts["runs"] == 0
    made = copy.stat().st_mtime_ns
    assert migrations.keep_before_upgrade(database) == copy
    assert copy.stat().st_mtime_ns == made
    assert len(list(copy.parent.glob("before-upgrade-*"))) == 1
