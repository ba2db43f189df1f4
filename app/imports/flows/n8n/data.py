"""The nodes that only work on data: Set, Wait, Stop, and stand-ins for what has no counterpart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as MappingOf
from typing import Any, cast

from app.flows.model import (
    DelayStep,
    EmailStep,
    HttpRequest,
    HttpStep,
    Mapping,
    NamedMapping,
    SetStep,
    Step,
    StopStep,
)
from app.imports.flows.expressions.dates import Moment, from_value, pattern_of
from app.imports.flows.expressions.meaning import typed_json
from app.imports.flows.n8n.http import json_text
from app.imports.flows.places import Nowhere, Over, Place, Plain
from app.imports.flows.private import text_without, without_private
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings, leaves
from app.imports.flows.values import EACH, Part, Ref, Value, gap, written
from app.imports.flows.work import Done, Work

# ---------------------------------------------------------------------------------------- set


def set_values(work: Work) -> Done:
    settings = work.settings
    rows = _raw_rows(settings) if settings.text("mode", "manual") == "raw" else _named_rows(settings)
    rows = without_private(settings, rows, "value")
    step = SetStep(values=rows, **work.facts())
    keeps = _keeps_others(settings, work.node.version)
    own = {_keys(row.name): Ref(step.id, (row.name,)) for row in rows}
    base: Place = work.seen.current if keeps else Plain(Ref(step.id))
    settings.ignore("options", "include", "includeFields", "excludeFields")
    if settings.peek("include") in ("selected", "except"):
        settings.leave_out("the choice of other fields", "All fields that came in can be used here.")
    place = Over(own, base) if keeps or any(len(keys) > 1 for keys in own) else Plain(Ref(step.id))
    return Done([step], place)


def _keys(name: str) -> tuple[str, ...]:
    return tuple(name.split(".")) if "." in name.strip(".") else (name,)


def _keeps_others(settings: Settings, version: float) -> bool:
    if version < 3:
        return not settings.flag("keepOnlySet")
    if version < 3.3:
        return bool(settings.peek("include", "all") != "none")
    return settings.flag("includeOtherFields")


_OLD = (("string", ""), ("number", ""), ("boolean", ""))


def _named_rows(settings: Settings) -> list[NamedMapping]:
    rows = []
    for index, row in enumerate(settings.rows("assignments.assignments")):
        rows.append(_row(settings, f"assignments.assignments[{index}]", "value", str(row.get("type", ""))))
    for kind, _ in _OLD:
        for index, _row_facts in enumerate(settings.rows(f"values.{kind}")):
            rows.append(_row(settings, f"values.{kind}[{index}]", "value", kind))
    for index, row in enumerate(settings.rows("fields.values")):
        kind = str(row.get("type", "stringValue"))
        rows.append(_row(settings, f"fields.values[{index}]", kind, kind.removesuffix("Value")))
    return [row for row in rows if row.name or row.mapping.value]


def _row(settings: Settings, at: str, key: str, kind: str) -> NamedMapping:
    name = settings.text(f"{at}.name").strip()
    value = settings.peek_raw(f"{at}.{key}")
    if kind in ("array", "object"):
        return NamedMapping(name=name, mapping=_structure(settings, f"{at}.{key}", value))
    if isinstance(value, dict | list) and not (isinstance(value, dict) and "__rl" in value):
        return NamedMapping(name=name, mapping=_structure(settings, f"{at}.{key}", value))
    return NamedMapping(name=name, mapping=settings.mapping(f"{at}.{key}"))


def _structure(settings: Settings, place: str, value: Any) -> Mapping:
    """A list or a table: written out it keeps its type, made of data it is one reference."""
    if isinstance(value, str) and value.startswith("=") and "{{" in value:
        return settings.mapping(place)
    settings.raw(place)
    text = value.removeprefix("=") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return fixed_structure(settings, place, text)


def fixed_structure(settings: Settings, place: str, text: str) -> Mapping:
    try:
        json.loads(text)
        return Mapping(value=typed_json(text).template)
    except (ValueError, RecursionError):
        settings.leave_out(f"the setting '{place}'", "It should be a list or a table, and is not JSON.")
    except NotCarried as reason:
        settings.leave_out(f"the setting '{place}'", reason.reason)
    return Mapping(value=gap(text).template)


def _raw_rows(settings: Settings) -> list[NamedMapping]:
    """The mode JSON: a table whose names become rows."""
    try:
        table = json.loads(json_text(settings, "jsonOutput"))
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        settings.leave_out("the values as JSON", "With its data taken out it is not a table. Set them anew.")
        return []
    return [
        NamedMapping(name=str(name), mapping=_json_value(settings, value)) for name, value in table.items()
    ]


def _json_value(settings: Settings, value: Any) -> Mapping:
    if isinstance(value, str):
        return Mapping(value=value)
    if isinstance(value, bool | int | float) or value is None:
        text = "" if value is None else json.dumps(value)
        return Mapping(value=text)
    text = json.dumps(value, ensure_ascii=False)
    if "{{" in text:
        settings.leave_out("a list or table made of data", "Set its values one by one.")
        return Mapping(value=gap(text.replace("{", "(").replace("}", ")")).template)
    return fixed_structure(settings, "jsonOutput", text)


# --------------------------------------------------------------------------------------- wait

_UNITS = {"seconds", "minutes", "hours", "days"}


def wait(work: Work) -> Done:
    settings = work.settings
    mode = settings.text("resume", "timeInterval")
    if mode in ("timeInterval", "specificTime", ""):
        work.shared.report.carried(work.node.name)
    if mode == "specificTime":
        step = DelayStep(mode="until", until=settings.mapping("dateTime"), **work.facts())
        return Done([step])
    if mode not in ("timeInterval", ""):
        settings.ignore("options", "httpMethod", "limitWaitTime", "limitType", "resumeAmount", "resumeUnit")
        settings.leave_out(f"waiting for an answer ({mode})", "A step here waits for a time, not for a call.")
    newer = work.node.version >= 1.1
    unit = settings.text("unit", "seconds" if newer else "hours")
    amount = settings.mapping("amount", "5" if newer else "1")
    if unit not in _UNITS:
        settings.leave_out(f"the unit '{unit}'", "A delay is in seconds, minutes, hours, days or weeks.")
        unit = "hours"
    return Done([DelayStep(mode="for", amount=amount, unit=unit, **work.facts())])


def stop_with_error(work: Work) -> Done:
    settings = work.settings
    kind = settings.text("errorType", "errorMessage")
    message = settings.mapping("errorObject" if kind == "errorObject" else "errorMessage")
    return Done([StopStep(outcome="failed", message=message, **work.facts())])


# ---------------------------------------------------------------------------------- stand-ins


def open_values(work: Work, reason: str) -> Done:
    """In place of what has no counterpart: a row for each field that later steps read, to be filled
    in, and what it was given."""
    settings = work.settings
    given = [] if any(key in settings.data for key in _CODE) else _given(settings)
    names = list(work.wanted_fields()) or ([] if given else ["result"])
    open_ = Mapping(value=gap(work.node.name).template)
    rows = [NamedMapping(name=name, mapping=open_) for name in names[:50]]
    settings.ignore(*settings.data)
    facts = work.facts()
    # The program that stood there, to look it up while the gap is filled.
    note = facts["note"]
    found = (work.node.parameters.get(key) for key in _CODE)
    code = next((text for text in found if isinstance(text, str) and text.strip()), "")
    facts["note"] = "\n\n".join(
        part for part in (note, f"In n8n:\n{text_without(code[:3_000])}" if code else "") if part
    )
    settings.leave_out(f"{work.node.name} ({work.node.foreign or work.node.kind})", reason)
    step = SetStep(values=[*rows, *(row for row in given if row.name not in names)], **facts)
    return Done([step], Plain(Ref(step.id)))


def open_request(work: Work, reason: str, address: str = "") -> Done:
    """In place of a service that is not known: a web request with all it was given."""
    settings = work.settings
    rows = _given(settings)
    settings.ignore(*settings.data)
    facts = work.facts()
    settings.leave_out(f"{work.node.name} ({work.node.foreign or work.node.kind})", reason)
    request = HttpRequest(
        method="POST", url=Mapping(value=address), body_kind="json" if rows else "none", body=rows
    )
    step: Step = HttpStep(request=request, **facts)
    return Done([step], Plain(Ref(step.id)))


def _given(settings: Settings) -> list[NamedMapping]:
    """All that a part was told, by the place where it stood."""
    rows: list[NamedMapping] = []
    for place, value in leaves(settings.data):
        last = place.rpartition(".")[2]
        if value in (None, "", False) or last.startswith(("__", "cached")) or last == "mode":
            continue
        if len(rows) >= 40:
            break
        name = place.removesuffix(".value").replace("[", ".").replace("]", "")
        rows.append(NamedMapping(name=name, mapping=settings.mapping(place)))
    return without_private(settings, rows, "setting")


_CODE = ("jsCode", "functionCode", "pythonCode", "code")


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


_MANY_FIELDS = "It takes several lists apart at once."


def split_out(work: Work) -> Done:
    settings = work.settings
    field = settings.text("fieldToSplitOut").strip()
    settings.ignore("options", "include", "fieldsToInclude", "operation", "resource")
    settings.report.carried(work.node.name)
    if "," in field:
        settings.leave_out(f"the fields '{field}'", _MANY_FIELDS)
        field = field.split(",")[0].strip()
    if settings.peek("include") in ("allOtherFields", "selectedOtherFields"):
        settings.leave_out("the other fields of each item", "Pick them from the step before the loop.")
    name = settings.text("options.destinationFieldName") or field
    try:
        ref = work.seen.current.find(tuple(field.split(".")) if field else ())
    except NotCarried as reason:
        settings.leave_out(f"the list '{field}'", reason.reason)
        return Done([], Nowhere(reason.reason))
    return Done([], _Item(name), ref)


class _Item:
    """An item that is a table goes on as it is, one that is a text under the name of its list."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, keys: object) -> Ref:
        raise NotCarried("There is a list of these; it is gone through one by one.")


