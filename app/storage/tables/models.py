"""The tables.  History (deliveries, events, runs, steps, calls) *is* the execution state: there is
no second copy in a queue.  Ids are text that sorts by time (`app.ids`)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, deferred, mapped_column

from app.states import (
    ConnectionState,
    DeliveryOutcome,
    EventSource,
    NoReason,
    PollState,
    RunState,
    StepState,
    WaitReason,
)
from app.storage.tables.base import Base, partial_index
from app.storage.tables.renamed import RenamedField
from app.storage.tables.subscriptions import Subscription
from app.storage.tables.types import JsonText, PackedBytes, PackedJson
from app.storage.tables.watch import Alert, AlertMail, BulkOrder, Discard, LedgerDay, OrderedRun, Resend

__all__ = [
    "Alert",
    "AlertMail",
    "Base",
    "BulkOrder",
    "Discard",
    "LedgerDay",
    "OrderedRun",
    "RenamedField",
    "Resend",
    "Subscription",
]

OPEN_STATES: tuple[RunState, ...] = ("queued", "running", "waiting")
FINAL_STATES: tuple[RunState, ...] = ("succeeded", "filtered", "failed", "dead", "cancelled")

# Conditions of partial indexes; a query that shall use one repeats it word by word.  `state || ''`
# keeps the planner from preferring the index on all states.
UNSETTLED = "state || '' IN ('failed','dead') AND settled_at IS NULL"
HELD = "state || '' = 'waiting' AND reason IN ('unknown','held_connection','held_flow')"
DEAD_LETTER = f"{UNSETTLED} AND cause IS NOT NULL"
TEST = "source = 'test'"
RARE_STATE = "state NOT IN ('queued','running','succeeded')"


class User(Base):
    """`session_epoch` is part of every login cookie: raising it signs the person out everywhere."""

    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True)  # usr_
    email: Mapped[str] = mapped_column(unique=True)  # lower case
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]  # viewer | editor | admin
    session_epoch: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    last_login_at: Mapped[datetime | None]


class ServerValue(Base):
    """Small facts about this installation: key check, set-up token, schema notes."""

    __tablename__ = "server_values"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JsonText)


class AuditEntry(Base):
    __tablename__ = "audit"
    id: Mapped[str] = mapped_column(primary_key=True)  # aud_
    at: Mapped[datetime]
    user_id: Mapped[str | None]
    action: Mapped[str]  # "published", "switched on", "reconnected"…
    noun: Mapped[str]  # flow | connection | user…
    noun_id: Mapped[str]
    detail: Mapped[Any] = mapped_column(JsonText, nullable=True)


class Connection(Base):
    """One account's credentials for a connector.  `secrets` is sealed (storage.secrets) and is
    written, never shown; `public` holds the fields that are no secret (shop domain, data centre)."""

    __tablename__ = "connections"
    id: Mapped[str] = mapped_column(primary_key=True)  # con_
    connector: Mapped[str]
    name: Mapped[str]
    auth: Mapped[str]  # key of the connector's auth block
    public: Mapped[Any] = mapped_column(JsonText)
    secrets: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[ConnectionState] = mapped_column(Text, default="ok")
    state_sentence: Mapped[str] = mapped_column(default="")
    definition_hash: Mapped[str] = mapped_column(default="")
    pace: Mapped[Any] = mapped_column(JsonText, nullable=True)  # the numbers somebody set for it
    owner_id: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    hold_reason: Mapped[str | None]  # a person holds it, whatever its state: '' or what they wrote
    account: Mapped[str | None]  # as the service calls it, so that nobody fixes the wrong one


class Budget(Base):
    """How many calls a connection made in each of its windows: written now and then, read at a start;
    on PostgreSQL it is from here that processes take places."""

    __tablename__ = "budgets"
    connection_id: Mapped[str] = mapped_column(primary_key=True)
    windows: Mapped[Any] = mapped_column(JsonText)
    saved_at: Mapped[datetime]


class Lane(Base):
    """A host as one connection sees it, while it may not be called: it asked us to wait, or it failed
    so often that it is left alone until `tried_at`.  `place`: `con_…|host`, or `|host`."""

    __tablename__ = "lanes"
    place: Mapped[str] = mapped_column(primary_key=True)
    connection_id: Mapped[str | None]
    host: Mapped[str]
    paused_until: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]  # None: it is not left alone
    trips: Mapped[int] = mapped_column(default=0)  # how often in a row the try failed
    since: Mapped[datetime]
    sentence: Mapped[str] = mapped_column(default="")


class Grant(Base):
    """The token of a connection.  `number` is raised with each new one.  `renewer`: who fetches the next
    one right now, and until when the others wait for it."""

    __tablename__ = "grants"
    connection_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(default=0)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    scopes: Mapped[Any] = mapped_column(JsonText)
    obtained_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    renewer: Mapped[str | None]
    renewing_until: Mapped[datetime | None]


class OAuthApp(Base):
    """What a service knows this installation as.  `token_url`: as the connector's file said when the
    secret was entered: to no other address is it sent."""

    __tablename__ = "oauth_apps"
    connector: Mapped[str] = mapped_column(primary_key=True)
    auth: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    token_url: Mapped[str]
    updated_at: Mapped[datetime]


class SignIn(Base):
    """A sign-in that somebody has begun at a service.  `id` is the digest of its state; the row goes
    when the browser comes back."""

    __tablename__ = "sign_ins"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    begun_at: Mapped[datetime]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Flow(Base):
    """`draft` is what the builder edits; `live_version_id` what new runs are pinned to."""

    __tablename__ = "flows"
    id: Mapped[str] = mapped_column(primary_key=True)  # flow_
    name: Mapped[str]
    draft: Mapped[Any] = mapped_column(JsonText)
    draft_revision: Mapped[int] = mapped_column(default=1)
    is_on: Mapped[bool] = mapped_column(default=False)
    is_held: Mapped[bool] = mapped_column(default=False)
    hold_reason: Mapped[str | None]  # what the person who held it wrote
    live_version_id: Mapped[str | None]
    owner_id: Mapped[str | None]
    runbook: Mapped[str] = mapped_column(default="")  # of the first schema; not used
    sample: Mapped[Any] = deferred(mapped_column(PackedJson, nullable=True))  # for the field picker
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # the row stays for the history that names it


class FlowVersion(Base):
    """Never changed once written."""

    __tablename__ = "flow_versions"
    id: Mapped[str] = mapped_column(primary_key=True)  # ver_
    flow_id: Mapped[str] = mapped_column(ForeignKey("flows.id"), index=True)
    number: Mapped[int]
    definition: Mapped[Any] = mapped_column(JsonText)
    created_at: Mapped[datetime]
    created_by: Mapped[str | None]


class Hook(Base):
    """An inbound address.  Found by the digest of its token; the token itself is sealed, so that
    the builder can show the address again."""

    __tablename__ = "hooks"
    id: Mapped[str] = mapped_column(primary_key=True)  # hook_
    flow_id: Mapped[str] = mapped_column(ForeignKey("flows.id"), index=True)
    token_digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)  # SHA-256
    token_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]
    retires_at: Mapped[datetime | None]  # after a rotation the old address works until then


class Trigger(Base):
    """When a flow's poll or schedule is next due, and how far the poll has read.  Belongs to the
    flow, not to a version: edit, publish and off/on keep it."""

    __tablename__ = "triggers"
    flow_id: Mapped[str] = mapped_column(ForeignKey("flows.id"), primary_key=True)
    kind: Mapped[str]  # poll | schedule
    is_on: Mapped[bool]
    next_due_at: Mapped[datetime | None]
    last_due_at: Mapped[datetime | None]  # the planned moment, not the actual one
    interval_s: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[Any] = mapped_column(JsonText, nullable=True)
    seeded_at: Mapped[datetime | None]
    lease_until: Mapped[datetime | None]
    last_ended_at: Mapped[datetime | None]
    fail_count: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str] = mapped_column(default="")
    __table_args__ = (Index("ix_triggers_due", "next_due_at", sqlite_where=text("is_on")),)


class Delivery(Base):
    """One inbound HTTP request.  `body` is kept here only when no event holds it as it came."""

    __tablename__ = "deliveries"
    id: Mapped[str] = mapped_column(primary_key=True)  # dlv_
    flow_id: Mapped[str | None]
    received_at: Mapped[datetime]
    method: Mapped[str]
    query: Mapped[str] = mapped_column(default="")
    content_type: Mapped[str] = mapped_column(default="")
    headers: Mapped[Any] = mapped_column(PackedJson)  # redacted
    body: Mapped[bytes | None] = mapped_column(PackedBytes)
    body_size: Mapped[int]
    remote_addr: Mapped[str]
    outcome: Mapped[DeliveryOutcome] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(default="")
    repeated: Mapped[int | None]  # how many of its records had come before
    __table_args__ = (
        Index("ix_deliveries_flow_id_id", "flow_id", "id"),
        partial_index("ix_deliveries_refused", "flow_id", "id", where="outcome <> 'accepted'"),
        partial_index("ix_deliveries_repeated", "flow_id", "id", where="repeated IS NOT NULL"),
    )


class Event(Base):
    """One thing that happened.  `payload` is the document mappings see as the trigger's data,
    as the bytes of a JSON document."""

    __tablename__ = "events"
    id: Mapped[str] = mapped_column(primary_key=True)  # evt_
    flow_id: Mapped[str]
    delivery_id: Mapped[str | None]
    source: Mapped[EventSource] = mapped_column(Text)
    dedupe_key: Mapped[str | None]
    label: Mapped[str]  # what a person recognises it by
    received_at: Mapped[datetime]
    payload: Mapped[bytes] = mapped_column(PackedBytes)
    duplicates: Mapped[int] = mapped_column(default=0)


class DedupeKey(Base):
    """Keys seen by a flow, kept longer than any sender retries; a poll's seeds have no event."""

    __tablename__ = "dedupe_keys"
    flow_id: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str | None]
    seen_at: Mapped[datetime]
    __table_args__ = (
        Index("ix_dedupe_keys_seen_at", "seen_at"),
        {"sqlite_with_rowid": False},
    )


