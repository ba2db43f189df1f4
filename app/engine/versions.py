"""Flow versions as the engine wants them: parsed once, kept, never changing."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import select

from app.errors import NotFound
from app.flows.model import FlowDefinition
from app.flows.portable.files import load
from app.storage.database.db import Database
from app.storage.tables.models import FlowVersion

_MOST_KEPT = 512


@dataclass(frozen=True, slots=True)
class Version:
    id: str
    flow_id: str
    number: int
    definition: FlowDefinition
    wants_delivery: bool  # a mapping looks at the headers or the query of the delivery


class VersionBook:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[str, Version] = OrderedDict()

    def kept(self, version_id: str) -> Version | None:
        return self._kept.get(version_id)

    def get(self, version_id: str) -> Version:
        """Reads the database the first time: call it from a thread that may wait."""
        version = self._kept.get(version_id)
        if version is None:
            version = self._kept[version_id] = self._read(version_id)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return version

    def _read(self, version_id: str) -> Version:
        with self._database.read() as db:
            row = db.execute(
                select(FlowVersion.flow_id, FlowVersion.number, FlowVersion.definition).where(
                    FlowVersion.id == version_id
                )
            ).one_or_none()
        if row is None:
            raise NotFound("This flow version is not in the database.", version=version_id)
        definition = load(row.definition)
        return Version(
            version_id, row.flow_id, row.number, definition, "{{delivery:" in definition.model_dump_json()
        )