def in_loop(place: Place | None, item: Ref) -> Place:
    """What one item is while a loop goes through the list."""
    if isinstance(place, _Item):
        return _Split(item, place.name)
    if (of_item := getattr(place, "of_item", None)) is not None:
        return cast(Place, of_item(item))
    return Plain(item)


class _Split:
    def __init__(self, ref: Ref, name: str) -> None:
        self.ref = ref
        self.name = name

    def find(self, keys: tuple[object, ...]) -> Ref:
        own = tuple(self.name.split("."))
        if keys[: len(own)] == own:
            return self.ref.down(*keys[len(own) :])  # type: ignore[arg-type]
        if keys and keys[0] == own[-1]:
            return self.ref.down(*keys[1:])  # type: ignore[arg-type]
        return self.ref.down(*keys)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- all items at once


def limit(work: Work, items: Ref | None) -> Done:
    settings = work.settings
    most = settings.raw("maxItems", 1)
    count = int(most) if isinstance(most, int | float) and not isinstance(most, bool) and most > 0 else 1
    last = settings.text("keep", "firstItems") == "lastItems"
    if items is None or items.uses:
        return Done()
    part = Part(-count, None) if last else Part(0, count)
    ref = items.down(part)
    return Done([], work.seen.current, ref) if count > 1 else Done([], Plain(items.down(-1 if last else 0)))


