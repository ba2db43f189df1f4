"""Encryption of credentials at rest: AES-256-GCM, bound to the row and field they belong to.

The master key comes from PLUMBLINE_SECRET_KEY or from a file of mode 0600 beside the database.  It
is never made anew while the database holds secrets of another key: losing it silently would lose
every connection.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, insert, select

from app.errors import SettingInvalid
from app.storage.database.private import make_folder
from app.storage.tables.models import ServerValue

_VERSION = b"\x01"
_NONCE = 12
_CHECK = "master key check"


class Vault:
    """Seals and opens; a sealed value moved to another row or field does not open."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    def derive(self, purpose: str) -> bytes:
        """A key of its own for one purpose (32 bytes); it tells nothing about the master key."""
        kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose.encode())
        return kdf.derive(self._key)

    def seal(self, plain: bytes, belongs_to: str) -> bytes:
        """`belongs_to` names the row and the field, such as `con_…:secrets`."""
        nonce = secrets.token_bytes(_NONCE)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, belongs_to.encode())

    def open(self, sealed: bytes, belongs_to: str) -> bytes:
        if sealed[:1] != _VERSION:
            raise SettingInvalid("A stored secret was written by a newer release of Plumbline.")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], belongs_to.encode())
        except InvalidTag as reason:
            raise SettingInvalid(
                "A stored secret cannot be opened with this key.",
                remedy="Start Plumbline with the key the secrets were stored with.",
            ) from reason


def load_key(configured: str, data_dir: Path, *, database_is_new: bool) -> bytes:
    """The master key: from the setting, else from `secret.key`, which only a new database makes."""
    if configured:
        return _parse(configured, "PLUMBLINE_SECRET_KEY")
    path = data_dir / "secret.key"
    if path.exists():
        return _parse(path.read_text().strip(), str(path))
    if not database_is_new:
        raise SettingInvalid(
            f"{path} is missing, but the database already holds data sealed with it.",
            remedy="Put the file back from your backup, or set PLUMBLINE_SECRET_KEY.",
        )
    key = secrets.token_bytes(32)
    make_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.hex() + "\n")
    return key


def has_key(db: Connection) -> bool:
    """Whether this database was ever opened with a key; nothing is sealed before."""
    return db.scalar(select(ServerValue.name).where(ServerValue.name == _CHECK)) is not None


def check_key(db: Connection, vault: Vault) -> None:
    """Refuse a key other than the one this database was first opened with."""
    kept = db.scalar(select(ServerValue.value).where(ServerValue.name == _CHECK))
    if kept is None:
        sealed = vault.seal(b"plumbline", _CHECK).hex()
        db.execute(insert(ServerValue), {"name": _CHECK, "value": sealed})
    else:
        vault.open(bytes.fromhex(kept), _CHECK)


def _parse(text: str, source: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError as reason:
        raise SettingInvalid(f"{source} is not a key: 64 hexadecimal digits are needed.") from reason
    if len(key) != 32:
        raise SettingInvalid(f"{source} is not a key: it has {len(key)} bytes, 32 are needed.")
    return key
