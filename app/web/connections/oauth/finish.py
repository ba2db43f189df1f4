"""What a sign-in brought: kept as a new connection, or in the one that was there."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from app.calls.connections.book import seal_secrets
from app.calls.oauth.grants import Asked
from app.calls.oauth.journey import Ticket
from app.catalog.format.auth import OAuth2Auth
from app.catalog.format.definition import Connector
from app.ids import new_id
from app.storage.connections import connections as store
from app.storage.connections import grants
from app.storage.connections.connections import ConnectionRow
from app.storage.database.db import pages_db
from app.storage.people import audit
from app.web.connections.check import Checked
from app.web.connections.page import check_now, free_name
from app.web.frame.context import my_id, parts


@dataclass
class Made:
    """`remarks`: (kind, sentence) of what somebody should know."""

    connection_id: str
    sentence: str
    checked: Checked
    remarks: list[tuple[str, str]] = field(default_factory=list)


def keep(connector: Connector, auth: OAuth2Auth, ticket: Ticket, asked: Asked, began: datetime) -> Made:
    """Raises NotFound when the connection was deleted meanwhile."""
    row = store.get_connection(pages_db.session, ticket.connection_id) if ticket.connection_id else None
    connection_id = row.id if row is not None else new_id("con")
    _store(connector, ticket, asked, began, row, connection_id)
    checked = check_now(connection_id)
    if row is None:
        name = _name(connector, ticket, connection_id)
        made = Made(connection_id, f"“{name}” is connected.", checked)
        made.remarks += _twins(connector, connection_id, checked.account)
    else:
        made = Made(connection_id, f"“{ticket.name}” is signed in again.", checked)
        made.remarks += _other_account(row, checked.account)
    return made


def _store(
    connector: Connector,
    ticket: Ticket,
    asked: Asked,
    began: datetime,
    row: ConnectionRow | None,
    connection_id: str,
) -> None:
    assert asked.token is not None
    vault, me, now = parts().vault, my_id(), parts().clock.now()
    facts: dict[str, Any] = {
        "name": ticket.name or connector.name,
        "auth": ticket.auth,
        "public": {**ticket.public, **asked.token.kept},
        "sealed": seal_secrets(vault, connection_id, ticket.secrets) if ticket.secrets else None,
        "now": now,
        "definition_hash": parts().registry.hash_of(connector.key),
    }
    grant = parts().tokens.new_grant(connection_id, asked.token, "", ticket.scopes, began)

    def work(db: Connection) -> None:
        if row is None:
            store.create_connection(
                db, connection_id=connection_id, connector=connector.key, owner_id=me, **facts
            )
        else:
            store.update_connection(db, connection_id, **facts)
            store.mend_connection(db, connection_id)
        grants.put_grant(db, connection_id, grant)
        if asked.row is not None:
            grants.add_token_call(db, connection_id, asked.row, what="sign_in")
        done = "connected" if row is None else "reconnected"
        audit.record(db, now=now, user_id=me, action=done, noun="connection", noun_id=connection_id)

    parts().database.write(work)
    parts().connections.forget(connection_id)


def _name(connector: Connector, ticket: Ticket, connection_id: str) -> str:
    """Who gave none gets the service's name with that of the account."""
    if ticket.name:
        return ticket.name
    with parts().database.read() as db:
        account = store.get_connection(db, connection_id).account
        taken = {row.name for row in store.list_connections(db) if row.id != connection_id}
    name = free_name(f"{connector.name} · {account}"[:90] if account else connector.name, taken)
    now = parts().clock.now()
    parts().database.write(lambda db: store.rename_connection(db, connection_id, name, now=now))
    parts().connections.forget(connection_id)
    return name


def _twins(connector: Connector, connection_id: str, account: str) -> list[tuple[str, str]]:
    with parts().database.read() as db:
        rows = store.list_connections(db, connector=connector.key)
    twins = [row.name for row in rows if account and row.account == account and row.id != connection_id]
    if not twins:
        return []
    sentence = f"“{twins[0]}” leads to the same account ({account}). Flows can use either of them."
    return [("warn", sentence)]


def _other_account(row: ConnectionRow, account: str) -> list[tuple[str, str]]:
    if not row.account or not account or row.account == account:
        return []
    sentence = (
        f"This is another account: “{account}” in place of “{row.account}”. The flows that use this "
        "connection work with it from now on. If that is not meant, sign in with the other one."
    )
    return [("warn", sentence)]
