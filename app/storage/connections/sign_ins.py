"""Apps that this installation is registered as at services, and sign-ins under way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update

from app.storage.database.executor import Executor
from app.storage.tables.models import OAuthApp, SignIn

LASTS = timedelta(minutes=15)
_KEPT = timedelta(days=1)  # so that who comes back late hears why
_MOST_PER_USER = 20


@dataclass(frozen=True)
class AppRow:
    connector: str
    auth: str
    client_id: str
    secret: bytes | None
    token_url: str
    updated_at: datetime

    @property
    def place(self) -> str:
        """What its secret is sealed for."""
        return place_of(self.connector, self.auth)


@dataclass(frozen=True)
class Taken:
    """`reason`: unknown | used | late, where it cannot be gone on with."""

    sealed: bytes = b""
    reason: str = ""


def place_of(connector: str, auth: str) -> str:
    return f"app:{connector}:{auth}:secret"


def get_app(db: Executor, connector: str, auth: str) -> AppRow | None:
    columns = [getattr(OAuthApp, name) for name in AppRow.__dataclass_fields__]
    found = db.execute(select(*columns).where(OAuthApp.connector == connector, OAuthApp.auth == auth)).first()
    return None if found is None else AppRow(*found)


def put_app(db: Connection, app: AppRow) -> None:
    db.execute(delete(OAuthApp).where(OAuthApp.connector == app.connector, OAuthApp.auth == app.auth))
    values = {name: getattr(app, name) for name in AppRow.__dataclass_fields__}
    db.execute(insert(OAuthApp), values)


def delete_app(db: Connection, connector: str, auth: str) -> None:
    db.execute(delete(OAuthApp).where(OAuthApp.connector == connector, OAuthApp.auth == auth))


# ------------------------------------------------------------------------------------- sign-ins


def id_of(state: str) -> str:
    """The state itself is known to the browser and the service alone."""
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def begin_sign_in(db: Connection, sign_in_id: str, *, user_id: str, sealed: bytes, now: datetime) -> None:
    """What was begun long ago, or too often, is forgotten on the way."""
    db.execute(delete(SignIn).where(SignIn.begun_at < now - _KEPT))
    newest = select(SignIn.id).where(SignIn.user_id == user_id).order_by(SignIn.begun_at.desc())
    keep = db.scalars(newest.limit(_MOST_PER_USER - 1)).all()
    db.execute(delete(SignIn).where(SignIn.user_id == user_id, SignIn.id.not_in(keep)))
    row = {"id": sign_in_id, "user_id": user_id, "begun_at": now, "sealed": sealed}
    db.execute(insert(SignIn), row)


def take_sign_in(db: Connection, sign_in_id: str, *, user_id: str, now: datetime) -> Taken:
    """It is used up, whoever asks next; what is left of it says so for a while."""
    row = db.execute(
        select(SignIn.sealed, SignIn.begun_at).where(SignIn.id == sign_in_id, SignIn.user_id == user_id)
    ).first()
    if row is None:
        return Taken(reason="unknown")
    used = db.execute(
        update(SignIn)
        .where(SignIn.id == sign_in_id, SignIn.user_id == user_id, SignIn.sealed != b"")
        .values(sealed=b"")
    )
    if used.rowcount != 1:
        return Taken(reason="used")
    return Taken(row.sealed) if row.begun_at >= now - LASTS else Taken(row.sealed, "late")
