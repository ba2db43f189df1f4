"""Secrets at rest: they open only where they belong, with the key they were sealed with."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import SettingInvalid
from app.parts import open_parts
from app.settings import Settings
from app.storage.database.secrets import Vault

KEY = b"k" * 32


def test_a_sealed_secret_opens_only_for_the_row_it_belongs_to() -> None:
    sealed = Vault(KEY).seal(b"s3cr3t", "con_1:secrets")
    assert b"s3cr3t" not in sealed
    assert Vault(KEY).open(sealed, "con_1:secrets") == b"s3cr3t"
    with pytest.raises(SettingInvalid, match="cannot be opened"):
        Vault(KEY).open(sealed, "con_2:secrets")


def test_a_secret_that_was_tampered_with_does_not_open() -> None:
    sealed = bytearray(Vault(KEY).seal(b"s3cr3t", "x"))
    sealed[-1] ^= 1
    with pytest.raises(SettingInvalid, match="cannot be opened"):
        Vault(KEY).open(bytes(sealed), "x")


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    open_parts(Settings(data_dir=tmp_path)).database.close()
    key = tmp_path / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600
    made = key.read_text()
    open_parts(Settings(data_dir=tmp_path)).database.close()
    assert key.read_text() == made


def test_a_lost_key_refuses_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    open_parts(Settings(data_dir=tmp_path)).database.close()
    (tmp_path / "secret.key").unlink()
    with pytest.raises(SettingInvalid, match="is missing") as refused:
        open_parts(Settings(data_dir=tmp_path))
    assert "backup" in refused.value.remedy
    assert not (tmp_path / "secret.key").exists()


def test_another_key_refuses_the_start(tmp_path: Path) -> None:
    open_parts(Settings(data_dir=tmp_path, secret_key="aa" * 32)).database.close()
    with pytest.raises(SettingInvalid, match="cannot be opened with this key"):
        open_parts(Settings(data_dir=tmp_path, secret_key="bb" * 32))


@pytest.mark.parametrize("text", ["short", "zz" * 32, "aa" * 31])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingInvalid, match="is not a key"):
        open_parts(Settings(data_dir=tmp_path, secret_key=text))