def aggregate(work: Work, items: Ref | None) -> Done:
    """All items as a list under one name, or one list per field."""
    settings = work.settings
    settings.ignore("options", "include", "fieldsToInclude", "operation")
    if items is None:
        settings.leave_out("the list", "There is no list of items here that could be put together.")
        items = None
    if settings.text("aggregate", "aggregateIndividualFields") == "aggregateAllItemData":
        name = settings.text("destinationFieldName", "data") or "data"
        return _set(work, {name: items})
    rows: dict[str, Ref | None] = {}
    for index, row in enumerate(settings.rows("fieldsToAggregate.fieldToAggregate")):
        at = f"fieldsToAggregate.fieldToAggregate[{index}]"
        field = settings.text(f"{at}.fieldToAggregate")
        settings.ignore(at)
        renamed = row.get("outputFieldName") if row.get("renameField") else ""
        keys = tuple(field.split(".")) if field else ()
        rows[str(renamed or field.rpartition(".")[2] or "data")] = items and items.down(EACH, *keys)
    return _set(work, rows or {"data": items})


def _set(work: Work, rows: MappingOf[str, Ref | None]) -> Done:
    made = [
        NamedMapping(name=name, mapping=Mapping(value=ref.template if ref else ""))
        for name, ref in rows.items()
    ]
    step = SetStep(values=made, **work.facts())
    own: dict[tuple[str, ...], Ref] = {(name,): Ref(step.id, (name,)) for name in rows}
    return Done([step], Over(own, Plain(Ref(step.id))))


_SUMMARIES = {
    "sum": "sum",
    "min": "min",
    "max": "max",
    "count": "count",
    "countUnique": "unique",
    "concatenate": "join",
}


def summarize(work: Work, items: Ref | None) -> Done:
    settings = work.settings
    if settings.text("fieldsToSplitBy"):
        settings.leave_out("the groups", "One sum is made of all items here.")
    rows: dict[str, Ref | None] = {}
    for index, _ in enumerate(settings.rows("fieldsToSummarize.values")):
        at = f"fieldsToSummarize.values[{index}]"
        way, field = settings.text(f"{at}.aggregation", "count"), settings.text(f"{at}.field")
        settings.ignore(at)
        if way not in _SUMMARIES:
            settings.leave_out(f"'{way}' of '{field}'", "There is no such sum here.")
            continue
        rows[f"{_PREFIX.get(way, way)}_{field}"] = _summed(items, field, way)
    settings.ignore("options")
    return _set(work, rows)


_PREFIX = {"sum": "sum", "count": "count", "countUnique": "unique_count", "concatenate": "concatenated"}


def _summed(items: Ref | None, field: str, way: str) -> Ref | None:
    if items is None:
        return None
    ref = items.down(EACH, *field.split(".")).through(_SUMMARIES[way])
    return ref.through("count") if way == "countUnique" else ref


def unchanged(work: Work, items: Ref | None) -> Done:
    """The list goes on as it is."""
    settings = work.settings
    settings.ignore(*settings.data)
    what = "sorting the list" if work.node.kind == "sort" else "taking out doubles"
    settings.leave_out(what, "The list goes on as it came.")
    return Done()


def item_lists(work: Work, items: Ref | None) -> Done:
    """The older node for all of it."""
    operation = work.settings.text("operation", "splitOutItems")
    if operation == "splitOutItems":
        return split_out(work)
    if operation in ("aggregateItems", "concatenateItems"):
        return aggregate(work, items)
    if operation == "summarize":
        return summarize(work, items)
    if operation == "limit":
        return limit(work, items)
    return unchanged(work, items)
