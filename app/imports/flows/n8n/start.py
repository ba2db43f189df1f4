"""What starts a flow: webhooks, schedules, forms and buttons of n8n as our triggers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.errors import FlowInvalid
from app.flows.model import ManualTrigger, ScheduleTrigger, WebhookTrigger
from app.flows.schedules.schedule import parse_when
from app.imports.flows.document import number_of
from app.imports.flows.places import Delivery, Nowhere, Place, Plain
from app.imports.flows.settings import Settings
from app.imports.flows.values import Ref
from app.imports.flows.work import Started, Work

_DATA = Plain(Ref("trigger"))


def started_by_hand(work: Work) -> Started:
    return Started(ManualTrigger(name=work.node.name), _DATA, _sample(work))


def _sample(work: Work) -> Any:
    items = work.shared.pinned.get(work.node.name)
    return items[0] if items else None


def webhook(work: Work) -> Started:
    settings = work.settings
    methods = settings.raw("httpMethod", "GET" if "httpMethod" not in settings.data else "POST")
    asked = methods if isinstance(methods, list) else [methods]
    known = [method for method in dict.fromkeys(map(str, asked)) if method in ("GET", "POST", "PUT")]
    for method in asked:
        if method not in known:
            settings.leave_out(f"deliveries by {str(method)[:20]}", "A webhook here takes POST, GET and PUT.")
    settings.ignore(
        "path", "options.rawBody", "options.ignoreBots", "options.allowedOrigins", "multipleMethods"
    )
    # How the sender is answered: here at once, with 202, when the delivery is stored.
    mode = settings.text("responseMode", "onReceived")
    settings.ignore("responseCode", "options.responseCode")
    answer = settings.text("responseData") or settings.text("options.responseData")
    if mode == "lastNode":
        settings.leave_out("the answer of the last node", _ANSWERED)
    elif answer not in ("", "noData", "allEntries", "firstEntryJson"):
        settings.leave_out("the answer to the sender", _ANSWERED)
    settings.ignore("options.responseHeaders", "options.responsePropertyName", "options.responseContentType")
    way = settings.text("authentication", "none")
    if way != "none":
        settings.leave_out(f"the check of callers ({way})", _CHECK)
    sample = _sample(work)
    if isinstance(sample, dict) and "body" in sample:
        sample = sample["body"]
    trigger = WebhookTrigger(name=work.node.name, methods=known or ["POST"])
    return Started(trigger, Delivery(), sample)


_CHECK = "The address here is secret by itself; for a signature, set it up at the trigger."


_ANSWERED = (
    "The sender is answered at once here, when the delivery is safely stored; no step writes the answer."
)


def respond(work: Work) -> None:
    settings = work.settings
    kind = settings.text("respondWith", "firstIncomingItem")
    settings.ignore("options.responseCode", "options.responseHeaders", "options.responseKey")
    if kind != "noData":
        settings.leave_out(f"the answer to the sender ({kind})", _ANSWERED)


# ------------------------------------------------------------------------------------- forms


def form(work: Work) -> Started:
    """Its page stays there; what it sends can come here."""
    settings = work.settings
    fields = [
        str(row.get("fieldLabel") or row.get("fieldName") or "") for row in settings.rows("formFields.values")
    ]
    settings.ignore("formFields", "path", "options", "formTitle", "formDescription", "responseMode")
    named = ", ".join(name for name in fields if name)
    settings.leave_out(
        "the page of the form" + (f" (fields: {named})" if named else ""),
        "Let your own form send these fields to the address of this flow.",
    )
    return Started(WebhookTrigger(name=work.node.name), _DATA, _sample(work))


def called(work: Work) -> Started:
    """A part that other flows call: they send what it needs to its address."""
    work.settings.ignore("inputSource", "workflowInputs", "jsonExample")
    sample = _sample(work)
    return Started(WebhookTrigger(name=work.node.name), _DATA, sample)


# --------------------------------------------------------------------------------- schedules

_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def schedule(work: Work) -> Started:
    settings = work.settings
    rows = settings.rows("rule.interval") or [{}]
    settings.ignore("rule")
    whens = [_interval(row, settings) for row in rows]
    for more in whens[1:]:
        settings.leave_out(f"the schedule '{more}'", "A flow has one schedule; copy the flow for another.")
    return _scheduled(work, whens[0])


def cron(work: Work) -> Started:
    settings = work.settings
    rows = settings.rows("triggerTimes.item")
    expression = settings.text("cronExpression")
    settings.ignore("triggerTimes", "rule")
    if not rows and expression:
        rows = [{"mode": "custom", "cronExpression": expression}]
    rows = rows or [_as_old(row) for row in settings.rows("rule.interval")] or [{}]
    whens = [_old_time(row, settings) for row in rows]
    for more in whens[1:]:
        settings.leave_out(f"the schedule '{more}'", "A flow has one schedule; copy the flow for another.")
    return _scheduled(work, whens[0])


def _as_old(row: dict[str, Any]) -> dict[str, Any]:
    return {"mode": "custom", "cronExpression": row.get("expression", "0 0 * * *")}


def _scheduled(work: Work, when: str) -> Started:
    try:
        parse_when(when)
    except FlowInvalid:
        work.settings.leave_out(f"the schedule '{when}'", "It cannot be read here; choose one.")
        when = "every day at 00:00"
    return Started(ScheduleTrigger(name=work.node.name, when=when), _Fired(), None)


class _Fired:
    """What a schedule gives; our names for n8n's."""

    def find(self, keys: Any) -> Ref:
        names = {"timestamp": "planned_at", "Readable date": "planned_at", "Day of week": "weekday"}
        if keys and keys[0] in names:
            return Ref("trigger", (names[keys[0]],))
        return Ref("trigger", tuple(keys))


