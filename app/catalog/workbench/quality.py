"""How far a connector can be relied on: draft, tested, proven, complete; and what it lacks for more.

Only what can be seen in the connector's folder counts.  A bundled connector is at least `tested`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, get_args

from app.catalog.format.definition import Action, Connector, Operation, PollTrigger, Trigger, WebhookTrigger
from app.catalog.workbench.cassettes import Cassette

Level = Literal["draft", "tested", "proven", "complete"]
LEVELS: tuple[Level, ...] = get_args(Level)
CHECKED_AT_LEAST_EVERY = timedelta(days=180)
_SHORTEST_README = 300


@dataclass(frozen=True)
class Grade:
    """`missing`: what stands between the connector and the next level, as sentences."""

    level: Level
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    connector: Connector
    folder: Path
    cassettes: Sequence[Cassette]
    today: date

    def of(self, operation: str) -> list[Cassette]:
        return [one for one in self.cassettes if one.operation == operation]


def grade(evidence: Evidence) -> Grade:
    reached: Level = "draft"
    for level, check in _CHECKS.items():
        missing = tuple(check(evidence))
        if missing:
            return Grade(reached, missing)
        reached = level
    return Grade(reached, ())


# --------------------------------------------------------------------------------------- tested


def _tested(evidence: Evidence) -> Iterator[str]:
    connector = evidence.connector
    if connector.check is None:
        if _has_account(connector) and not _has_mailbox(connector):
            yield "connector.yaml has no check, so “Test connection” cannot ask anything."
    elif not evidence.of("check"):
        yield "There is no cassette of the check."
    for action in connector.actions.values():
        yield from _action(evidence, action)
    for trigger in connector.triggers.values():
        yield from _trigger(evidence, trigger)
    for key in sorted(_error_kinds(connector) - {one.expect.error for one in evidence.cassettes}):
        yield f"No cassette shows the error “{key}”, which the connector describes."
    yield from _papers(evidence)


def _has_account(connector: Connector) -> bool:
    return bool(connector.connection_fields) or any(auth.fields for auth in connector.auth)


def _has_mailbox(connector: Connector) -> bool:
    """It is tested by signing in to it."""
    triggers = connector.triggers.values()
    return any(isinstance(one, PollTrigger) and one.reads == "mailbox" for one in triggers)


def _action(evidence: Evidence, action: Action) -> Iterator[str]:
    tapes = evidence.of(f"actions/{action.key}")
    if action.exempt:
        return
    if not any(not tape.is_failure for tape in tapes):
        yield f"The action {action.key} has no cassette of a success."
    if not any(tape.is_failure for tape in tapes):
        yield f"The action {action.key} has no cassette of a failure."


def _trigger(evidence: Evidence, trigger: Trigger) -> Iterator[str]:
    tapes = evidence.of(f"triggers/{trigger.key}")
    if trigger.exempt:
        return
    if isinstance(trigger, PollTrigger):
        wanted = 2 if trigger.paginate is not None else 1
        if not any(len(tape.exchange) >= wanted for tape in tapes if not tape.is_failure):
            shown = "two pages" if wanted == 2 else "records"
            yield f"The trigger {trigger.key} has no cassette with {shown}."
        return
    if not any(not tape.is_failure for tape in tapes):
        yield f"The trigger {trigger.key} has no cassette of a delivery that is taken."
    if trigger.verify.scheme != "none" and not any(tape.expect.refused for tape in tapes):
        yield f"The trigger {trigger.key} has no cassette of a forged delivery."


def _error_kinds(connector: Connector) -> set[str]:
    kinds = {rule.kind for rule in connector.errors}
    for action in connector.actions.values():
        kinds |= {rule.kind for request in action.requests for rule in request.errors}
    return set(kinds)


def _papers(evidence: Evidence) -> Iterator[str]:
    if not (evidence.folder / "icon.svg").is_file():
        yield "There is no icon.svg."
    readme = evidence.folder / "README.md"
    if not readme.is_file() or len(readme.read_text("utf-8", "replace")) < _SHORTEST_README:
        yield "README.md is missing or too short: how does one get credentials, with which rights?"
    checked = evidence.connector.api.checked
    if evidence.today - checked > CHECKED_AT_LEAST_EVERY:
        yield f"It was last compared with the service's documentation on {checked}; compare it again."


# --------------------------------------------------------------------------------------- proven


def _proven(evidence: Evidence) -> Iterator[str]:
    connector = evidence.connector
    if not any(limit.default for limit in connector.limits):
        yield "No default limit says how many calls the service takes."
    kinds = {one.expect.error for one in evidence.cassettes}
    for kind, words in _PROVEN_KINDS.items():
        if kind not in kinds:
            yield f"No cassette shows {words}."
    if not connector.api.contract:
        yield "Its requests are not compared with a published document (api.contract)."
    for action in connector.actions.values():
        is_write = any(request.method != "GET" for request in action.requests)
        if is_write and action.idempotent and not action.identity and not action.exempt:
            yield f"The action {action.key} may be repeated, but identity does not say what it finds."
    if not connector.api.supported_until and not connector.api.changelog and not connector.known_gaps:
        yield "Nothing says until when the version is supported, or where changes are announced."


_PROVEN_KINDS = {
    "auth_expired": "credentials that no longer work",
    "permission_missing": "a missing right",
    "invalid_payload": "a value the service refuses",
}


# ------------------------------------------------------------------------------------- complete


def _complete(evidence: Evidence) -> Iterator[str]:
    connector = evidence.connector
    operations: list[Operation] = [*connector.actions.values(), *connector.triggers.values()]
    for operation in operations:
        for field in operation.output.fields:
            if field.sample is None:
                yield f"{operation.key}: the output “{field.label}” has no sample."
        for asked in operation.input:
            if asked.type == "fields" and not asked.lookup:
                yield f"{operation.key}: the account's own fields ({asked.key}) have no lookup."
    for key in sorted(connector.lookups):
        if not evidence.of(f"lookups/{key}"):
            yield f"The lookup {key} has no cassette."
    if not connector.known_gaps:
        yield "known_gaps is empty; say what the connector cannot do yet."
    if not connector.triggers:
        yield "There is no trigger."
    if any(isinstance(one, WebhookTrigger) and not one.dedupe for one in connector.triggers.values()):
        yield "A webhook trigger does not say how a repeated delivery is known (dedupe)."


_CHECKS: dict[Level, Callable[[Evidence], Iterator[str]]] = {
    "tested": _tested,
    "proven": _proven,
    "complete": _complete,
}
