"""“Test connection”: the smallest request its connector knows, sent with the real credentials."""

from __future__ import annotations

from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.calls.builtin import BUILT_IN
from app.calls.client import CallOutcome
from app.catalog.render import plan
from app.engine.holds import release_connection
from app.engine.steps_action import request_of
from app.errors import AppError
from app.storage.connections import mark_checked

if TYPE_CHECKING:
    from app.parts import Parts

_LONGEST_S = 35
_REFUSED = ("auth_expired", "permission_missing")


@dataclass(frozen=True)
class Checked:
    """`ok` None: there is nothing to ask this service.  `released`: runs that go on now."""

    ok: bool | None
    sentence: str
    released: int = 0


def check(parts: Parts, connection_id: str) -> Checked:
    """Asks the service, writes down what it said, and lets waiting runs go on when it is well."""
    parts.connections.forget(connection_id)
    facts = parts.connections.get(connection_id)
    if facts.connector in BUILT_IN:
        return _trust(parts, connection_id, "It is tried by the first step that uses it.")
    connector = parts.registry.get(facts.connector)
    if connector.check is None:
        return _trust(parts, connection_id, f"{connector.name} offers nothing to test it with.")
    planned = plan(connector, connector.check.request, scope={"connection": facts.as_scope()})
    sending = parts.caller.send(request_of(planned, facts, None), rules=planned.errors)
    try:
        outcome = parts.engine.spawn(sending).result(_LONGEST_S)
    except (TooLate, AppError) as reason:
        sentence = getattr(reason, "sentence", f"{connector.name} did not answer in time.")
        return _failed(parts, connection_id, "ok" if facts.state == "ok" else facts.state, sentence)
    return _judge(parts, connection_id, facts.state, connector.name, outcome)


def _judge(parts: Parts, connection_id: str, state: str, name: str, outcome: CallOutcome) -> Checked:
    failure = outcome.failure
    if failure is None:
        return _well(parts, connection_id, f"{name} accepts this connection.")
    state = "broken" if failure.kind in _REFUSED else state
    sentence = f"{failure.sentence} {failure.remedy}".strip()
    return _failed(parts, connection_id, state, sentence)


def _well(parts: Parts, connection_id: str, sentence: str) -> Checked:
    now = parts.clock.now()
    parts.database.write(lambda c: mark_checked(c, connection_id, state="ok", sentence="", now=now))
    return Checked(True, sentence, _release(parts, connection_id))


def _trust(parts: Parts, connection_id: str, sentence: str) -> Checked:
    return Checked(None, sentence, _release(parts, connection_id))


def _failed(parts: Parts, connection_id: str, state: str, sentence: str) -> Checked:
    now = parts.clock.now()
    parts.database.write(lambda c: mark_checked(c, connection_id, state=state, sentence=sentence, now=now))
    parts.connections.forget(connection_id)
    return Checked(False, sentence)


def _release(parts: Parts, connection_id: str) -> int:
    released = release_connection(parts.database, parts.engine, connection_id)
    parts.connections.forget(connection_id)
    return released
