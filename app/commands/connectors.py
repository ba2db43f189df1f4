"""What a person does with connectors: make, change, remove, and make one from the description of an API."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import Connection

from app.catalog.format.definition import Connector
from app.catalog.workbench.changing import Workbench
from app.changes import ConnectorsChanged
from app.commands.who import Who
from app.errors import ConnectorInvalid, NotAllowed, NotFound
from app.imports.apis.draft import Draft
from app.imports.apis.folder import write_connector
from app.parts import Parts
from app.storage.connections.connections import list_connections
from app.storage.database.executor import Executor
from app.storage.flows.flows import connector_uses
from app.storage.people import audit

_PARTS = {"actions": "action", "triggers": "trigger"}


def create(who: Who, parts: Parts, key: str, files: Mapping[str, str]) -> None:
    """Makes a connector of one's own from these files, by their names.  Raises NotAllowed, and
    ConnectorInvalid for a key that is taken or files that cannot be loaded; then nothing is made."""
    who.must("connectors")
    if parts.registry.shelf_of(key) is not None:
        raise ConnectorInvalid(f"there is a connector with the key {key} already.", file=key, field="key")
    _workbench(parts).save(key, files)
    _tell(who, parts, "made", key, {})


def change(who: Who, parts: Parts, key: str, changes: Mapping[str, str | None]) -> None:
    """Changes files of a connector: name -> its new text, None = removed.  A connector of ours is copied
    first.  Raises NotAllowed (also for an operation that a flow uses and that would go), NotFound, and
    ConnectorInvalid for what cannot be loaded; then nothing is changed."""
    who.must("connectors")
    shelf = parts.registry.shelf_of(key)
    if shelf is None:
        raise NotFound("There is no such connector.", connector=key)
    with parts.database.read() as db:
        for name, text in changes.items():
            if text is None:
                _refuse_used(db, key, name)
    bench = _workbench(parts)
    bench.save(key, changes, None if bench.has(key) else shelf.folder)
    _tell(who, parts, "changed", key, {"files": sorted(changes)})


def _refuse_used(db: Executor, key: str, name: str) -> None:
    part, _, file = name.partition("/")
    if part not in _PARTS:
        return
    operation = file.removesuffix(".yaml")
    for uses in connector_uses(db, key):
        if operation in (uses.actions if part == "actions" else uses.triggers):
            raise NotAllowed(
                f"The flow “{uses.flow.name}” uses this {_PARTS[part]}, so it stays.",
                remedy="Take it out of the flow first.",
            )


def remove(who: Who, parts: Parts, key: str) -> None:
    """Removes a connector of one's own.  Raises NotFound, and NotAllowed while connections or flows use it;
    a copy that stands for a connector of ours may always go."""
    who.must("connectors")
    with parts.database.read() as db:
        used_by = list(users(db, parts, key))
    if used_by:
        raise NotAllowed(
            f"{', '.join(used_by[:5])} uses this connector, so it stays.",
            remedy="Take it out of the flows and delete its connections first.",
        )
    _workbench(parts).remove(key)
    _tell(who, parts, "removed", key, {})


def users(db: Executor, parts: Parts, key: str) -> Iterator[str]:
    """Returns what keeps a connector from being removed: names of connections and flows."""
    shelf = parts.registry.shelf_of(key)
    if shelf is not None and shelf.overrides:
        return
    for row in list_connections(db, connector=key):
        yield f"The connection “{row.name}”"
    for uses in connector_uses(db, key):
        yield f"The flow “{uses.flow.name}”"


def make_from_api(
    who: Who, parts: Parts, draft: Draft, only: Collection[str], *, replaces: bool = False
) -> Connector:
    """Makes a connector from the description of an API, with the operations of these keys; `replaces`: it
    takes the place of one that was brought in before.  Raises NotAllowed and ConnectorInvalid."""
    who.must("connectors")
    folder = parts.settings.connectors_folder
    made = write_connector(draft, folder, only=only, replace=replaces).connector
    _tell(who, parts, "brought", draft.key, {"actions": str(len(made.actions))})
    return made


def reload(who: Who, parts: Parts) -> int:
    """Reads all connectors again, after somebody put a folder there or corrected a file; returns how many
    cannot be used.  Raises NotAllowed."""
    who.must("connections")  # no connector is made or changed by it
    parts.changes.tell(ConnectorsChanged())
    return len(parts.registry.broken())


def _workbench(parts: Parts) -> Workbench:
    return Workbench(parts.settings.connectors_folder)


def _tell(who: Who, parts: Parts, action: str, key: str, detail: Mapping[str, object]) -> None:
    """The files are in place: they are read again, and who put them there goes on record."""
    now = parts.clock.now()

    def work(db: Connection) -> None:
        noun = {"noun": "connector", "noun_id": key}
        audit.record(db, now=now, user_id=who.id, action=action, detail=detail or None, **noun)

    parts.database.write(work)
    parts.changes.tell(ConnectorsChanged())
