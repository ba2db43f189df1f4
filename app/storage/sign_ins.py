"""Apps that this installation is registered as at services, and sign-ins under way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from app.storage.executor import Executor
from app.storage.models import OAuthApp, SignIn

LASTS = timedelta(minutes=15)
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


def place_of(connector: str, auth: str) -> str:
    return f"app:{connector}:{auth}:secret"


def get_app(db: Executor, connector: str, auth: str) -> AppRow | None:
    columns = [getattr(OAuthApp, name) for name in AppRow.__dataclass_fields__]
    found = db.execute(select(*columns).where(OAuthApp.connector == connector, OAuthApp.auth == auth)).first()
    return None if found is None else AppRow(*found)


def put_app(connection: Connection, app: AppRow) -> None:
    connection.execute(delete(OAuthApp).where(OAuthApp.connector == app.connector, OAuthApp.auth == app.auth))
    values = {name: getattr(app, name) for name in AppRow.__dataclass_fields__}
    connection.execute(insert(OAuthApp), values)


# ------------------------------------------------------------------------------------- sign-ins


def id_of(state: str) -> str:
    """The state itself is known to the browser and the service alone."""
    return hashlib.sha256(state.encode("utf-8", "replace")).hexdigest()


def begin_sign_in(
    connection: Connection, sign_in_id: str, *, user_id: str, sealed: bytes, now: datetime
) -> None:
    """What was begun long ago, or too often, is forgotten on the way."""
    connection.execute(delete(SignIn).where(SignIn.begun_at < now - LASTS))
    newest = select(SignIn.id).where(SignIn.user_id == user_id).order_by(SignIn.begun_at.desc())
    keep = connection.scalars(newest.limit(_MOST_PER_USER - 1)).all()
    connection.execute(delete(SignIn).where(SignIn.user_id == user_id, SignIn.id.not_in(keep)))
    row = {"id": sign_in_id, "user_id": user_id, "begun_at": now, "sealed": sealed}
    connection.execute(insert(SignIn), row)


def get_sign_in(db: Executor, sign_in_id: str, *, user_id: str, now: datetime) -> bytes | None:
    """None when nothing of that id was begun by this person a short while ago."""
    return db.execute(
        select(SignIn.sealed).where(
            SignIn.id == sign_in_id, SignIn.user_id == user_id, SignIn.begun_at >= now - LASTS
        )
    ).scalar()


def take_sign_in(connection: Connection, sign_in_id: str, *, user_id: str, now: datetime) -> bytes | None:
    """As `get_sign_in`, and it is used up, whoever asks next."""
    sealed = get_sign_in(connection, sign_in_id, user_id=user_id, now=now)
    gone = connection.execute(delete(SignIn).where(SignIn.id == sign_in_id, SignIn.user_id == user_id))
    return sealed if gone.rowcount == 1 else None
