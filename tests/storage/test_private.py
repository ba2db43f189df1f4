"""Whoever has another account on the machine reads nothing of the data folder."""

from __future__ import annotations

import os
from pathlib import Path

from app.storage.database.db import Database
from app.storage.database.migrate import migrate
from app.storage.database.private import make_file, make_folder
from app.storage.database.secrets import load_key


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_data_folder_and_all_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        folder = tmp_path / "new" / "data"
        database = Database(f"sqlite:///{folder / 'plumbline.db'}")
        database.start()
        migrate(database)
        load_key("", folder, database_is_new=True)
        found = {file.name: _mode(file) for file in folder.iterdir()}
        database.close()
    finally:
        os.umask(before)
    assert _mode(folder) == 0o700
    assert {"plumbline.db", "plumbline.db-wal", "plumbline.db-shm", "secret.key"} <= set(found)
    assert set(found.values()) == {0o600}


def test_a_folder_and_a_file_of_an_earlier_release_are_shut(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    file = folder / "plumbline.db"
    file.write_bytes(b"kept")
    file.chmod(0o644)
    make_folder(folder)
    make_file(file)
    assert (_mode(folder), _mode(file)) == (0o700, 0o600)
    assert file.read_bytes() == b"kept"
