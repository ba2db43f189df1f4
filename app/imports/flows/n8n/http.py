"""The node HTTP Request, in the shapes of all its versions, as our web request."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from app.flows.model import HttpRequest, HttpStep, Mapping, NamedMapping
from app.imports.flows.expressions.meaning import Translator, document_of
from app.imports.flows.expressions.reader import (
    Call,
    Items,
    Member,
    Pairs,
    Tree,
    read_expression,
    split_blocks,
)
from app.imports.flows.places import Answer, Place, Plain, Text
from app.imports.flows.private import address_without, json_without, without_private
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings, blocks_of
from app.imports.flows.values import Ref, written
from app.imports.flows.work import Done, Work

_METHODS = frozenset(get_args(HttpRequest.model_fields["method"].annotation))


def web_request(work: Work) -> Done:
    settings = work.settings
    method = settings.text("method" if "method" in settings.data else "requestMethod", "GET").upper()
    if method not in _METHODS:
        settings.leave_out(f"the method '{method[:20]}'", "There is no such kind of request.")
        method = "GET"
    parse, place = _answer(work)
    # n8n trims it and puts http:// in front where that is missing.
    mapping = settings.mapping("url")
    url = mapping.value.strip()
    if url and not url.startswith("{{") and not re.match(r"(?i)https?://", url):
        url = f"https://{url}"
    mapping = address_without(settings, mapping.model_copy(update={"value": url}))
    url = mapping.value
    address = mapping.model_copy(update={"value": re.sub(r"\s+(?=[^{}]*(?:\{\{|$))", "", url)})
    settings.ignore("sendHeaders", "specifyHeaders", "jsonParameters")
    if settings.peek("jsonHeaders") not in (None, "") and settings.peek("specifyHeaders") == "json":
        rows = _rows_of_json(settings, "jsonHeaders")
    elif settings.peek("headerParametersJson") not in (None, ""):
        rows = _rows_of_json(settings, "headerParametersJson")
    else:
        rows = _rows(settings, "headerParameters.parameters", "headerParametersUi.parameter")
    found = [row for row in rows if row.name or row.mapping.value]
    headers = without_private(settings, found, "header")
    facts: dict[str, Any] = {
        "method": method,
        "url": address,
        "query": without_private(settings, _query(settings), "parameter"),
        "headers": headers,
        "connection_id": sign_in(work),
        "parse": parse,
        **_body(settings, method),
        **_options(settings, method),
    }
    step = HttpStep(request=HttpRequest(**facts), **work.facts())
    items = work.shared.pinned.get(work.node.name, [])
    return Done([step], place, Ref(step.id) if len(items) > 1 else None)


# ------------------------------------------------------------------------------- names and values


def _rows(settings: Settings, *places: str) -> list[NamedMapping]:
    rows = []
    for place in places:
        for index, row in enumerate(settings.rows(place)):
            at = f"{place}[{index}]" if isinstance(settings.peek_raw(place), list) else place
            if row.get("parameterType") == "formBinaryData":
                settings.leave_out(f"the file '{row.get('name', '')}'", _NO_FILES)
                settings.ignore(at)
                continue
            name = settings.text(f"{at}.name").strip()
            if name or row.get("value"):
                rows.append(NamedMapping(name=name, mapping=settings.mapping(f"{at}.value")))
    return rows


_NO_FILES = "Files are not passed from step to step here."


def _query(settings: Settings) -> list[NamedMapping]:
    settings.ignore("sendQuery", "specifyQuery")
    if settings.peek("jsonQuery") not in (None, "") and settings.peek("specifyQuery") == "json":
        return _rows_of_json(settings, "jsonQuery")
    if settings.peek("queryParametersJson") not in (None, "") and settings.peek("jsonParameters"):
        return _rows_of_json(settings, "queryParametersJson")
    return _rows(settings, "queryParameters.parameters", "queryParametersUi.parameter")


def _rows_of_json(settings: Settings, place: str) -> list[NamedMapping]:
    try:
        table = json.loads(json_text(settings, place))
    except ValueError:
        table = None
    if not isinstance(table, dict):
        settings.leave_out(f"the setting '{place}'", "It is not a table of names and values.")
        return []
    return [NamedMapping(name=name, mapping=Mapping(value=_one_text(value))) for name, value in table.items()]


def _one_text(value: Any) -> str:
    """A table inside becomes JSON text again, its references as they were."""
    if isinstance(value, str):
        return value
    return re.sub(r"\{\{.*?\}\}", lambda found: str(json.loads(f'"{found[0]}"')), json.dumps(value))


# -------------------------------------------------------------------------------------- body

_KINDS = {"json": "json", "form-urlencoded": "form", "multipart-form-data": "multipart"}


def _body(settings: Settings, method: str) -> dict[str, Any]:
    settings.ignore("sendBody", "specifyBody")
    kind = settings.text("contentType" if "contentType" in settings.data else "bodyContentType", "json")
    settings.ignore("options.bodyContentType")
    kind = str(settings.peek("options.bodyContentType", kind))
    if settings.peek("sendBinaryData") or kind == "binaryData":
        settings.leave_out("the body", _NO_FILES)
        settings.ignore("sendBinaryData", "inputDataFieldName", "binaryPropertyName")
        return {}
    if kind == "raw":
        text = settings.mapping("body")
        settings.ignore("rawContentType")
        return {"body_kind": "raw", "body_text": text, "content_type": settings.text("rawContentType")}
    for place in ("jsonBody", "bodyParametersJson"):
        if settings.peek(place) not in (None, "") and _is_json_body(settings, place):
            return {"body_kind": "json_text", "body_text": Mapping(value=_valid(settings, place))}
    if settings.peek("specifyBody") == "string" and kind == "form-urlencoded":
        return {"body_kind": "raw", "body_text": settings.mapping("body"), "content_type": _FORM}
    rows = _rows(settings, "bodyParameters.parameters", "bodyParametersUi.parameter")
    rows = without_private(settings, rows, "field")
    asked = settings.peek("sendBody") is True or (rows and method not in ("GET", "HEAD"))
    return {"body_kind": _KINDS.get(kind, "json"), "body": rows} if asked and rows else {}


_FORM = "application/x-www-form-urlencoded"


def _is_json_body(settings: Settings, place: str) -> bool:
    return place != "jsonBody" or settings.peek("specifyBody", "json") == "json"


def _valid(settings: Settings, place: str) -> str:
    text = json_text(settings, place)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        settings.leave_out("the body", "With its data taken out it is not JSON. Write it anew.")
    return json_without(settings, text)


def json_text(settings: Settings, place: str) -> str:
    """JSON with references inside its texts.  Data that stood outside of quotes get quotes: a text
    that is one reference becomes the value itself."""
    value = settings.raw(place, "")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    template = settings.source(value)
    if template is None:
        return str(value)
    whole = _written_out(settings, place, value)
    if whole is not None:
        return whole
    out, number = "", 0
    for piece in split_blocks(template):
        if isinstance(piece, str):
            out += piece
            continue
        filled = settings.block(piece[0].strip(), place, number, alone=False)
        number += 1
        inner = json.dumps(written(filled.value), ensure_ascii=False)
        out += inner[1:-1] if (len(re.findall(r'"', re.sub(r"\\.", "", out))) % 2 == 1) else inner
    return out


def _written_out(settings: Settings, place: str, value: str) -> str | None:
    """`{{ {a: $json.b} }}` and `{{ JSON.stringify({…}) }}`; None where it is something else."""
    if not value.startswith("="):
        return None
    blocks = blocks_of(value[1:])
    if len(blocks) != 1 or not re.fullmatch(r"=\s*\{\{.*\}\}\s*", value, re.DOTALL):
        return None
    try:
        tree = _unwrapped(read_expression(blocks[0]))
        if not isinstance(tree, Pairs | Items):
            return None
        text = json.dumps(document_of(tree, Translator(settings.seen)), ensure_ascii=False)
    except NotCarried:
        return None
    settings.report.expression_carried(settings.part, place, 0)
    return text


def _unwrapped(tree: Tree) -> Tree:
    """What is turned into JSON text in the end."""
    if isinstance(tree, Call) and isinstance(tree.of, Member):
        name = getattr(tree.of.key, "value", "")
        if name == "stringify" and tree.args:
            return tree.args[0]
        if name == "toJsonString":
            return tree.of.of
    return tree


# ------------------------------------------------------------------------ answer and options


def _answer(work: Work) -> tuple[str, Place]:
    settings, me = work.settings, Ref(work.new_id())
    at = "options.response.response"
    form = settings.text("responseFormat") or settings.text(f"{at}.responseFormat", "autodetect")
    name = settings.text("dataPropertyName") or settings.text(f"{at}.outputPropertyName", "data")
    if form == "file":
        settings.leave_out("the answer as a file", _NO_FILES)
    if settings.raw(f"{at}.neverError") is True:
        settings.leave_out("going on after an error", "Set “If this step fails” to go on, if that is meant.")
    if settings.flag("options.fullResponse") or settings.raw(f"{at}.fullResponse") is True:
        return "auto", Answer(me)
    if form in ("text", "string"):
        return "text", Text(me, name)
    return "auto", Plain(me)


def _options(settings: Settings, method: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    timeout = settings.raw("options.timeout")
    if isinstance(timeout, int | float) and not isinstance(timeout, bool) and timeout > 0:
        found["timeout_s"] = min(max(timeout / 1000, 1), 300)
    settings.ignore("options.redirect", "options.followRedirect", "provideSslCertificates", "infoMessage")
    follows = settings.peek("options.redirect.redirect.followRedirects", True)
    found["follow_redirects"] = bool(follows) and method in ("GET", "HEAD")
    if settings.peek_raw("options.pagination"):
        settings.ignore("options.pagination")
        settings.leave_out("paging", "A web request here asks for one page; use a connector or a loop.")
    settings.ignore("options.lowercaseHeaders", "options.queryParameterArrays", "options.splitIntoItems")
    return found


def sign_in(work: Work) -> str:
    """The connection a request needs, by name only."""
    settings, node = work.settings, work.node
    way = settings.text("authentication", "none")
    kind = settings.text("nodeCredentialType") or settings.text("genericAuthType")
    if way == "none" and not node.credentials:
        return ""
    name = next((name for held, name in node.credentials if held == kind), "")
    name = name or next((name for _, name in node.credentials), "") or kind or way
    settings.leave_out(f"the sign-in '{name}' ({kind or way})", _CHOOSE)
    return work.shared.connection("http", name)


_CHOOSE = "Choose a connection for it: secrets are never in an export."
