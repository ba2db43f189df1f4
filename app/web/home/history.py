"""How long history is kept, everywhere and for flows of their own, and what would go now."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response, flash, request

from app.commands import settings
from app.errors import FlowInvalid
from app.storage.database.db import pages_db
from app.storage.database.shrink import FileFacts, file_facts
from app.storage.flows.flows import FlowRow, get_flow, list_flows
from app.storage.upkeep import keep_rules as keeping
from app.storage.upkeep import retention
from app.storage.upkeep.keep_rules import Rule, Rules
from app.web.frame.context import parts, who
from app.web.frame.hx import page, redirect

blueprint = Blueprint("history", __name__)

_PAGE = "/settings/history"
_FIELDS = ("well_days", "failed_days", "most_runs")
_USUAL_RUN = 4000  # bytes, where the size of the database is not known here


@dataclass(frozen=True)
class Own:
    flow: FlowRow
    rule: Rule


@blueprint.get(_PAGE)
def show_history() -> Response:
    return _shown({}, {}, "")


@blueprint.post(_PAGE)
def save_everywhere() -> Response:
    return _save("")


@blueprint.post("/settings/history/flows")
def save_for_flow() -> Response:
    return _save(get_flow(pages_db.session, request.form.get("flow_id", "")[:64]).id)


@blueprint.post("/settings/history/flows/<flow_id>/forget")
def forget_flow(flow_id: str) -> Response:
    settings.forget_flow_rule(who(), parts(), flow_id)
    flash("The flow's runs are kept as those of all others.", "success")
    return redirect(_PAGE)


def _save(flow_id: str) -> Response:
    values = {name: request.form.get(name, "").strip()[:12] for name in _FIELDS}
    try:
        rule = _rule(values)
        if flow_id:
            settings.keep_flow_history(who(), parts(), flow_id, rule)
        else:
            settings.keep_history(who(), parts(), rule)
    except FlowInvalid as reason:
        return _shown(values, {reason.where: reason.reason}, flow_id)
    flash("Saved. What is older goes within the next hour, a little at a time.", "success")
    return redirect(_PAGE)


def _rule(values: dict[str, str]) -> Rule:
    numbers: dict[str, int | None] = {}
    for name, text in values.items():
        plain = text.replace(",", "").replace(" ", "")
        if plain and not (plain.isascii() and plain.isdigit()):
            raise FlowInvalid(f"“{text}” is not a whole number.", where=name)
        numbers[name] = int(plain) if plain else None
    return Rule(numbers["well_days"] or 0, numbers["failed_days"] or 0, numbers["most_runs"])


def _shown(values: dict[str, str], problems: dict[str, str], flow_id: str) -> Response:
    """`values`, `problems`: of the form for `flow_id`, '' = everywhere."""
    rules = keeping.read_rules(pages_db.session, parts().settings.history_days)
    flows = list_flows(pages_db.session)
    facts = file_facts(pages_db.session) if parts().database.is_sqlite else None
    return page(
        "home/history/index.html",
        status=422 if problems else 200,
        rules=rules,
        own=[Own(flow, rules.flows[flow.id]) for flow in flows if flow.id in rules.flows],
        others=[(flow.id, flow.name) for flow in flows],
        values=values,
        problems=problems,
        wrong_flow=flow_id,
        file=facts,
        going=_going(rules, facts),
        least=keeping.FAILURES_KEPT_DAYS,
    )


def _going(rules: Rules, facts: FileFacts | None) -> retention.Prunable:
    runs = retention.number_of_runs(pages_db.session)
    per_run = facts.used // runs if facts is not None and runs else _USUAL_RUN
    ids = retention.flows_with_runs(pages_db.session)
    now = parts().clock.now()
    return retention.prunable(pages_db.session, rules, now, flow_ids=ids, bytes_per_run=per_run)
