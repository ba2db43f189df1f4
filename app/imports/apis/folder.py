"""A draft as a folder of connector files; it stands there whole, or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

from app.catalog.format.definition import Connector
from app.catalog.load import load_connector
from app.catalog.yaml_text import MOST_BYTES
from app.errors import ConnectorInvalid
from app.imports.apis.draft import Draft
from app.imports.apis.operations import DraftOperation, at_of

ORIGIN = "origin.json"


@dataclass(frozen=True)
class Written:
    """`folder` None: nothing was to be written."""

    folder: Path | None
    connector: Connector


class _Plain(yaml.CSafeDumper):
    """No anchors: our reader wants every value written out."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_connector(
    draft: Draft,
    folder: Path,
    *,
    only: Collection[str] | None = None,
    replace: bool = False,
    dry: bool = False,
) -> Written:
    """`only`: keys of the operations that are taken.  Raises ConnectorInvalid when a folder of that
    name is there already and was not made here, or when nothing can be used."""
    target = folder / draft.key
    if not draft.usable or (only is not None and not any(one.key in only for one in draft.usable)):
        reason = draft.refused[0].reason if draft.refused else ""
        raise ConnectorInvalid(
            f"no operation is chosen that can be used. {reason}".strip(),
            file=draft.key,
            remedy="Choose at least one operation.",
        )
    if target.exists() and not (replace and (target / ORIGIN).is_file()):
        raise ConnectorInvalid(
            "there is a connector of that key already.",
            file=str(target),
            field="key",
            remedy="Choose another key, or replace the one that was brought in before.",
        )
    with _aside(folder, dry) as scratch:
        made = scratch / draft.key
        for path, text in _files(draft, only):
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        connector = load_connector(made)
        if dry:
            return Written(None, connector)
        _put(made, target, scratch)
    return Written(target, connector)


@contextmanager
def _aside(folder: Path, dry: bool) -> Iterator[Path]:
    """Beside the place it goes to, so that moving it is one step; its dot keeps it from being loaded."""
    if not dry:
        folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".bring-", dir=None if dry else folder))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _put(made: Path, target: Path, scratch: Path) -> None:
    made.chmod(0o755)
    if not target.exists():
        made.rename(target)
        return
    for name in ("cassettes", "icon.svg"):  # what somebody has added since stays
        if (target / name).exists() and not (made / name).is_dir():
            kept = made / name
            if kept.exists():
                kept.unlink()
            (shutil.copytree if (target / name).is_dir() else shutil.copy)(target / name, kept)
    target.rename(scratch / "before")
    try:
        made.rename(target)
    except OSError:
        (scratch / "before").rename(target)
        raise


def _files(draft: Draft, only: Collection[str] | None) -> Iterator[tuple[str, str]]:
    chosen = [one for one in draft.usable if only is None or one.key in only]
    yield "connector.yaml", _text(_head(draft, chosen))
    for one in chosen:
        yield f"actions/{one.key}.yaml", _text(one.action)
        if one.trigger:
            yield f"triggers/{one.trigger['key']}.yaml", _text(one.trigger)
    yield "README.md", _readme(draft, len(chosen))
    yield "icon.svg", icon(draft.name, draft.key)
    yield ORIGIN, json.dumps(origin_of(draft, [one.key for one in chosen]), indent=1, ensure_ascii=False)


def _head(draft: Draft, chosen: list[DraftOperation]) -> dict[str, Any]:
    """The keys of a connection go to no address that none of the chosen operations is at."""
    api = {name: value for name, value in draft.head["api"].items() if name != "also_at"}
    named = at_of(chosen)
    return {**draft.head, "api": {**api, **({"also_at": named} if named else {})}}


def _text(data: dict[str, Any]) -> str:
    text: str = yaml.dump(
        _readable(data),
        Dumper=_Plain,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=False,
    )
    if len(text.encode()) > MOST_BYTES:
        raise ConnectorInvalid(
            f"the file would be larger than {MOST_BYTES // 1024} KB.", file=str(data["key"])
        )
    return text


def _readable(node: Any) -> Any:
    """Numbers that our reader would take for texts are written as texts it cannot mistake."""
    if isinstance(node, dict):
        return {str(key): _readable(one) for key, one in node.items()}
    if isinstance(node, list | tuple):
        return [_readable(one) for one in node]
    if isinstance(node, bool) or node is None or isinstance(node, str):
        return node
    if isinstance(node, int):
        return node if abs(node) < 10**17 else str(node)
    text = repr(node)
    return node if isinstance(node, float) and "e" not in text and "n" not in text else text


def _readme(draft: Draft, number: int) -> str:
    source = f" at {draft.source}" if draft.source else ""
    lines = [
        f"# {draft.name}",
        "",
        f"Brought in from a description of this API{source} (version “{draft.version or 'not stated'}”):"
        f" {number} of {len(draft.operations)} operations.",
        "",
        "Nobody has tried these operations against the service yet. Make a connection, test it, and test each"
        " step before the flow goes live. The fields and their help are the service’s own words.",
        "",
        "## How to connect",
        "",
        *(f"- {auth['label']}. {auth.get('help', '')}".strip() for auth in draft.head["auth"]),
    ]
    return "\n".join(lines) + "\n"


def icon(name: str, key: str) -> str:
    """The first letter in a colour that belongs to the key."""
    hue = int(hashlib.sha256(key.encode()).hexdigest()[:4], 16) % 360
    letter = escape((name.strip() or key)[:1].upper())
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        f'<rect width="24" height="24" rx="5" fill="hsl({hue} 48% 40%)"/>'
        '<text x="12" y="16.6" text-anchor="middle" font-family="Inter, Arial, sans-serif" font-size="13" '
        f'font-weight="700" fill="#fff">{letter}</text></svg>\n'
    )


# ---------------------------------------------------------------------------- where it came from


def origin_of(draft: Draft, chosen: list[str]) -> dict[str, Any]:
    """What a later import of the same API is compared with."""
    operations = {
        one.key: {"title": one.title, "print": print_of(one.action), "trigger": one.trigger.get("key", "")}
        for one in draft.usable
        if one.key in chosen
    }
    return {"kind": draft.kind, "source": draft.source, "version": draft.version, "operations": operations}


def print_of(action: dict[str, Any]) -> str:
    """Changes when the fields or the request of an action do."""
    told = {word: action.get(word) for word in ("input", "requests", "output")}
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]


def read_origin(folder: Path) -> dict[str, Any] | None:
    """None for a connector that was not brought in."""
    try:
        found = json.loads((folder / ORIGIN).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("operations"), dict) else None
