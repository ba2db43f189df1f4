"""People: their accounts, the link that makes the first one, and the sessions that were ended."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from app.errors import FlowInvalid, NotFound
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.tables.models import ServerValue, User

ROLES = ("viewer", "editor", "admin")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+|[^\s@]+@localhost")
_SETUP = "set-up link"
_ENDED = "ended session "


@dataclass(frozen=True)
class UserRow:
    id: str
    email: str
    name: str
    role: str
    session_epoch: int
    created_at: datetime
    last_login_at: datetime | None


_COLUMNS = (
    User.id,
    User.email,
    User.name,
    User.role,
    User.session_epoch,
    User.created_at,
    User.last_login_at,
)


def _row(found: Any) -> UserRow | None:
    return None if found is None else UserRow(*found)


def is_email(text: str) -> bool:
    return len(text) <= 254 and _EMAIL.fullmatch(text) is not None


def count_users(db: Executor) -> int:
    return db.execute(select(func.count()).select_from(User)).scalar_one()


def list_users(db: Executor) -> list[UserRow]:
    return [UserRow(*found) for found in db.execute(select(*_COLUMNS).order_by(User.name)).all()]


def get_user(db: Executor, user_id: str) -> UserRow:
    found = _row(db.execute(select(*_COLUMNS).where(User.id == user_id)).first())
    if found is None:
        raise NotFound("This person has no account here.", user=user_id)
    return found


def find_user(db: Executor, email: str) -> UserRow | None:
    return _row(db.execute(select(*_COLUMNS).where(User.email == email.strip().lower())).first())


def password_hash(db: Executor, user_id: str) -> str | None:
    return db.execute(select(User.password_hash).where(User.id == user_id)).scalar()


def create_user(
    db: Connection, *, email: str, name: str, password_hash: str, role: str, now: datetime
) -> str:
    email = email.strip().lower()
    if find_user(db, email) is not None:
        raise FlowInvalid(f"{email} already has an account.", where="email")
    user_id = new_id("usr")
    db.execute(
        insert(User),
        {
            "id": user_id,
            "email": email,
            "name": name.strip(),
            "password_hash": password_hash,
            "role": role,
            "session_epoch": 0,
            "created_at": now,
        },
    )
    return user_id


def rename_user(db: Connection, user_id: str, name: str) -> None:
    db.execute(update(User).where(User.id == user_id).values(name=name.strip()))


def set_password(db: Connection, user_id: str, password_hash: str) -> None:
    """Signs the person out everywhere: who knew the old password is out too."""
    db.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))
    sign_out_everywhere(db, user_id)


def sign_out_everywhere(db: Connection, user_id: str) -> None:
    raised = User.session_epoch + 1
    db.execute(update(User).where(User.id == user_id).values(session_epoch=raised))


def record_login(db: Connection, user_id: str, now: datetime) -> None:
    db.execute(update(User).where(User.id == user_id).values(last_login_at=now))


# ------------------------------------------------------------------------------------- sessions


def find_signed_in(db: Executor, user_id: str, *, epoch: int, session_id: str) -> UserRow | None:
    """The person of a login cookie, unless that session was ended or all of theirs were."""
    ended = select(ServerValue.name).where(ServerValue.name == _ENDED + session_id).exists()
    query = select(*_COLUMNS).where(User.id == user_id, User.session_epoch == epoch, ~ended)
    return _row(db.execute(query).first())


def end_session(db: Connection, session_id: str, *, now: datetime) -> None:
    """A copy of the cookie no longer signs anybody in."""
    name = _ENDED + session_id
    db.execute(delete(ServerValue).where(ServerValue.name == name))
    db.execute(insert(ServerValue), {"name": name, "value": now.isoformat()})


def forget_ended_sessions(db: Connection, *, before: datetime) -> None:
    """Cookies that old have expired by themselves."""
    rows = db.execute(
        select(ServerValue.name, ServerValue.value).where(ServerValue.name.startswith(_ENDED))
    ).all()
    old = [name for name, value in rows if datetime.fromisoformat(value) < before]
    if old:
        db.execute(delete(ServerValue).where(ServerValue.name.in_(old)))


# ------------------------------------------------------------------------------------- the first


def keep_setup_token(db: Connection, token: str) -> None:
    """Only the digest is kept; an earlier link stops working."""
    db.execute(delete(ServerValue).where(ServerValue.name == _SETUP))
    db.execute(insert(ServerValue), {"name": _SETUP, "value": _digest(token)})


def is_setup_token(db: Executor, token: str) -> bool:
    kept = db.execute(select(ServerValue.value).where(ServerValue.name == _SETUP)).scalar()
    return isinstance(kept, str) and kept == _digest(token) and count_users(db) == 0


def create_owner(
    db: Connection, token: str, *, email: str, name: str, password_hash: str, now: datetime
) -> str:
    """The first account, in the transaction that uses the link up."""
    if not is_setup_token(db, token):
        raise NotFound("This set-up link was used already or is not the newest one.")
    db.execute(delete(ServerValue).where(ServerValue.name == _SETUP))
    return create_user(db, email=email, name=name, password_hash=password_hash, role="admin", now=now)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