class Run(Base):
    """One event through one flow version.

    state: queued -> running -> (waiting -> queued)* -> succeeded | filtered | failed | dead | cancelled;
    `reason` says why it waits.
    """

    __tablename__ = "runs"
    id: Mapped[str] = mapped_column(primary_key=True)  # run_
    flow_id: Mapped[str]
    version_id: Mapped[str]
    event_id: Mapped[str]
    state: Mapped[RunState] = mapped_column(Text)
    reason: Mapped[WaitReason | NoReason] = mapped_column(Text, default="")
    wake_at: Mapped[datetime | None]
    label: Mapped[str]
    source: Mapped[EventSource] = mapped_column(Text)  # as of the event
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    position: Mapped[str | None]  # the step it waits or stopped at (step_key)
    waits_for: Mapped[str | None]  # the connection it is held for, or the run whose turn is before it
    crashes: Mapped[int] = mapped_column(default=0)  # times the server ended while it was under way
    error_kind: Mapped[str | None]
    sentence: Mapped[str] = mapped_column(default="")  # why it ended or waits, for people
    findings: Mapped[int] = mapped_column(default=0)
    calls: Mapped[int] = mapped_column(default=0)
    replay_of: Mapped[str | None]
    settled_at: Mapped[datetime | None]  # a person dealt with this failure: resent it, or put it away
    cause: Mapped[str | None]  # of a failure: what all that failed for the same reason share
    __table_args__ = (
        Index("ix_runs_flow_id_id", "flow_id", "id"),
        Index("ix_runs_state_id", "state", "id"),
        # A run that goes well is never in these, which keeps writing cheap.
        partial_index("ix_runs_flow_id_state_id", "flow_id", "state", "id", where=RARE_STATE),
        partial_index("ix_runs_replay_of", "replay_of", where="replay_of IS NOT NULL"),
        partial_index("ix_runs_tests", "flow_id", "id", where=TEST),
        partial_index("ix_runs_unsettled", "id", where=UNSETTLED),
        partial_index("ix_runs_cause", "cause", "id", "finished_at", where=DEAD_LETTER),
        partial_index("ix_runs_died", "finished_at", "flow_id", where=DEAD_LETTER),
        Index(
            "ix_runs_held",
            "id",
            sqlite_where=text(HELD),
            postgresql_where=text(
                "state = 'waiting' AND reason IN ('unknown','held_connection','held_flow')"
            ),
        ),
        partial_index("ix_runs_open", "wake_at", where="state IN ('queued','running','waiting')"),
        {"sqlite_with_rowid": False},
    )


