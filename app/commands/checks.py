"""“Test connection”: the smallest request its connector knows, sent with the real credentials."""

from __future__ import annotations

from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from app.calls.connections.book import ConnectionFacts
from app.calls.connections.builtin import BUILT_IN
from app.calls.http.client import CallOutcome
from app.calls.mail.mail import try_server
from app.catalog.format.definition import Check, Connector
from app.catalog.render import plan
from app.changes import ConnectionChanged
from app.engine.steps.action import request_of
from app.errors import AppError, CallFailed, MappingFailed
from app.flows.mapping.template import first
from app.intake.polls.mailbox import try_mailbox
from app.intake.subscriptions.rows import connection_mended
from app.states import ConnectionState
from app.storage.connections.connections import mark_checked, note_account

if TYPE_CHECKING:
    from app.parts import Parts

_LONGEST_S = 35
_REFUSED = ("auth_expired", "permission_missing")


@dataclass(frozen=True)
class Checked:
    """`ok` None: there is nothing to ask this service.  `released`: runs that go on now.  `account`:
    whose it is, where the service says so."""

    ok: bool | None
    sentence: str
    released: int = 0
    account: str = ""


def check(parts: Parts, connection_id: str) -> Checked:
    """Asks the service, writes down what it said, and lets waiting runs go on when it is well."""
    parts.changes.tell(ConnectionChanged(connection_id))
    facts = parts.connections.get(connection_id)
    if facts.connector == "smtp":
        return _judge(parts, facts, "The mail server", try_server(facts, parts.settings))
    if facts.connector in BUILT_IN:
        return _trust(parts, connection_id, "It is tried by the first step that uses it.")
    connector = parts.registry.get(facts.connector)
    if any(getattr(one, "reads", "") == "mailbox" for one in connector.triggers.values()):
        return _judge(parts, facts, "The mailbox", try_mailbox(facts, parts.settings.allow_targets))
    if connector.check is None:
        return _trust(parts, connection_id, f"{connector.name} offers nothing to test it with.")
    try:
        outcome = _ask(parts, facts, connector, connector.check)
    except TooLate:
        return _failed(parts, connection_id, facts.state, f"{connector.name} did not answer in time.")
    except MappingFailed as reason:
        return _failed(parts, connection_id, facts.state, f"{reason.sentence} {reason.remedy}")
    account = _account(connector, outcome) if outcome.failure is None else ""
    return _judge(parts, facts, connector.name, outcome.failure, account)


def _ask(parts: Parts, facts: ConnectionFacts, connector: Connector, described: Check) -> CallOutcome:
    planned = plan(connector, described.request, scope={"connection": facts.as_scope()})
    sending = parts.caller.send(
        request_of(planned, facts),
        rules=planned.errors,
        success=described.success or connector.success,
    )
    return parts.engine.spawn(sending).result(_LONGEST_S)


def _judge(
    parts: Parts, facts: ConnectionFacts, name: str, failure: CallFailed | None, account: str = ""
) -> Checked:
    if failure is None:
        whose = f" (account “{account}”)" if account else ""
        return _well(parts, facts.id, f"{name} accepts this connection{whose}.", account)
    state: ConnectionState = "broken" if failure.kind in _REFUSED else facts.state
    return _failed(parts, facts.id, state, f"{failure.sentence} {failure.remedy}".strip())


def _account(connector: Connector, outcome: CallOutcome) -> str:
    """Whose it is, so that nobody fixes the wrong account."""
    if connector.check is None or not connector.check.account or outcome.answer is None:
        return ""
    try:
        name = first(connector.check.account, outcome.answer.document())
    except AppError:
        return ""
    return str(name)[:80] if isinstance(name, str | int) and name != "" else ""


def _well(parts: Parts, connection_id: str, sentence: str, account: str = "") -> Checked:
    now = parts.clock.now()

    def work(db: Connection) -> None:
        mark_checked(db, connection_id, state="ok", sentence="", now=now)
        note_account(db, connection_id, account)

    parts.database.write(work)
    return Checked(True, sentence, _release(parts, connection_id), account)


def _trust(parts: Parts, connection_id: str, sentence: str) -> Checked:
    return Checked(None, sentence, _release(parts, connection_id))


def _failed(parts: Parts, connection_id: str, state: ConnectionState, sentence: str) -> Checked:
    now = parts.clock.now()
    parts.database.write(lambda db: mark_checked(db, connection_id, state=state, sentence=sentence, now=now))
    parts.changes.tell(ConnectionChanged(connection_id))
    return Checked(False, sentence)


def _release(parts: Parts, connection_id: str) -> int:
    """What waited for it goes on: runs, and what a service had refused to be told."""
    connection_mended(parts, connection_id)
    return parts.engine.release_connection(connection_id)
