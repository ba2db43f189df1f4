"""How long history is kept: the rules of this installation, and those of flows that have their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from app.errors import FlowInvalid
from app.storage.database.executor import Executor
from app.storage.database.server_values import get_value, put_value

LONGEST_DAYS = 3650
FAILURES_KEPT_DAYS = 90  # at the least: somebody may still want to send them again
FAILURES_KEPT = timedelta(days=FAILURES_KEPT_DAYS)

_NAME = "retention"


@dataclass(frozen=True)
class Rule:
    """`well_days`: runs that succeeded, were filtered out or cancelled.  `failed_days`: runs that
    failed.  `most_runs`: more than these of one flow go before their time; None = no such limit."""

    well_days: int
    failed_days: int
    most_runs: int | None = None


@dataclass(frozen=True)
class Rules:
    """`flows`: by the id of the flow."""

    everywhere: Rule
    flows: Mapping[str, Rule] = field(default_factory=dict)

    def of(self, flow_id: str) -> Rule:
        return self.flows.get(flow_id, self.everywhere)


def default_rule(history_days: int) -> Rule:
    return Rule(history_days, max(history_days, FAILURES_KEPT_DAYS))


def read_rules(db: Executor, history_days: int) -> Rules:
    """`history_days`: what the operator set, for what nobody chose here."""
    kept = get_value(db, _NAME) or {}
    usual = default_rule(history_days)
    everywhere = _read(kept.get("everywhere"), usual)
    flows = {flow_id: _read(rule, everywhere) for flow_id, rule in (kept.get("flows") or {}).items()}
    return Rules(everywhere, flows)


def save_rule(db: Connection, rule: Rule | None, *, flow_id: str = "") -> None:
    """`flow_id`: '' = everywhere; `rule`: None = as everywhere else.  Raises FlowInvalid."""
    if rule is not None:
        check(rule)
    kept = get_value(db, _NAME) or {}
    flows = dict(kept.get("flows") or {})
    everywhere = kept.get("everywhere")
    if not flow_id:
        everywhere = asdict(rule) if rule is not None else None
    elif rule is None:
        flows.pop(flow_id, None)
    else:
        flows[flow_id] = asdict(rule)
    put_value(db, _NAME, {"everywhere": everywhere, "flows": flows})


def check(rule: Rule) -> None:
    if not 1 <= rule.well_days <= LONGEST_DAYS:
        raise FlowInvalid(f"Write a number of days from 1 to {LONGEST_DAYS:,}.", where="well_days")
    if not FAILURES_KEPT_DAYS <= rule.failed_days <= LONGEST_DAYS:
        raise FlowInvalid(
            f"Failures are kept for at least {FAILURES_KEPT_DAYS} days, so that they can still be sent "
            f"again: write a number from {FAILURES_KEPT_DAYS} to {LONGEST_DAYS:,}.",
            where="failed_days",
        )
    if rule.most_runs is not None and not 1 <= rule.most_runs <= 100_000_000:
        raise FlowInvalid("Write a number of runs, or leave it empty for no limit.", where="most_runs")


def _read(kept: Any, usual: Rule) -> Rule:
    """What an earlier or later release wrote is read as far as it is known."""
    if not isinstance(kept, dict):
        return usual
    values = {name.name: kept.get(name.name, getattr(usual, name.name)) for name in fields(Rule)}
    return Rule(**values)