class StepRecord(Base):
    """What one step of a run did.  `step_key` is the step's id, inside loops with the positions of
    the items (`s5[2].s6`)."""

    __tablename__ = "steps"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[StepState] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(default=1)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    input: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    output: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    findings: Mapped[Any] = mapped_column(JsonText, nullable=True)
    error_kind: Mapped[str | None]
    sentence: Mapped[str] = mapped_column(default="")
    remedy: Mapped[str] = mapped_column(default="")


class Call(Base):
    """One outgoing HTTP request with its answer, secrets replaced by placeholders.  `made_for` is a
    run or a poll (`run_…`, `poll_…`); `number` counts its calls from 1."""

    __tablename__ = "calls"
    made_for: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    step_key: Mapped[str]
    attempt: Mapped[int]
    connection_id: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    method: Mapped[str]
    url: Mapped[str]
    request_headers: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    request_body: Mapped[bytes | None] = mapped_column(PackedBytes)
    status: Mapped[int | None]
    answer_headers: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    answer_body: Mapped[bytes | None] = mapped_column(PackedBytes)
    answer_size: Mapped[int] = mapped_column(default=0)  # before cutting
    started_at: Mapped[datetime]
    duration_ms: Mapped[int | None]  # None: no answer is known
    waited_ms: Mapped[int] = mapped_column(default=0)  # for budget, before sending
    error_kind: Mapped[str | None]
    sentence: Mapped[str] = mapped_column(default="")


