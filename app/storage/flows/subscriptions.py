"""What services were told: which flow's events they send, since when, and what is to be done next."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, and_, delete, func, insert, or_, select, text, update

from app.ids import new_id
from app.states import SubscriptionState
from app.storage.database.executor import Executor
from app.storage.database.secrets import Vault
from app.storage.database.writer import Row
from app.storage.tables.models import Call, Subscription
from app.storage.tables.subscriptions import IN_USE, TO_DO

ENDED = ("left", "gone")
_CALLS_KEPT = 50
_FAILS_LASTINGLY = 3
_ENDED_KEPT = 3


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    id: str
    flow_id: str
    connection_id: str
    trigger: dict[str, Any]
    hook_id: str
    place: str
    state: SubscriptionState
    vendor_id: str
    sealed: bytes | None
    created_at: datetime
    since: datetime | None
    expires_at: datetime | None
    checked_at: datetime | None
    ended_at: datetime | None
    next_at: datetime | None
    lease_until: datetime | None
    tries: int
    error_kind: str
    sentence: str
    remedy: str

    @property
    def tag(self) -> str:
        """A name that no other subscription has, for services that want one."""
        return f"plumbline-{self.id[-12:]}"


_COLUMNS = tuple(getattr(Subscription, name) for name in SubscriptionRow.__dataclass_fields__)


def place_of(address: str) -> str:
    """What is kept of the address that a service was told."""
    return hashlib.sha256(address.encode()).hexdigest()


# ------------------------------------------------------------------------------------- reading


def get_subscription(db: Executor, subscription_id: str) -> SubscriptionRow | None:
    row = db.execute(select(*_COLUMNS).where(Subscription.id == subscription_id)).one_or_none()
    return None if row is None else SubscriptionRow(*row)


def of_flow(db: Executor, flow_id: str) -> list[SubscriptionRow]:
    """The newest first; those that ended too."""
    query = select(*_COLUMNS).where(Subscription.flow_id == flow_id).order_by(Subscription.id.desc())
    return [SubscriptionRow(*row) for row in db.execute(query)]


def current(db: Executor, flow_id: str) -> SubscriptionRow | None:
    """The one the flow lives by."""
    past = (*ENDED, "leaving")
    return next((row for row in of_flow(db, flow_id) if row.state not in past), None)


def of_connection(db: Executor, connection_id: str) -> list[SubscriptionRow]:
    """Those in use, by any flow."""
    query = select(*_COLUMNS).where(Subscription.connection_id == connection_id, text(IN_USE))
    return [SubscriptionRow(*row) for row in db.execute(query.order_by(Subscription.id))]


def in_trouble(db: Executor) -> list[SubscriptionRow]:
    """Those on account of which a flow gets nothing."""
    query = select(*_COLUMNS).where(Subscription.state.in_(("refused", "unsure")))
    return [SubscriptionRow(*row) for row in db.execute(query.order_by(Subscription.id))]


def in_doubt(db: Executor) -> list[SubscriptionRow]:
    """Those in trouble, those that failed several times in a row, and those that the service dropped
    and Plumbline made again."""
    fails = and_(Subscription.error_kind != "", Subscription.tries >= _FAILS_LASTINGLY)
    was_dropped = and_(
        Subscription.state == "live", Subscription.error_kind == "", Subscription.sentence != ""
    )
    wanted = or_(
        Subscription.state.in_(("refused", "unsure")),
        and_(Subscription.state.in_(("asked", "making", "live")), fails),
        was_dropped,
    )
    query = select(*_COLUMNS).where(wanted).order_by(Subscription.id)
    return [SubscriptionRow(*row) for row in db.execute(query)]


def flows_in_use(db: Executor) -> list[str]:
    """Flows of which a service was told something that still holds."""
    lasting = Subscription.state.not_in((*ENDED, "leaving"))
    return list(db.scalars(select(Subscription.flow_id).where(lasting).distinct()))


def flows_with_work(db: Executor, now: datetime, *, limit: int, without: Collection[str] = ()) -> list[str]:
    """Flows with something to be done at a service now that nobody is at."""
    free = or_(Subscription.lease_until.is_(None), Subscription.lease_until <= now)
    query = (
        select(Subscription.flow_id)
        .where(text(TO_DO), Subscription.next_at <= now, free, Subscription.flow_id.not_in(without))
        .group_by(Subscription.flow_id)
        .order_by(func.min(Subscription.next_at))
        .limit(limit)
    )
    return list(db.scalars(query))


def due_among(rows: Iterable[SubscriptionRow], now: datetime) -> list[SubscriptionRow]:
    """New ones before those that end: what is sent meanwhile comes twice rather than not at all."""
    found = [row for row in rows if row.next_at is not None and row.next_at <= now]
    return sorted(found, key=lambda row: (row.state == "leaving", row.id))


def sealed_of_flow(db: Executor, flow_id: str) -> list[tuple[str, bytes]]:
    """Id and what was told, of those whose deliveries may still come."""
    lasting = Subscription.state.not_in(ENDED)
    query = select(Subscription.id, Subscription.sealed).where(Subscription.flow_id == flow_id, lasting)
    return [(row.id, row.sealed) for row in db.execute(query) if row.sealed is not None]


# ------------------------------------------------------------------------------------- writing


def add_subscription(
    db: Connection,
    flow_id: str,
    *,
    connection_id: str,
    trigger: dict[str, Any],
    hook_id: str,
    told: Told,
    vault: Vault,
    now: datetime,
) -> str:
    subscription_id = new_id("sub")
    values = {
        "id": subscription_id,
        "flow_id": flow_id,
        "connection_id": connection_id,
        "trigger": trigger,
        "hook_id": hook_id,
        "place": place_of(told.address),
        "sealed": seal_told(vault, subscription_id, told),
        "state": "asked",
        "created_at": now,
        "next_at": now,
    }
    db.execute(insert(Subscription), values)
    # The last few stay to be looked at.
    past = [row.id for row in of_flow(db, flow_id) if row.state in ENDED]
    if past[_ENDED_KEPT:]:
        remove(db, past[_ENDED_KEPT:])
    return subscription_id


def change(db: Connection, subscription_id: str, **values: Any) -> None:
    db.execute(update(Subscription).where(Subscription.id == subscription_id).values(**values))


def change_from(db: Connection, row: SubscriptionRow, **values: Any) -> bool:
    """False = a person or another tick changed its state meanwhile: that counts."""
    same = (Subscription.id == row.id, Subscription.state == row.state)
    return db.execute(update(Subscription).where(*same).values(**values)).rowcount == 1


def take_leases(db: Connection, flow_id: str, *, now: datetime, until: datetime) -> bool:
    """False = somebody is at it."""
    mine = (Subscription.flow_id == flow_id, text(TO_DO))
    busy = select(func.count()).where(*mine, Subscription.lease_until > now)
    if db.scalar(busy):
        return False
    return db.execute(update(Subscription).where(*mine).values(lease_until=until)).rowcount > 0


def end_leases(db: Connection, flow_id: str) -> None:
    held = (Subscription.flow_id == flow_id, Subscription.lease_until.is_not(None))
    db.execute(update(Subscription).where(*held).values(lease_until=None))


def void_leases(db: Connection) -> None:
    """After a start nobody is at any of them."""
    held = Subscription.lease_until.is_not(None)
    db.execute(update(Subscription).where(held).values(lease_until=None))


def remove(db: Connection, ids: Iterable[str]) -> None:
    """With its calls."""
    chosen = list(ids)
    db.execute(delete(Subscription).where(Subscription.id.in_(chosen)))
    db.execute(delete(Call).where(Call.made_for.in_(chosen)))


def add_calls(db: Connection, subscription_id: str, calls: list[tuple[str, Row]]) -> None:
    """`calls`: what each was for, and its row.  The newest are kept."""
    last = db.scalar(select(func.max(Call.number)).where(Call.made_for == subscription_id)) or 0
    rows = [
        {**row, "made_for": subscription_id, "number": number, "step_key": purpose, "attempt": 1}
        for number, (purpose, row) in enumerate(calls, last + 1)
    ]
    if rows:
        db.execute(insert(Call), rows)
        old = (Call.made_for == subscription_id, Call.number <= last + len(rows) - _CALLS_KEPT)
        db.execute(delete(Call).where(*old))


def keep_secret(db: Connection, vault: Vault, flow_id: str, secret: str) -> bool:
    """What a service says, while it is being told, that it signs with.  False = nobody is telling it."""
    making = (row for row in of_flow(db, flow_id) if row.state == "making" and not row.vendor_id)
    row = next(making, None)
    if row is None:
        return False
    address = open_told(vault, row.id, row.sealed).address
    change(db, row.id, sealed=seal_told(vault, row.id, Told(address, secret)))
    return True


# ------------------------------------------------------------------------------------- secrets


@dataclass(frozen=True, slots=True)
class Told:
    """What a service was told and is a secret between the two: the address, and what it signs with."""

    address: str = field(repr=False)
    secret: str = field(default="", repr=False)


def seal_told(vault: Vault, subscription_id: str, told: Told) -> bytes:
    return vault.seal(orjson.dumps([told.address, told.secret]), f"{subscription_id}:told")


def open_told(vault: Vault, subscription_id: str, sealed: bytes | None) -> Told:
    """Raises SettingInvalid when it was sealed with another key."""
    return Told("") if sealed is None else Told(*orjson.loads(vault.open(sealed, f"{subscription_id}:told")))
