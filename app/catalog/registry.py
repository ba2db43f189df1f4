"""All connectors this server knows, from several folders; a broken one never hides the others."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.catalog.format.definition import Action, Connector, Lookup, Trigger
from app.catalog.load import Heading, hash_of, heading_of, is_connector, load_connector
from app.errors import ConnectorInvalid, NotFound
from app.flows.near import nearest_hint


@dataclass
class Shelf:
    """One connector's place.  `overrides`: the sources whose connector of that key it stands for."""

    key: str
    source: str
    folder: Path
    overrides: tuple[str, ...] = ()
    connector: Connector | None = None
    fault: ConnectorInvalid | None = None
    hash: str = ""
    _heading: Heading | None = field(default=None, repr=False)


class Registry:
    """Folders are looked through once, each connector is loaded when it is first asked for.  Of two
    with the same key the one from the later folder counts, even if it is broken: falling back to
    another definition would change what a flow does without anybody knowing."""

    def __init__(self, folders: Iterable[tuple[str, Path]]) -> None:
        self._folders = [(source, Path(folder)) for source, folder in folders]
        self._lock = threading.RLock()
        self._shelves: dict[str, Shelf] = _scan(self._folders)

    # ------------------------------------------------------------------------------- connectors

    def all(self) -> list[Connector]:
        """Every connector that loads, by name."""
        found = [connector for key in self._shelves if (connector := self.find(key)) is not None]
        return sorted(found, key=lambda one: one.name.lower())

    def headings(self) -> list[Heading]:
        """Names and descriptions without loading the connectors."""
        with self._lock:
            shelves = list(self._shelves.values())
        found = [heading for shelf in shelves if (heading := _heading(shelf)) is not None]
        return sorted(found, key=lambda one: one.name.lower())

    def keys(self) -> list[str]:
        return sorted(self._shelves)

    def find(self, key: str) -> Connector | None:
        shelf = self._loaded(key)
        return shelf.connector if shelf is not None else None

    def get(self, key: str) -> Connector:
        """Raises NotFound, or ConnectorInvalid when it is there and broken."""
        shelf = self._loaded(key)
        if shelf is None:
            raise NotFound(
                f"There is no connector called '{key}'. "
                f"{nearest_hint(key, self.keys(), 'There is')}".rstrip(),
                remedy="Choose one from the list of connectors.",
                connector=key,
            )
        if shelf.connector is None:
            assert shelf.fault is not None
            raise shelf.fault
        return shelf.connector

    def broken(self) -> list[ConnectorInvalid]:
        """What is wrong with each connector that does not load; loads all of them."""
        loaded = [self._loaded(key) for key in self.keys()]
        return [shelf.fault for shelf in loaded if shelf is not None and shelf.fault is not None]

    # -------------------------------------------------------------------------------- operations

    def find_action(self, connector: str, action: str) -> Action | None:
        found = self.find(connector)
        return found.actions.get(action) if found is not None else None

    def find_trigger(self, connector: str, trigger: str) -> Trigger | None:
        found = self.find(connector)
        return found.triggers.get(trigger) if found is not None else None

    def find_lookup(self, connector: str, lookup: str) -> Lookup | None:
        found = self.find(connector)
        return found.lookups.get(lookup) if found is not None else None

    # ------------------------------------------------------------------------------- where from

    def shelf_of(self, key: str) -> Shelf | None:
        """Where a connector comes from and what is wrong with it; loads it."""
        return self._loaded(key)

    def hash_of(self, key: str) -> str:
        """Changes when the definition changes; '' for an unknown connector."""
        shelf = self._loaded(key)
        return shelf.hash if shelf is not None else ""

    def icon_of(self, key: str) -> Path | None:
        return self._file(key, "icon.svg")

    def readme_of(self, key: str) -> Path | None:
        return self._file(key, "README.md")

    def _file(self, key: str, name: str) -> Path | None:
        shelf = self._shelves.get(key)
        path = shelf.folder / name if shelf is not None else None
        return path if path is not None and path.is_file() else None

    # ----------------------------------------------------------------------------------- loading

    def reload(self) -> None:
        """Looks through the folders again; what did not change is kept."""
        fresh = _scan(self._folders)
        with self._lock:
            for key, shelf in fresh.items():
                old = self._shelves.get(key)
                if old is not None and old.connector is not None and old.folder == shelf.folder:
                    _keep_unchanged(shelf, old)
            self._shelves = fresh

    def _loaded(self, key: str) -> Shelf | None:
        shelf = self._shelves.get(key)
        if shelf is None or shelf.connector is not None or shelf.fault is not None:
            return shelf
        with self._lock:
            if shelf.connector is None and shelf.fault is None:
                _load(shelf)
        return shelf


def _scan(folders: list[tuple[str, Path]]) -> dict[str, Shelf]:
    shelves: dict[str, Shelf] = {}
    for source, folder in folders:
        for inner in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not inner.is_dir() or not is_connector(inner):
                continue
            before = shelves.get(inner.name)
            overrides = (*before.overrides, before.source) if before is not None else ()
            shelves[inner.name] = Shelf(inner.name, source, inner, overrides)
    return shelves


def _load(shelf: Shelf) -> None:
    try:
        found = hash_of(shelf.folder)
        connector = load_connector(shelf.folder)
    except ConnectorInvalid as fault:
        shelf.fault = fault
        return
    shelf.hash = found
    shelf.connector = connector


def _heading(shelf: Shelf) -> Heading | None:
    if shelf._heading is None:
        try:
            shelf._heading = heading_of(shelf.folder)
        except ConnectorInvalid:
            return None
    return shelf._heading


def _keep_unchanged(shelf: Shelf, old: Shelf) -> None:
    try:
        unchanged = hash_of(shelf.folder) == old.hash
    except ConnectorInvalid:
        return
    if unchanged:
        shelf.connector, shelf.hash = old.connector, old.hash
