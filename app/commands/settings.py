"""What people set for the whole installation: how long history is kept, who is told of alerts."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from sqlalchemy import Connection

from app.commands.who import Who
from app.errors import CallFailed
from app.ids import new_id
from app.parts import Parts
from app.storage.flows.flows import get_flow
from app.storage.people import audit
from app.storage.upkeep import alerts, keep_rules
from app.storage.upkeep.alerts import Telling
from app.storage.upkeep.keep_rules import Rule
from app.watch import ledger_check
from app.watch.telling import SEALED_FOR, Post, send_to_mail, send_to_web

_TRIED = (
    "This is a test of Plumbline's alerts. Whoever reads it will be told when a run stops, a connection "
    "needs a new key, or a flow receives nothing."
)
_LONGEST_TEST_S = 60


# --------------------------------------------------------------------------------------------- history


def keep_history(who: Who, parts: Parts, rule: Rule) -> None:
    """Sets how long history is kept where a flow has no rule of its own.  Raises NotAllowed, and
    FlowInvalid naming the number that cannot be used."""
    _keep(who, parts, rule, "")


def keep_flow_history(who: Who, parts: Parts, flow_id: str, rule: Rule) -> None:
    """Sets how long the history of one flow is kept.  Raises NotAllowed, NotFound, and FlowInvalid naming
    the number that cannot be used."""
    with parts.database.read() as db:
        get_flow(db, flow_id)
    _keep(who, parts, rule, flow_id)


def forget_flow_rule(who: Who, parts: Parts, flow_id: str) -> None:
    """Lets the history of a flow be kept as that of all others.  Raises NotAllowed."""
    _keep(who, parts, None, flow_id)


def _keep(who: Who, parts: Parts, rule: Rule | None, flow_id: str) -> None:
    who.must("history")
    if rule is not None:
        keep_rules.check(rule)
    now = parts.clock.now()

    def work(db: Connection) -> None:
        keep_rules.save_rule(db, rule, flow_id=flow_id)
        audit.record(
            db,
            now=now,
            user_id=who.id,
            action="changed how long history is kept",
            noun="flow" if flow_id else "server",
            noun_id=flow_id,
            detail=None if rule is None else asdict(rule),
        )

    parts.database.write(work)


# ---------------------------------------------------------------------------------------------- alerts


def tell_of_alerts(who: Who, parts: Parts, telling: Telling, *, webhook: str | None = None) -> None:
    """Sets who is told of alerts and when nobody is; `webhook`: the web address to tell as well, '' for
    none any more, None to leave it as it is.  What could not be sent is tried again at once.  Raises
    NotAllowed."""
    who.must("alerts")
    now = parts.clock.now()
    sealed = parts.vault.seal(webhook.encode(), SEALED_FOR).hex() if webhook else ""

    def work(db: Connection) -> None:
        kept = alerts.read_telling(db).webhook if webhook is None else sealed
        alerts.save_telling(db, Telling(**asdict(telling) | {"webhook": kept}))
        alerts.forget_failures(db)
        action = "changed who is told of alerts"
        audit.record(db, now=now, user_id=who.id, action=action, noun="server", noun_id="")

    parts.database.write(work)


def test_alerts(who: Who, parts: Parts, to: str) -> list[tuple[str, CallFailed | None]]:
    """Sends a test to the address `to` and to the web address, as far as each is set up; returns each way,
    `mail` or `web`, with what went wrong.  Raises NotAllowed, and TimeoutError after a minute."""
    who.must("alerts")
    with parts.database.read() as db:
        telling = alerts.read_telling(db)
    return parts.engine.spawn(_send_test(parts, telling, to)).result(_LONGEST_TEST_S)


async def _send_test(parts: Parts, telling: Telling, to: str) -> list[tuple[str, CallFailed | None]]:
    post = Post(parts.settings, parts.clock, parts.database, parts.vault, parts.caller)
    sent: list[tuple[str, CallFailed | None]] = []
    if parts.settings.smtp_url:
        text = f"{_TRIED}\n\n{parts.settings.base_url}\n"
        key = new_id("test")
        sent.append(("mail", await send_to_mail(post, to, "Plumbline: a test of alerts", text, key=key)))
    if telling.webhook:
        sent.append(("web", await send_to_web(post, telling, _TRIED)))
    return sent


def mark_seen(who: Who, parts: Parts, alert_id: str) -> None:
    """Marks one alert as seen.  Raises NotAllowed."""
    who.must("mark_seen")
    parts.database.write(partial(alerts.mark_seen, alert_id=alert_id, by=who.id or "", now=parts.clock.now()))


def mark_all_seen(who: Who, parts: Parts) -> int:
    """Marks every open alert as seen and returns how many.  Raises NotAllowed."""
    who.must("mark_seen")
    return parts.database.write(partial(alerts.mark_all_seen, by=who.id or "", now=parts.clock.now()))


def check_ledger(who: Who, parts: Parts) -> None:
    """Compares what came in with what became of it now, in place of the next hour.  Raises NotAllowed."""
    who.must("ledger")
    ledger_check.check(parts.database, parts.clock.now())
