"""Inbound addresses: found by the digest of their token, shown again by the token that is sealed."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from app.flows.model import Mapping, read_mapping
from app.ids import new_id
from app.storage.database.executor import Executor
from app.storage.database.secrets import Vault
from app.storage.tables.models import Flow, FlowVersion, Hook

_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class HookFacts:
    """What the accepting of a delivery needs to know, in one row.  `trigger` is the live version's,
    as JSON; of a flow that was never published it is the draft's."""

    hook_id: str
    flow_id: str
    flow_name: str
    retires_at: datetime | None
    is_on: bool
    is_held: bool
    version_id: str | None
    trigger: dict[str, Any]
    one_by_one: Mapping


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


_COLUMNS = (
    Hook.id,
    Hook.flow_id,
    Hook.retires_at,
    Flow.name,
    Flow.is_on,
    Flow.is_held,
    Flow.live_version_id,
)
_FIND = (
    select(*_COLUMNS, FlowVersion.definition, Flow.draft)
    .join(Flow, Flow.id == Hook.flow_id)
    .outerjoin(FlowVersion, FlowVersion.id == Flow.live_version_id)
)


def find_hook(db: Executor, token_digest: bytes) -> HookFacts | None:
    row = db.execute(_FIND.where(Hook.token_digest == token_digest)).one_or_none()
    if row is None:
        return None
    definition = row.draft if row.definition is None else row.definition
    return HookFacts(
        hook_id=row.id,
        flow_id=row.flow_id,
        flow_name=row.name,
        retires_at=row.retires_at,
        is_on=row.is_on,
        is_held=row.is_held,
        version_id=row.live_version_id,
        trigger=definition["trigger"],
        one_by_one=read_mapping(definition.get("one_by_one", "")),
    )


def create_hook(db: Connection, vault: Vault, flow_id: str, *, now: datetime) -> str:
    """Returns the token: 192 random bits."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    hook_id = new_id("hook")
    values = {
        "id": hook_id,
        "flow_id": flow_id,
        "token_digest": digest(token),
        "token_sealed": vault.seal(token.encode(), _belongs_to(hook_id)),
        "created_at": now,
    }
    db.execute(insert(Hook), values)
    return token


@dataclass(frozen=True, slots=True)
class OpenedHook:
    id: str
    token: str


def current_hook(db: Executor, vault: Vault, flow_id: str) -> OpenedHook | None:
    """The address that senders are told now."""
    query = select(Hook.id, Hook.token_sealed).where(Hook.flow_id == flow_id, Hook.retires_at.is_(None))
    row = db.execute(query.order_by(Hook.id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return OpenedHook(row.id, vault.open(row.token_sealed, _belongs_to(row.id)).decode())


def current_token(db: Executor, vault: Vault, flow_id: str) -> str | None:
    hook = current_hook(db, vault, flow_id)
    return None if hook is None else hook.token


def old_address_ends(db: Executor, flow_id: str, *, now: datetime) -> datetime | None:
    """Returns until when an address that was replaced still works; None where none does."""
    query = select(func.max(Hook.retires_at)).where(Hook.flow_id == flow_id, Hook.retires_at > now)
    return db.execute(query).scalar_one()


def retire_hooks(db: Connection, flow_id: str, *, at: datetime) -> None:
    """The addresses of now work until `at`; one that was to end before keeps its end."""
    query = update(Hook).where(Hook.flow_id == flow_id, Hook.retires_at.is_(None))
    db.execute(query.values(retires_at=at))


def _belongs_to(hook_id: str) -> str:
    return f"{hook_id}:token"
