"""Modules of Make, as steps: web requests, variables, sleeping, JSON, mail; and what has no counterpart."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from app.flows.model import (
    Condition,
    Conditions,
    DelayStep,
    HttpRequest,
    HttpStep,
    Mapping,
    NamedMapping,
    Operator,
    SetStep,
    Step,
)
from app.imports.flows.expressions.meaning import Filled
from app.imports.flows.make import expressions as make_expressions
from app.imports.flows.n8n.http import json_text
from app.imports.flows.places import Place, Plain, Seen
from app.imports.flows.private import address_without, json_without, without_private
from app.imports.flows.report import NotCarried, Report
from app.imports.flows.settings import Settings, leaves
from app.imports.flows.values import Key, Ref
from app.imports.flows.work import Done, Shared


def make_source(value: Any) -> str | None:
    """Every text may hold `{{ … }}`."""
    return value if isinstance(value, str) and "{{" in value else None


class MakeSettings(Settings):
    def source(self, value: Any) -> str | None:
        return make_source(value)

    def meaning(self, text: str) -> Filled:
        return make_expressions.translate(text, self.seen)


@dataclass
class Module:
    """`id`: the number by which others refer to it; `title`: how the report calls it."""

    id: str
    kind: str
    title: str
    facts: dict[str, Any] = field(repr=False)

    @property
    def note(self) -> str:
        notes = self.facts.get("metadata")
        found = notes.get("notes") if isinstance(notes, dict) else None
        return found if isinstance(found, str) else ""

    def table(self, name: str) -> dict[str, Any]:
        found = self.facts.get(name)
        return found if isinstance(found, dict) else {}


@dataclass
class MakeWork:
    module: Module
    settings: MakeSettings
    seen: Seen
    shared: Shared
    id: str = ""

    def facts(self) -> dict[str, Any]:
        self.id = self.id or self.shared.step_id()
        return {"id": self.id, "name": self.module.title.partition(": ")[2], "note": self.module.note[:5_000]}

    def carried(self) -> None:
        self.shared.report.carried(self.module.title)


def work_for(module: Module, seen: Seen, shared: Shared) -> MakeWork:
    """Settings stand in two tables: what was chosen (`parameters`) and what was mapped (`mapper`)."""
    data = {**module.table("parameters"), **module.table("mapper")}
    return MakeWork(module, MakeSettings(module.title, data, seen, shared.report), seen, shared)


# -------------------------------------------------------------------------------- web requests


class _Answer:
    """`data`, `statusCode`, `headers` there; here the answer itself."""

    def __init__(self, ref: Ref) -> None:
        self.ref = ref

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] == "data":
            return self.ref.down(*keys[1:])
        raise NotCarried("A web request gives the body of the answer here, not its status or headers.")


def web_request(work: MakeWork) -> Done:
    settings = work.settings
    method = settings.text("method", "GET").upper()
    facts: dict[str, Any] = {
        "method": method if method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS") else "GET",
        "url": address_without(settings, settings.mapping("url")),
        "query": without_private(
            settings,
            [*_rows(settings, "qs", "name"), *_rows(settings, "queryParameters", "name")],
            "parameter",
        ),
        "headers": without_private(settings, _rows(settings, "headers", "name"), "header"),
        "follow_redirects": settings.raw("followRedirect", True) is not False and method in ("GET", "HEAD"),
        **_body(settings),
    }
    timeout = settings.raw("timeout")
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and 1 <= timeout <= 300:
        facts["timeout_s"] = timeout
    _sign_in(work, facts)
    settings.ignore(*_PLAIN_HTTP)
    step = HttpStep(request=HttpRequest(**facts), **work.facts())
    if settings.raw("handleErrors") is False:
        settings.ignore("handleErrors")
    work.carried()
    return Done([step], _Answer(Ref(step.id)))


_PLAIN_HTTP = (
    *("serializeUrl", "shareCookies", "gzip", "useMtls", "useQuerystring", "followAllRedirects", "ca"),
    *(
        "rejectUnauthorized",
        "handleErrors",
        "parseResponse",
        "authenticationType",
        "tlsType",
        "proxyKeychain",
    ),
    *("requestCompressedContent", "stopOnHttpError", "allowRedirects", "shareCookies", "inputMethod"),
    *("paginationType", "followRedirects"),
)


def _rows(settings: MakeSettings, place: str, key: str) -> list[NamedMapping]:
    rows = []
    for index, row in enumerate(settings.rows(place)):
        at = f"{place}[{index}]" if isinstance(settings.peek_raw(place), list) else place
        settings.ignore(f"{at}.fieldType")
        if row.get("fieldType") == "file":
            settings.ignore(at)
            settings.leave_out(
                f"the file '{row.get(key, '')}'", "Files are not passed from step to step here."
            )
            continue
        name = settings.text(f"{at}.{key}")
        if name or row.get("value"):
            rows.append(NamedMapping(name=name, mapping=settings.mapping(f"{at}.value")))
    return rows


def _body(settings: MakeSettings) -> dict[str, Any]:
    kind = settings.text("bodyType") or settings.text("contentType")
    settings.ignore("contentType")
    if kind in ("x_www_form_urlencoded", "multipart_form_data", "multipart"):
        rows = [*_rows(settings, "fields", "key"), *_rows(settings, "formDataFields", "key")]
        rows += _rows(settings, "formDataFieldsMultipart", "key")
        return {"body_kind": "form" if kind.startswith("x_") else "multipart", "body": rows}
    place = next((one for one in ("jsonStringBodyContent", "data") if settings.peek(one)), "")
    if not place:
        return {}
    text = json_text(settings, place)
    try:
        json.loads(text)
        return {"body_kind": "json_text", "body_text": Mapping(value=json_without(settings, text))}
    except (ValueError, RecursionError):
        form = settings.text("contentType")
        if "json" in form or kind == "json":
            settings.leave_out("the body", "With its data taken out it is not JSON. Write it anew.")
        body = settings.mapping(place)
        return {"body_kind": "raw", "body_text": body, "content_type": form if "/" in form else ""}


def _sign_in(work: MakeWork, facts: dict[str, Any]) -> None:
    settings = work.settings
    way = work.module.kind.removeprefix("http:ActionSendData")
    keys = [
        key for key in ("authUser", "authPass", "keychain", "account", "certificate") if settings.peek(key)
    ]
    settings.ignore(
        "authUser", "authPass", "keychain", "account", "certificate", "apiKeyKeychain", "basicAuthKeychain"
    )
    if keys or way in ("BasicAuth", "APIKeyAuth", "ClientCertAuth"):
        settings.leave_out("the sign-in", "Choose a connection for it: secrets are not brought along.")
        facts["connection_id"] = ""


# -------------------------------------------------------------------------------------- values


def set_variables(work: MakeWork) -> Done:
    settings = work.settings
    rows = _rows(settings, "variables", "name")
    if not rows:
        rows = [NamedMapping(name=settings.text("name") or "value", mapping=settings.mapping("value"))]
    settings.ignore("scope", "isInLoop")
    rows = without_private(settings, rows, "value")
    step = SetStep(values=rows, **work.facts())
    work.carried()
    return Done([step], Plain(Ref(step.id)))


def compose(work: MakeWork) -> Done:
    step = SetStep(
        values=[NamedMapping(name="value", mapping=work.settings.mapping("value"))], **work.facts()
    )
    work.carried()
    return Done([step], Plain(Ref(step.id)))


def sleep(work: MakeWork) -> Done:
    amount = work.settings.mapping("duration", "1")
    work.carried()
    return Done([DelayStep(mode="for", amount=amount, unit="seconds", **work.facts())])


def parse_json(work: MakeWork) -> Done:
    """The text as data, under one name of a step of its own."""
    settings = work.settings
    mapping = settings.mapping("json")
    settings.ignore("type")
    if re.fullmatch(r"\{\{[^{}]*\}\}", mapping.value):
        mapping = mapping.model_copy(update={"value": f"{mapping.value[:-2].rstrip()} | from_json}}}}"})
    else:
        settings.leave_out("the JSON", "Only one value can be read as JSON; set the text in a step before.")
    step = SetStep(values=[NamedMapping(name="data", mapping=mapping)], **work.facts())
    work.carried()
    return Done([step], Plain(Ref(step.id, ("data",))))


def create_json(work: MakeWork) -> Done:
    """The fields of a JSON text; a later step writes them as one where it needs them."""
    settings = work.settings
    settings.ignore("type", "space")
    rows = []
    for place, value in leaves(settings.data):
        if value not in (None, "") and place not in ("type", "space"):
            name = place.replace("[", ".").replace("]", "")
            rows.append(NamedMapping(name=name, mapping=settings.mapping(place)))
    step = SetStep(values=rows[:100], **work.facts())
    work.carried()
    return Done([step], _Json(Ref(step.id)))


class _Json:
    def __init__(self, ref: Ref) -> None:
        self.ref = ref

    def find(self, keys: tuple[Key, ...]) -> Ref:
        return self.ref.through("json") if keys in (("json",), ()) else self.ref.down(*keys)


def open_request(work: MakeWork) -> Done:
    """In place of a module of a service: a web request with all it was given."""
    settings, module = work.settings, work.module
    rows: list[NamedMapping] = []
    for place, value in leaves(settings.data):
        if value in (None, "", False) or place.startswith("__") or len(rows) >= 40:
            continue
        rows.append(
            NamedMapping(name=place.replace("[", ".").replace("]", ""), mapping=settings.mapping(place))
        )
    settings.ignore(*settings.data)
    settings.leave_out(
        f"{module.title.partition(': ')[2]} ({module.kind})", f"There is no step for {module.kind} yet."
    )
    request = HttpRequest(method="POST", body_kind="json" if rows else "none", body=rows)
    step: Step = HttpStep(request=request, **work.facts())
    return Done([step], Plain(Ref(step.id)))


def answered(work: MakeWork) -> Done:
    work.settings.ignore(*work.settings.data)
    work.settings.leave_out(
        "the answer to the sender", "The sender is answered at once here, when the delivery is safely stored."
    )
    return Done()


CONVERTERS: dict[str, Callable[[MakeWork], Done]] = {
    "http:ActionSendData": web_request,
    "http:ActionSendDataBasicAuth": web_request,
    "http:ActionSendDataAPIKeyAuth": web_request,
    "http:ActionSendDataOAuth": web_request,
    "http:MakeRequest": web_request,
    "http:MakeRequestBasicAuth": web_request,
    "util:SetVariable": set_variables,
    "util:SetVariable2": set_variables,
    "util:SetVariables": set_variables,
    "util:ComposeTransformer": compose,
    "util:FunctionSleep": sleep,
    "json:ParseJSON": parse_json,
    "json:CreateJSON": create_json,
    "json:TransformToJSON": create_json,
    "gateway:WebhookRespond": answered,
}


# ---------------------------------------------------------------------------------- conditions

_OPERATORS: dict[str, Operator] = {
    "exist": "exists", "notexist": "not_exists",
    "text:equal": "equals", "text:notequal": "not_equals", "text:contain": "contains",
    "text:notcontain": "not_contains", "text:startwith": "starts_with",
    "text:notstartwith": "not_starts_with",
    "text:endwith": "ends_with", "text:notendwith": "not_ends_with", "text:pattern": "matches",
    "text:notpattern": "not_matches",
    "number:equal": "equals", "number:notequal": "not_equals", "number:greater": "greater",
    "number:greaterorequal": "greater_or_equal", "number:less": "less", "number:lessorequal": "less_or_equal",
    "boolean:equal": "equals", "boolean:notequal": "not_equals",
    "date:equal": "equals", "date:greater": "after", "date:less": "before",
    "date:greaterorequal": "greater_or_equal", "date:lessorequal": "less_or_equal",
    "array:contain": "contains", "array:notcontain": "not_contains", "array:equal": "length_equals",
    "array:greater": "length_greater", "array:less": "length_less",
}  # fmt: skip
_MOST = 50


def filter_of(work: MakeWork) -> Conditions | None:
    """The filter in front of a module: OR of ANDs.  None: there is none."""
    found = work.module.facts.get("filter")
    rows = found.get("conditions") if isinstance(found, dict) else None
    settings = MakeSettings(work.module.title, {"filter": found}, work.seen, work.shared.report)
    settings.gaps = work.settings.gaps
    groups = []
    for index, group in enumerate(rows[:_MOST] if isinstance(rows, list) else []):
        made = list(_group(settings, f"filter.conditions[{index}]", group))
        if made:
            groups.append(made)
    return Conditions(groups=groups) if groups else None


def _group(settings: MakeSettings, at: str, group: Any) -> Iterator[Condition]:
    for index, row in enumerate(group[:_MOST] if isinstance(group, list) else []):
        if not isinstance(row, dict):
            continue
        name = str(row.get("o", "exist"))
        operator = _OPERATORS.get(name.removesuffix(":ci"))
        if operator is None:
            settings.leave_out(f"the comparison '{name}'", "There is no such comparison here.")
            operator = "equals"
        left = settings.mapping(f"{at}[{index}].a")
        right = settings.mapping(f"{at}[{index}].b") if "b" in row else Mapping()
        yield Condition(left=left, operator=operator, right=right, ignore_case=name.endswith(":ci"))


def note_module(report: Report, module: Module, note: Callable[..., None]) -> None:
    """Every part and expression, so that none can go missing."""
    report.part(module.title)
    data = {**module.table("parameters"), **module.table("mapper")}
    note(report, module.title, data, make_source)
    note(report, module.title, {"filter": module.facts.get("filter")}, make_source)


__all__ = ["CONVERTERS", "Place", "filter_of", "note_module", "open_request", "work_for"]
