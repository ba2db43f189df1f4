"""The connections a call may use: facts with opened secrets, kept for a few seconds."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Connection, Row, select

from app.calls.connections.builtin import BUILT_IN, BuiltInAuth, BuiltInConnector
from app.calls.connections.pace import PLAIN, Pace, read_pace
from app.calls.connections.secrets import Credentials, credentials_of
from app.calls.connections.tokens import TokenFacts, facts_of, open_app, open_tokens
from app.catalog.format.auth import Auth, OAuth2Auth, TokenAuth
from app.catalog.format.definition import Connector
from app.catalog.registry import Registry
from app.catalog.render import base_url
from app.errors import ConnectionBroken, MappingFailed, NotFound, SettingInvalid
from app.states import ConnectionState
from app.storage.connections.grants import get_grant
from app.storage.connections.sign_ins import get_app
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.tables.models import Connection as ConnectionTable

_KEEP_S = 5.0  # other processes change connections too
_HOST = re.compile(r"^(?:(https?)://)?(?:[^/?#@]*@)?([^/?#@\s]+)")


@dataclass(frozen=True)
class ConnectionFacts:
    """`hosts`: where its secrets may go (see `auth.is_home`).  `may_place`: its connector may write
    `{{secret:field}}` into a request; what a person typed may not."""

    id: str
    connector: str
    name: str
    auth: Auth | BuiltInAuth | None
    public: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    state: ConnectionState = "ok"
    hosts: tuple[str, ...] = ()
    state_sentence: str = ""
    hold_reason: str | None = None  # not None: a person holds it
    pace: Pace = PLAIN
    grant: TokenFacts | None = None

    @property
    def has_token(self) -> bool:
        """Its calls carry a token that runs out and is renewed."""
        return self.grant is not None

    @property
    def may_place(self) -> bool:
        return self.connector not in BUILT_IN

    def as_scope(self) -> dict[str, Any]:
        """What a connector's templates see: the public fields, and placeholders for secrets."""
        return {**{name: f"{{{{secret:{name}}}}}" for name in self.secrets}, **self.public}

    @cached_property
    def credentials(self) -> Credentials:
        return credentials_of(self.auth, self.public, self.secrets)


class ConnectionBook:
    """Used from pages and from the event loop; a change is seen at once here (`forget`) and within
    seconds in other processes."""

    def __init__(self, database: Database, vault: Vault, registry: Registry) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._kept: dict[str, tuple[float, ConnectionFacts]] = {}
        self._changes = 0
        self._lock = threading.Lock()

    def derive(self, purpose: str) -> bytes:
        """A key of its own for one purpose of the calls."""
        return self._vault.derive(purpose)

    def get(self, connection_id: str) -> ConnectionFacts:
        """Raises NotFound, or ConnectionBroken when its secrets or its connector are gone."""
        kept = self._kept.get(connection_id)
        if kept is not None and time.monotonic() - kept[0] < _KEEP_S:
            return kept[1]
        changes = self._changes
        facts = self._read(connection_id)
        with self._lock:
            if changes == self._changes:
                self._kept[connection_id] = (time.monotonic(), facts)
        return facts

    def forget(self, connection_id: str) -> None:
        with self._lock:
            self._changes += 1
            self._kept.pop(connection_id, None)

    def _read(self, connection_id: str) -> ConnectionFacts:
        table = ConnectionTable.__table__
        with self._database.read() as db:
            row = db.execute(select(table).where(table.c.id == connection_id)).one_or_none()
            facts = self._with_token(db, self._facts(row)) if row is not None else None
        if facts is None:
            raise NotFound(
                "The connection this step uses is not there any more.",
                remedy="Choose another connection in the step.",
                connection=connection_id,
            )
        return facts

    def read_now(self, connection_id: str) -> ConnectionFacts:
        """As `get`, from the database: another process may have changed it a moment ago."""
        self.forget(connection_id)
        return self.get(connection_id)

    def _with_token(self, db: Connection, facts: ConnectionFacts) -> ConnectionFacts:
        if not isinstance(facts.auth, TokenAuth):
            return facts
        public, secrets = dict(facts.public), dict(facts.secrets)
        if isinstance(facts.auth, OAuth2Auth):
            app = open_app(self._vault, get_app(db, facts.connector, facts.auth.key), facts.auth)
            public |= {"client_id": app.client_id} if app.client_id else {}
            secrets |= {"client_secret": app.client_secret} if app.client_secret else {}
        row = get_grant(db, facts.id)
        tokens = open_tokens(self._vault, facts.id, row.sealed if row is not None else None)
        if tokens.get("access_token"):
            secrets["access_token"] = tokens["access_token"]
        grant = facts_of(row, tokens)
        return replace(facts, public=public, secrets=secrets, grant=grant)

    def _facts(self, row: Row[Any]) -> ConnectionFacts:
        connector = find_connector(self._registry, row.connector)
        if connector is None:
            raise ConnectionBroken(
                f"The connection “{row.name}” belongs to the connector “{row.connector}”, which is not "
                "installed any more.",
                remedy="Install the connector again, or choose another connection.",
                connection=row.id,
            )
        public = row.public or {}
        return ConnectionFacts(
            id=row.id,
            connector=row.connector,
            name=row.name,
            auth=next((one for one in connector.auth if one.key == row.auth), None),
            public=public,
            secrets=self._open(row),
            state=row.state,
            hosts=hosts_of(connector, public),
            state_sentence=row.state_sentence,
            hold_reason=row.hold_reason,
            pace=read_pace(row.pace, getattr(connector, "at_once", None)),
        )

    def _open(self, row: Row[Any]) -> dict[str, str]:
        return open_secrets(self._vault, row.id, row.secrets, name=row.name)


