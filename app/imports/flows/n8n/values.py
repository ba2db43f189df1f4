"""The nodes that only work on data: Set, Wait, Stop, and stand-ins for what has no counterpart."""

from __future__ import annotations

import json
from typing import Any

from app.flows.model import DelayStep, HttpRequest, HttpStep, Mapping, NamedMapping, SetStep, Step, StopStep
from app.imports.flows.expressions.meaning import typed_json
from app.imports.flows.n8n.http import json_text
from app.imports.flows.places import Over, Place, Plain
from app.imports.flows.private import text_without, without_private
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings, leaves
from app.imports.flows.values import Ref, gap
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
    facts["note"] = _with_original(facts["note"], work)
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


def _with_original(note: str, work: Work) -> str:
    """The program that stood there, to look it up while the gap is filled."""
    found = (work.node.parameters.get(key) for key in _CODE)
    code = next((text for text in found if isinstance(text, str) and text.strip()), "")
    return "\n\n".join(
        part for part in (note, f"In n8n:\n{text_without(code[:3_000])}" if code else "") if part
    )
