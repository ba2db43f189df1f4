"""`connectors check`: what is wrong with the connectors in some folders, and how good the others are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from app.catalog.format.definition import Connector
from app.catalog.load import is_connector, load_connector
from app.catalog.workbench.cassettes import Cassette, cassettes_of
from app.catalog.workbench.quality import Evidence, Level, grade
from app.clock import SystemClock
from app.errors import ConnectorInvalid


@dataclass(frozen=True)
class ConnectorReport:
    """`problems` keep it from being used or trusted; `missing` from the next level."""

    key: str
    folder: Path
    level: Level | None
    actions: int = 0
    triggers: int = 0
    lookups: int = 0
    contract: str = ""
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "level": self.level,
            "actions": self.actions,
            "triggers": self.triggers,
            "lookups": self.lookups,
            "contract": self.contract,
            "problems": list(self.problems),
            "missing": list(self.missing),
        }


@dataclass(frozen=True)
class Report:
    connectors: list[ConnectorReport] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.connectors) and not any(one.problems for one in self.connectors)

    def as_json(self) -> dict[str, Any]:
        return {"connectors": [one.as_json() for one in self.connectors]}

    def as_text(self) -> str:
        if not self.connectors:
            return "No connector was found: a folder with a connector.yaml is one.\n"
        return "\n".join(line for one in self.connectors for line in _lines(one)) + "\n"


def _lines(one: ConnectorReport) -> Iterable[str]:
    counts = f"{one.actions} actions, {one.triggers} triggers, {one.lookups} lookups"
    yield f"{one.key}: {one.level}, {counts}" if one.level is not None else f"{one.key}: cannot be used"
    yield from (f"  wrong: {problem}" for problem in one.problems)
    yield from (f"  for the next level: {missing}" for missing in one.missing)


def check_all(folders: Iterable[Path], *, today: date | None = None) -> Report:
    """Each folder is a connector, or holds connectors."""
    day = today or SystemClock().now().date()
    return Report([check_one(folder, day) for folder in _connectors(folders)])


def _connectors(folders: Iterable[Path]) -> Iterable[Path]:
    for folder in folders:
        if is_connector(folder):
            yield folder
        elif folder.is_dir():
            yield from (inner for inner in sorted(folder.iterdir()) if inner.is_dir() and is_connector(inner))


def check_one(folder: Path, today: date) -> ConnectorReport:
    folder = folder.resolve()
    try:
        connector = load_connector(folder)
    except ConnectorInvalid as reason:
        return ConnectorReport(folder.name, folder, None, problems=(_said(reason),))
    tapes, problems = _tapes(folder, connector)
    graded = grade(Evidence(connector, folder, tapes, today))
    return ConnectorReport(
        key=connector.key,
        folder=folder,
        level=graded.level,
        actions=len(connector.actions),
        triggers=len(connector.triggers),
        lookups=len(connector.lookups),
        contract=connector.api.contract,
        problems=tuple(problems),
        missing=graded.missing,
    )


def _tapes(folder: Path, connector: Connector) -> tuple[list[Cassette], list[str]]:
    known = {
        "check",
        *(f"actions/{key}" for key in connector.actions),
        *(f"triggers/{key}" for key in connector.triggers),
        *(f"lookups/{key}" for key in connector.lookups),
    }
    tapes: list[Cassette] = []
    try:
        for file, tape in cassettes_of(folder):
            if tape.operation not in known:
                return tapes, [f"cassettes/{file.name}: the connector has no {tape.operation}."]
            tapes.append(tape)
    except ConnectorInvalid as reason:
        return tapes, [_said(reason)]
    return tapes, []


def _said(reason: ConnectorInvalid) -> str:
    return f"{reason.sentence} {reason.remedy}".strip()