def _int(row: dict[str, Any], key: str, default: int, low: int, high: int) -> int:
    return int(min(max(number_of(row.get(key), default), low), high))


def _at(row: dict[str, Any], hour: str = "triggerAtHour", minute: str = "triggerAtMinute") -> str:
    return f"{_int(row, hour, 0, 0, 23):02d}:{_int(row, minute, 0, 0, 59):02d}"


def _interval(row: dict[str, Any], settings: Settings) -> str:
    kind = str(row.get("field", "days"))
    match kind:
        case "seconds":
            settings.leave_out("a schedule in seconds", "Once a minute is the most often a flow starts here.")
            return "every minute"
        case "minutes":
            return _every(_int(row, "minutesInterval", 5, 1, 59), "minute", 60, settings)
        case "hours":
            every = _every(_int(row, "hoursInterval", 1, 1, 23), "hour", 24, settings)
            return f"{every} at minute {_int(row, 'triggerAtMinute', 0, 0, 59)}"
        case "weeks":
            if _int(row, "weeksInterval", 1, 1, 52) > 1:
                settings.leave_out(f"every {row['weeksInterval']} weeks", "It starts every week here.")
            given = row.get("triggerAtDay", [0])
            days = given if isinstance(given, list) else [given]
            numbers = sorted(
                {int(day) % 7 for day in days if isinstance(day, int | float) and 0 <= day <= 7}
            ) or [0]
            return f"every {' and '.join(_WEEKDAYS[number] for number in numbers)} at {_at(row)}"
        case "months":
            if _int(row, "monthsInterval", 1, 1, 12) > 1:
                settings.leave_out(f"every {row['monthsInterval']} months", "It starts every month here.")
            day = _int(row, "triggerAtDayOfMonth", 1, 1, 31)
            hour, minute = _at(row).split(":")
            return f"{int(minute)} {int(hour)} {day} * *"
        case "cronExpression":
            return _cron_text(str(row.get("expression", "")), settings)
    if _int(row, "daysInterval", 1, 1, 31) > 1:
        settings.leave_out(f"every {row['daysInterval']} days", "It starts every day here; add a filter.")
    return f"every day at {_at(row)}"


def _every(amount: int, unit: str, size: int, settings: Settings) -> str:
    if amount == 1:
        return f"every {unit}"
    if size % amount:
        near = min((n for n in range(1, size) if size % n == 0), key=lambda n: abs(n - amount))
        settings.leave_out(
            f"every {amount} {unit}s", f"It is every {near} {unit}s here: {amount} do not fit."
        )
        amount = near
    return f"every {amount} {unit}s" if amount > 1 else f"every {unit}"


def _cron_text(text: str, settings: Settings) -> str:
    """n8n takes a sixth field for seconds in front."""
    fields = text.strip().removeprefix("=").split()
    if len(fields) == 6:
        if fields[0] not in ("0", "00"):
            settings.leave_out("the seconds of the schedule", "A schedule here begins on the full minute.")
        fields = fields[1:]
    return " ".join(fields)


def _old_time(row: dict[str, Any], settings: Settings) -> str:
    time = _at(row, "hour", "minute")
    match str(row.get("mode", "everyDay")):
        case "everyMinute":
            return "every minute"
        case "everyHour":
            return f"every hour at minute {_int(row, 'minute', 0, 0, 59)}"
        case "everyX":
            unit = "hour" if str(row.get("unit", "hours")).startswith("hour") else "minute"
            return _every(_int(row, "value", 2, 1, 59), unit, 24 if unit == "hour" else 60, settings)
        case "everyWeek":
            return f"every {_WEEKDAYS[_int(row, 'weekday', 1, 0, 6)]} at {time}"
        case "everyMonth":
            hour, minute = time.split(":")
            return f"{int(minute)} {int(hour)} {_int(row, 'dayOfMonth', 1, 1, 31)} * *"
        case "custom":
            return _cron_text(str(row.get("cronExpression", "")), settings)
    return f"every day at {time}"


TRIGGERS: dict[str, Callable[[Work], Started]] = {
    "manualTrigger": started_by_hand,
    "start": started_by_hand,
    "webhook": webhook,
    "scheduleTrigger": schedule,
    "interval": schedule,
    "cron": cron,
    "formTrigger": form,
    "executeWorkflowTrigger": called,
}

NO_DATA: Place = Nowhere("What the trigger gives is not known here.")
