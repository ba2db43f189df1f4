"""From a folder to a Connector; what is wrong with it is said with file, field and reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from app.catalog.complaints import complaint
from app.catalog.format.definition import Action, Connector, Lookup, PollTrigger, WebhookTrigger
from app.catalog.format.values import Model
from app.catalog.references import faults
from app.catalog.yaml_text import MOST_BYTES, read_yaml
from app.errors import ConnectorInvalid

M = TypeVar("M", bound=Model)
PARTS = ("triggers", "actions", "lookups")
_MOST_FILES = 3000  # one that was made of a whole API has a file per operation
_KINDS: dict[str, type[Model]] = {"actions": Action, "lookups": Lookup}
_TRIGGERS: dict[str, type[Model]] = {"poll": PollTrigger, "webhook": WebhookTrigger}


@dataclass(frozen=True)
class Heading:
    """What a list of connectors shows, read from `connector.yaml` alone."""

    key: str
    name: str
    category: str
    description: str


def is_connector(folder: Path) -> bool:
    return (folder / "connector.yaml").is_file() and not folder.name.startswith((".", "_"))


def heading_of(folder: Path) -> Heading:
    """Raises ConnectorInvalid."""
    data = _table(folder / "connector.yaml", f"{folder.name}/connector.yaml")
    words = {name: str(data.get(name) or "") for name in ("name", "category", "description")}
    return Heading(folder.name, words["name"] or folder.name, words["category"], words["description"])


def files_of(folder: Path) -> list[Path]:
    """The files that say what the connector does, in a fixed order.  Raises ConnectorInvalid."""
    found = [folder / "connector.yaml"]
    for part in PARTS:
        found += sorted((folder / part).glob("*.yaml"))
    if len(found) > _MOST_FILES:
        raise ConnectorInvalid(
            f"the folder holds {len(found)} files; at most {_MOST_FILES} are read.", file=folder.name
        )
    return found


def hash_of(folder: Path) -> str:
    """Changes when any of the files changes."""
    digest = hashlib.sha256()
    for file in files_of(folder):
        digest.update(f"{file.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(_bytes(file, folder.name)).digest())
    return digest.hexdigest()[:32]


def load_connector(folder: Path) -> Connector:
    """Raises ConnectorInvalid for the first thing that is wrong."""
    name = folder.name
    head = _table(folder / "connector.yaml", f"{name}/connector.yaml")
    for part in PARTS:
        if part in head:
            raise ConnectorInvalid(
                f"they stand in files of their own, {part}/<key>.yaml.",
                file=f"{name}/connector.yaml",
                field=part,
            )
    data = {**head, **{part: dict(_parts(folder, part, head)) for part in PARTS}}
    _share_success(data)
    connector = _validated(Connector, data, f"{name}/connector.yaml")
    if connector.key != name:
        raise ConnectorInvalid(
            f"it says key: {connector.key}, but the folder is called {name}.",
            file=f"{name}/connector.yaml",
            field="key",
        )
    for fault in faults(connector):
        raise ConnectorInvalid(fault.sentence, file=f"{name}/{fault.file}", field=fault.field)
    return connector


def _parts(folder: Path, part: str, head: dict[str, Any]) -> Iterator[tuple[str, Model]]:
    for file in files_of(folder):
        if file.parent.name != part or file.parent == folder:
            continue
        shown = f"{folder.name}/{part}/{file.name}"
        data = _table(file, shown)
        if "success" in head and "success" not in data:
            data["success"] = head["success"]
        kind = _TRIGGERS.get(str(data.get("kind"))) if part == "triggers" else _KINDS[part]
        if kind is None:
            raise ConnectorInvalid("a trigger is either poll or webhook.", file=shown, field="kind")
        if data.get("key") != file.stem:
            raise ConnectorInvalid(
                f"it says key: {data.get('key')}, but the file is called {file.name}.",
                file=shown,
                field="key",
            )
        yield file.stem, _validated(kind, data, shown)


def _share_success(data: dict[str, Any]) -> None:
    check = data.get("check")
    if "success" in data and isinstance(check, dict) and "success" not in check:
        data["check"] = {**check, "success": data["success"]}


def _validated(kind: type[M], data: dict[str, Any], file: str) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        place, sentence = complaint(error, data, kind)
        raise ConnectorInvalid(sentence, file=file, field=place) from error


def _table(file: Path, shown: str) -> dict[str, Any]:
    data = read_yaml(_text(file, shown), shown)
    if not isinstance(data, dict):
        raise ConnectorInvalid("it has to be a table of names and values.", file=shown)
    return data


def _text(file: Path, shown: str) -> str:
    try:
        return _bytes(file, shown).decode("utf-8")
    except UnicodeDecodeError as reason:
        raise ConnectorInvalid("it is not written in UTF-8.", file=shown) from reason


def _bytes(file: Path, shown: str) -> bytes:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as reason:
        raise ConnectorInvalid(f"it cannot be read ({reason.strerror}).", file=shown) from reason
    if len(content) > MOST_BYTES:
        raise ConnectorInvalid(f"the file is larger than {MOST_BYTES // 1024} KB.", file=shown)
    return content
