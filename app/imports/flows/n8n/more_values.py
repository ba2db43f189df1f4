"""Dates, hashes, mail, sub-workflows, feeds: nodes that one of our steps does."""

from __future__ import annotations

import re
from typing import Any

from app.flows.model import EmailStep, HttpRequest, HttpStep, Mapping, NamedMapping, SetStep
from app.imports.flows.expressions.dates import Moment, from_value, pattern_of
from app.imports.flows.places import Over, Place, Plain
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings
from app.imports.flows.values import Ref, Value, written
from app.imports.flows.work import Done, Work


def _one_value(work: Work, name: str, value: Value, keep: bool = True) -> Done:
    """A step that sets one value; what came in is still there beside it."""
    step = SetStep(values=[NamedMapping(name=name, mapping=Mapping(value=written(value)))], **work.facts())
    own: dict[tuple[str, ...], Ref] = {(name,): Ref(step.id, (name,))}
    base: Place = work.seen.current if keep else Plain(Ref(step.id))
    work.shared.report.carried(work.node.name)
    return Done([step], Over(own, base))


def _moment(settings: Settings, place: str) -> Moment:
    value = settings.value(place)
    return (
        from_value(value if isinstance(value, Ref) else written(value)) if value not in ("", None) else _NOW
    )


_NOW = Moment(Ref("run", ("started_at",)))
_FORMS = {"custom": "", "MM/DD/YYYY": "%m/%d/%Y", "YYYY/MM/DD": "%Y/%m/%d", "X": "%s", "x": "%s000"}


def date_time(work: Work) -> Done:
    try:
        return _older_date(work) if work.node.version < 2 else _newer_date(work)
    except NotCarried as reason:
        work.settings.leave_out("the date", reason.reason)
        return _one_value(work, work.settings.text("outputFieldName", "date"), "")


def _newer_date(work: Work) -> Done:
    settings = work.settings
    operation = settings.text("operation", "getCurrentDate")
    keep = settings.raw("options.includeInputFields") is not False
    settings.ignore("options", "fromFormat")
    if operation == "getCurrentDate":
        with_time = settings.raw("includeTime", True) is not False
        now = _NOW.ref if with_time else _NOW.method("toISODate", [])
        return _one_value(work, settings.text("outputFieldName", "currentDate"), now, keep)
    if operation == "formatDate":
        pattern = settings.text("format", "custom")
        if pattern in ("custom", ""):
            pattern = settings.text("customFormat", "yyyy-MM-dd")
        form = _FORMS.get(pattern) or pattern_of(pattern)
        value = _moment(settings, "date").ref.through("date", form)
        return _one_value(work, settings.text("outputFieldName", "formattedDate"), value, keep)
    if operation in ("addToDate", "subtractFromDate"):
        how = "plus" if operation == "addToDate" else "minus"
        amount, unit = settings.value("duration"), settings.text("timeUnit", "days")
        later = _moment(settings, "magnitude").method(how, [amount, unit]).as_value()
        return _one_value(work, settings.text("outputFieldName", "newDate"), later, keep)
    if operation == "extractDate":
        part = settings.text("part", "month")
        number = _moment(settings, "date").part({"week": "weekNumber"}.get(part, part))
        return _one_value(work, settings.text("outputFieldName", "datePart"), number, keep)
    raise NotCarried(f"There is no function like '{operation}' for dates here.")


def _older_date(work: Work) -> Done:
    settings = work.settings
    name = settings.text("dataPropertyName", "data") or "data"
    settings.ignore("options")
    moment = _moment(settings, "value")
    if settings.text("action", "format") == "calculate":
        how = "minus" if settings.text("operation", "add") == "subtract" else "plus"
        amount, unit = settings.value("duration"), settings.text("timeUnit", "days")
        number = float(amount) if isinstance(amount, str) and re.fullmatch(r"\d+(\.\d+)?", amount) else amount
        return _one_value(work, name, moment.method(how, [number, unit]).as_value())
    pattern = settings.text("toFormat", "MM/DD/YYYY")
    return _one_value(work, name, moment.ref.through("date", _FORMS.get(pattern) or pattern_of(pattern)))


def crypto(work: Work) -> Done:
    settings = work.settings
    action, kind = settings.text("action", "hash"), settings.text("type", "MD5")
    name = settings.text("dataPropertyName", "data") or "data"
    value = settings.value("value")
    settings.ignore("encoding", "binaryData")
    function = {"MD5": "md5", "SHA256": "sha256"}.get(kind)
    if action != "hash" or function is None or settings.text("encoding", "hex") != "hex":
        settings.leave_out(f"{action} {kind}", "Only MD5 and SHA-256 fingerprints can be made here.")
        return _one_value(work, name, "")
    if not isinstance(value, Ref):
        settings.leave_out("the value", "Only the fingerprint of a single value can be made here.")
        return _one_value(work, name, "")
    return _one_value(work, name, value.through(function))


