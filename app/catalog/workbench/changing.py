"""A connector's files being changed: written beside the old ones, loaded, and only then put in place."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from app.catalog.load import PARTS, files_of, load_connector
from app.catalog.yaml_text import MOST_BYTES, read_yaml
from app.errors import ConnectorInvalid, NotFound

KEY = re.compile(r"[a-z][a-z0-9_]{1,47}")
_OWN_NAMES = ("connector.yaml", "README.md")


class Workbench:
    """`folder`: where a person's own connectors lie.  A connector that comes from elsewhere is copied
    there when it is first changed, and from then on takes the other one's place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, key: str) -> bool:
        return (self._folder / key / "connector.yaml").is_file()

    def save(self, key: str, changes: Mapping[str, str | None], source: Path | None = None) -> None:
        """File names in the connector's folder -> their new text, None = removed.  `source`: the folder
        it comes from while it has none of its own.  Raises ConnectorInvalid and changes nothing."""
        if not KEY.fullmatch(key):
            raise ConnectorInvalid(
                "write it in small letters, digits and _, such as loyalty.", file=key[:80], field="key"
            )
        own = self._folder / key
        source = own if own.is_dir() else source
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._folder) as made_in:
            made = Path(made_in) / key
            if source is not None:
                shutil.copytree(source, made, ignore=shutil.ignore_patterns("__pycache__"))
            for name, text in changes.items():
                _change(made, name, text)
            load_connector(made)
            _swap(made, own, Path(made_in) / "before")

    def remove(self, key: str) -> None:
        """Raises NotFound when there is none of one's own."""
        if not KEY.fullmatch(key) or not self.has(key):
            raise NotFound("This connector is not one of your own, so it cannot be removed.")
        with tempfile.TemporaryDirectory(prefix=".removing-", dir=self._folder) as gone:
            (self._folder / key).rename(Path(gone) / key)


def _change(folder: Path, name: str, text: str | None) -> None:
    target = folder / check_name(name)
    if text is None:
        target.unlink(missing_ok=True)
        return
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise ConnectorInvalid(f"the file is larger than {MOST_BYTES // 1024} KB.", file=name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace("\r\n", "\n"), encoding="utf-8")


def _swap(made: Path, own: Path, before: Path) -> None:
    """Two renames: between them a reader that looks finds no connector, never half of one."""
    if own.exists():
        own.rename(before)
    made.rename(own)


def check_name(name: str) -> str:
    """`connector.yaml`, `README.md`, or `actions/<key>.yaml` and the like.  Raises NotFound."""
    path = PurePosixPath(name)
    is_part = len(path.parts) == 2 and path.parts[0] in PARTS and path.suffix == ".yaml"
    if name in _OWN_NAMES or (is_part and KEY.fullmatch(path.stem)):
        return name
    raise NotFound("A connector has no file of this name.", file=name[:80])


def file_names(folder: Path) -> list[str]:
    """What a person may read and change."""
    names = [file.relative_to(folder).as_posix() for file in files_of(folder)]
    return [*names, *(["README.md"] if (folder / "README.md").is_file() else [])]


def read_text(folder: Path, name: str) -> str:
    file = folder / check_name(name)
    return file.read_text(encoding="utf-8", errors="replace")[:MOST_BYTES] if file.is_file() else ""


def read_table(folder: Path, name: str) -> dict[str, Any]:
    """Empty for a file that is not there.  Raises ConnectorInvalid."""
    data = read_yaml(text, f"{folder.name}/{name}") if (text := read_text(folder, name)) else {}
    return data if isinstance(data, dict) else {}


def as_text(data: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(data), sort_keys=False, allow_unicode=True, width=110)


def archive(folder: Path) -> bytes:
    """The whole folder as a zip file, to be unpacked into somebody else's folder of connectors."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    return packed.getvalue()