class Poll(Base):
    """One look of a poll trigger; its calls have `made_for` = this id."""

    __tablename__ = "polls"
    id: Mapped[str] = mapped_column(primary_key=True)  # poll_
    flow_id: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    state: Mapped[PollState] = mapped_column(Text)
    found: Mapped[int] = mapped_column(default=0)
    new: Mapped[int] = mapped_column(default=0)
    seeded: Mapped[int] = mapped_column(default=0)
    sentence: Mapped[str] = mapped_column(default="")
    __table_args__ = (Index("ix_polls_flow_id_id", "flow_id", "id"),)


class Turn(Base):
    """A place in a line: open runs of a flow that handles the records of one key one at a time.  Only
    flows with such a key have rows here, and a run's row goes with its end."""

    __tablename__ = "turns"
    run_id: Mapped[str] = mapped_column(primary_key=True)  # runs are numbered by their arrival
    flow_id: Mapped[str]
    key: Mapped[str]
    __table_args__ = (
        Index("ix_turns_flow_id_key_run_id", "flow_id", "key", "run_id"),
        {"sqlite_with_rowid": False},
    )


class Callback(Base):
    """What a service sent to the one-time address of a step, until the run has taken it up."""

    __tablename__ = "callbacks"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]
    document: Mapped[Any] = mapped_column(PackedJson, nullable=True)


class Gathered(Base):
    """A record that goes out in one call with those of other runs.  `line`: what may go together.
    `batch_id`, `leader` (the run that makes the call), `lease_until`: once the batch is made up;
    `outcome`: what became of this record, until its run has taken it up."""

    __tablename__ = "gathered"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    step_key: Mapped[str] = mapped_column(primary_key=True)
    line: Mapped[str]
    match: Mapped[str]  # what tells the record apart in the service's answer
    record: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    batch_id: Mapped[str | None]
    leader: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    outcome: Mapped[Any] = mapped_column(PackedJson, nullable=True)
    __table_args__ = (
        Index("ix_gathered_line_batch_id", "line", "batch_id"),
        Index("ix_gathered_batch_id", "batch_id"),
        {"sqlite_with_rowid": False},
    )


class LookupCache(Base):
    """Answers of lookups and samples of actions, per connection."""

    __tablename__ = "lookup_cache"
    connection_id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    fetched_at: Mapped[datetime]
    items: Mapped[Any] = mapped_column(PackedJson)


class Process(Base):
    """A process of this installation, on PostgreSQL.  Its id is new with each start: what carries an
    older one is of the past.  `sentence`: why it refuses to work, if it does."""

    __tablename__ = "processes"
    id: Mapped[str] = mapped_column(primary_key=True)  # proc_
    role: Mapped[str]  # web | worker | scheduler, several by commas
    host: Mapped[str]
    pid: Mapped[int]
    release: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]  # by the database's clock
    sentence: Mapped[str] = mapped_column(default="")


class Claim(Base):
    """Which process performs a run, on PostgreSQL; goes when the run ends or lies down."""

    __tablename__ = "claims"
    run_id: Mapped[str] = mapped_column(primary_key=True)
    process_id: Mapped[str] = mapped_column(index=True)