def html_template(work: Work) -> Done | None:
    """None: it takes values out of a page, which nothing here does."""
    settings = work.settings
    if settings.text("operation", "generateHtmlTemplate") != "generateHtmlTemplate":
        return None
    settings.ignore("options")
    mapping = settings.mapping("html")
    step = SetStep(values=[NamedMapping(name="html", mapping=mapping)], **work.facts())
    work.shared.report.carried(work.node.name)
    return Done([step], Plain(Ref(step.id)))


# ----------------------------------------------------------------------------------------- mail

_TAG = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_BREAK = re.compile(r"(?i)<\s*(?:br|/p|/div|/li|/h[1-6]|/tr)\b[^<>]{0,200}>")


def email(work: Work) -> Done:
    settings = work.settings
    settings.ignore("emailFormat")
    place = next((one for one in ("message", "html", "text") if settings.peek(one) not in (None, "")), "text")
    text = settings.mapping(place)
    settings.ignore("html" if place != "html" else "text")
    if place == "html" or _TAG.search(text.value):
        settings.leave_out("the form of the mail (HTML)", "Mails go out as text here, without tags.")
        text = text.model_copy(update={"value": _TAG.sub("", _BREAK.sub("\n", text.value)).strip()})
    if settings.peek("attachments") or settings.peek("options.attachments"):
        settings.ignore("attachments", "options.attachments")
        settings.leave_out("the attachments", "Files are not passed from step to step here.")
    if settings.text("operation") == "sendAndWait":
        settings.ignore("approvalOptions", "options", "responseType")
        settings.leave_out("waiting for an answer", "The mail is sent; no step waits for its answer.")
    settings.ignore("options.appendAttribution", "options.allowUnauthorizedCerts", "resource")
    name = next((name for _, name in work.node.credentials), "")
    step = EmailStep(
        connection_id=work.shared.connection("smtp", name) if name else "",
        to=settings.mapping("toEmail"),
        cc=settings.mapping("ccEmail" if settings.peek("ccEmail") else "options.ccEmail"),
        reply_to=settings.mapping("replyTo" if settings.peek("replyTo") else "options.replyTo"),
        sender=settings.mapping("fromEmail"),
        subject=settings.mapping("subject"),
        text=text,
        **work.facts(),
    )
    work.shared.report.carried(work.node.name)
    return Done([step], Plain(Ref(step.id)))


# ---------------------------------------------------------------------------- calls of other kinds


def call_flow(work: Work) -> Done:
    """Another flow is called by its address, and nobody waits for what it does."""
    settings = work.settings
    facts = settings.peek_raw("workflowId")
    named = facts.get("cachedResultName") if isinstance(facts, dict) else ""
    name = str(named or settings.text("workflowId") or "another flow")[:100]
    rows = [
        NamedMapping(name=str(key), mapping=settings.filled(value, f"workflowInputs.value.{key}"))
        for key, value in _table(settings.peek_raw("workflowInputs.value")).items()
    ]
    settings.ignore("workflowInputs", "workflowId", "options", "mode", "source")
    settings.leave_out(
        f"the call of '{name}'",
        "Bring that flow too, and enter the address of its webhook here. Its result does not come back.",
    )
    request = HttpRequest(method="POST", body_kind="json" if rows else "none", body=rows)
    step = HttpStep(request=request, **work.facts())
    work.shared.report.carried(work.node.name)
    return Done([step], Plain(Ref(step.id)))


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def graphql(work: Work) -> Done:
    settings = work.settings
    rows = [NamedMapping(name="query", mapping=settings.mapping("query"))]
    if settings.peek("variables") not in (None, "", "{}", {}):
        rows.append(NamedMapping(name="variables", mapping=settings.mapping("variables")))
    settings.ignore("requestMethod", "requestFormat", "responseFormat", "operationName")
    request = HttpRequest(method="POST", url=settings.mapping("endpoint"), body_kind="json", body=rows)
    step = HttpStep(request=request, **work.facts())
    work.shared.report.carried(work.node.name)
    return Done([step], Plain(Ref(step.id)))


def feed(work: Work) -> Done:
    settings = work.settings
    settings.ignore("options")
    step = HttpStep(request=HttpRequest(url=settings.mapping("url"), parse="xml"), **work.facts())
    work.shared.report.carried(work.node.name)
    items = Ref(step.id, ("rss", "channel", "item"))
    return Done([step], Plain(items), items)
