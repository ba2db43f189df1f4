"""Descriptions of APIs that were read and wait for somebody to choose from them: sealed files, for a day."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import NotFound
from app.ids import new_id
from app.imports.apis.draft import Draft

if TYPE_CHECKING:
    from app.parts import Parts

_DAY_S = 86_400
_MOST = 50
_ID = re.compile(r"api_[0-9A-Za-z]{1,60}")


def keep(parts: Parts, draft: Draft, owner: str) -> str:
    """Sealed, since keys may have stood in what was pasted.  Only who brought it sees it."""
    folder = _folder(parts)
    folder.mkdir(parents=True, exist_ok=True)
    _tidy(parts, folder)
    pending_id = new_id("api")
    sealed = parts.vault.seal(json.dumps(draft.as_json()).encode(), f"{pending_id}:{owner}")
    file = folder / f"{pending_id}.sealed"
    file.touch(mode=0o600)
    file.write_bytes(sealed)
    return pending_id


def find(parts: Parts, pending_id: str, owner: str) -> Draft:
    """Raises NotFound."""
    file = _folder(parts) / f"{pending_id}.sealed"
    gone = NotFound("This description is no longer here.", remedy="Bring it in again.")
    if not _ID.fullmatch(pending_id) or not file.is_file():
        raise gone
    try:
        plain = parts.vault.open(file.read_bytes(), f"{pending_id}:{owner}")
    except Exception as reason:  # whoever else asks learns nothing
        raise gone from reason
    return Draft.from_json(json.loads(plain))


def forget(parts: Parts, pending_id: str) -> None:
    if _ID.fullmatch(pending_id):
        (_folder(parts) / f"{pending_id}.sealed").unlink(missing_ok=True)


def _folder(parts: Parts) -> Path:
    return parts.settings.data_dir / "imports"


def _tidy(parts: Parts, folder: Path) -> None:
    """The oldest make room."""
    now = parts.clock.now().timestamp()
    files = sorted(folder.glob("api_*.sealed"), key=lambda one: one.stat().st_mtime, reverse=True)
    for number, file in enumerate(files):
        if number >= _MOST or now - file.stat().st_mtime > _DAY_S:
            file.unlink(missing_ok=True)