def open_secrets(vault: Vault, connection_id: str, sealed: bytes | None, *, name: str = "") -> dict[str, str]:
    """Raises ConnectionBroken when they were sealed with another key."""
    if sealed is None:
        return {}
    try:
        opened: dict[str, str] = orjson.loads(vault.open(sealed, f"{connection_id}:secrets"))
    except (SettingInvalid, ValueError) as reason:
        raise ConnectionBroken(
            f"The secrets of the connection “{name}” cannot be opened.",
            remedy="Enter them again in the connection.",
            connection=connection_id,
        ) from reason
    return opened


def seal_secrets(vault: Vault, connection_id: str, secrets: Mapping[str, str]) -> bytes:
    return vault.seal(orjson.dumps(dict(secrets)), f"{connection_id}:secrets")


def find_connector(registry: Registry, key: str) -> Connector | BuiltInConnector | None:
    return BUILT_IN.get(key) or registry.find(key)


def hosts_of(connector: Connector | BuiltInConnector, public: Mapping[str, Any]) -> tuple[str, ...]:
    """From the connector's addresses; for a connection of one's own, what the person entered."""
    if isinstance(connector, BuiltInConnector):
        entered = str(public.get("host") or "").replace(",", " ").split()
        return tuple(host for host in map(read_host, entered) if host)
    try:
        host = read_host(base_url(connector, public))
    except MappingFailed:
        return ()  # whoever renders a request hears why; until then no secret goes anywhere
    return tuple(dict.fromkeys([host, *map(read_host, connector.api.also_at)])) if host else ()


def leads_elsewhere(
    connector: Connector | BuiltInConnector | None, before: Mapping[str, Any], after: Mapping[str, Any]
) -> bool:
    """Would the same secrets go to another address?  Then they have to be entered again: whoever may
    edit a connection must not be able to have its secret sent to a place of their own."""
    return connector is None or not set(hosts_of(connector, after)) <= set(hosts_of(connector, before))


def read_host(text: str) -> str:
    """`https://api.example.com/v1` and `API.example.com` -> `api.example.com`; http and a port stay."""
    found = _HOST.match(text.strip().lower())
    if found is None:
        return ""
    scheme, place = found[1] or "", found[2].rstrip(".")
    if scheme == "https":
        return place.removesuffix(":443")
    return f"http://{place.removesuffix(':80')}" if scheme == "http" else place
