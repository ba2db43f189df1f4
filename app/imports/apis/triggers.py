"""Lists of records as poll triggers: what tells a record apart, since when, and how to the next page."""

from __future__ import annotations

import re
from typing import Any

from app.imports.apis.described import Described, Parameter
from app.imports.apis.inputs import Inputs
from app.imports.apis.outputs import Records, output_fields, records_of, step
from app.imports.apis.requests import build_request
from app.imports.apis.shapes import Schema, Shapes

_IDS = ["id", "gid", "uuid", "guid", "uid", "key", "_id", "sid", "uri", "token", "event_id"]
_CREATED = [
    "created_at",
    "createdat",
    "created",
    "date_created",
    "created_time",
    "createdtime",
    "creation_date",
    "createddate",
    "created_on",
    "create_date",
    "add_time",
    "timestamp",
    "inserted_at",
]
_CHANGED = [
    "updated_at",
    "updatedat",
    "updated",
    "date_updated",
    "modified_at",
    "last_modified",
    "lastmodified",
    "update_time",
    "modified",
    "last_edited_time",
    "updated_time",
    "lastmodifieddate",
    "updateddate",
]
_SINCE = re.compile(
    r"since|(created|updated|modified|changed|date|timestamp)(_?at|_?time|_?date)?[_\[.]?(after|since|gte?|min|from)\]?"
    r"|(after|min|from)_?(date|created|updated|modified|timestamp)",
    re.IGNORECASE,
)
_FROM = ("gte", "gt", "after", "from")
_SIZES = [
    "limit",
    "per_page",
    "page_size",
    "pagesize",
    "perpage",
    "max_results",
    "maxresults",
    "count",
    "top",
    "$top",
    "first",
    "page[size]",
    "page[limit]",
    "maxpagesize",
    "results_per_page",
    "size",
]
_TOKENS = [
    "cursor",
    "after",
    "page_token",
    "pagetoken",
    "next_token",
    "nexttoken",
    "next_cursor",
    "offset",
    "starting_after",
    "start_cursor",
    "page[cursor]",
    "continuation",
    "pagination_token",
    "next_page_token",
    "next_page",
    "page",
    "start",
    "startingafter",
    "marker",
]
_NEXT_NAMES = [
    "next_cursor",
    "nextcursor",
    "next_page_token",
    "nextpagetoken",
    "next_token",
    "after",
    "cursor",
    "continuation",
    "offset",
    "pagination_token",
    "next_start",
    "next_page",
]
_NEXT_TABLES = [
    "paging",
    "pagination",
    "meta",
    "response_metadata",
    "page",
    "links",
    "additional_data",
    "cursors",
    "next",
]
_LINKS = [
    "next",
    "next_url",
    "nexturl",
    "next_page_url",
    "next_page",
    "@odata.nextlink",
    "nextlink",
    "next_page_uri",
]
_SURE_LINKS = ["next_url", "nexturl", "next_page_url", "next_page_uri", "@odata.nextlink"]
_COUNTED = ("integer", "number", "string", "")


def trigger_of(
    shapes: Shapes, operation: Described, prefix: str, hidden: frozenset[str]
) -> tuple[dict[str, Any], Inputs] | None:
    """The part of a trigger's file that the document tells; None where it does not tell enough."""
    if operation.method != "GET":
        return None
    records = records_of(shapes, operation.answer, operation.answer_example)
    if records is None or _is_one_record(shapes, operation, records):
        return None
    identity, moment = id_of(records.record), moment_of(shapes, records.record)
    if not identity or not moment:
        return None
    inputs = Inputs(shapes)
    # The parameter that asks for what came after, its schema, and the parameter it is a part of; one that
    # speaks of the same moment if there is one.
    stem = re.sub(r"[^a-z]|at$|time$|date$", "", moment.lower())[:6]
    given = [one for one in operation.parameters if one.place == "query" and not _LATEST.search(one.name)]
    plain = [(one.name, shapes.of(one.schema), one.name) for one in given]
    parts = [(f"{one.name}[{word}]", shape, one.name) for one in given for word, shape in _range(shapes, one)]
    fitting = [one for one in (*plain, *parts) if _SINCE.search(one[0]) and one[1]["type"] in _COUNTED[:3]]
    same = [one for one in fitting if stem and stem in re.sub(r"[^a-z]", "", one[0].lower())]
    bare = [one for one in plain if one[0].lower() == "since" or _is_after(one[0], one[1])]
    since, asked, whole = next(iter([*same, *bare]), ("", {}, ""))
    paging = paging_of(shapes, operation, records)
    taken = (since, whole, paging.pop("parameter", ""), paging.pop("sized", ""))
    own = {f"query:{name.lower()}" for name in taken if name}
    size = paging.pop("limit", {})
    request = build_request(operation, inputs, prefix, hidden | own).request
    query = {**request.pop("query", {}), **size}
    if since:
        query[since] = _cursor_text(asked)
    if paging.get("asks"):
        query[paging.pop("asks")] = "${page}"
    made: dict[str, Any] = {
        "kind": "poll",
        "every": "5m",
        "request": {**request, **({"query": query} if query else {})},
        "items": records.path,
        "dedupe": f"$.{identity}" if identity.isidentifier() else step("$", identity),
    }
    if paging.get("paginate"):
        made["paginate"] = paging["paginate"]
    if since:
        made["cursor"] = {"path": step("$", moment), "type": "datetime", "start": "now", "overlap": "5m"}
    made["output"] = {"fields": output_fields(shapes, records.record, records.example)}
    return made, inputs


def _is_one_record(shapes: Shapes, operation: Described, records: Records) -> bool:
    """The answer is a record itself, which happens to hold a list."""
    answer = shapes.of(operation.answer)
    return records.path != "$[*]" and "id" in answer["properties"]


# ---------------------------------------------------------------------------------- one record


def id_of(record: Schema) -> str:
    names = {name.lower(): name for name in record["properties"]}
    for wanted in _IDS:
        if wanted in names:
            return str(names[wanted])
    ids = [name for name in record["properties"] if re.fullmatch(r"[a-z]+_?(id|Id|ID)", name)]
    return str(ids[0]) if len(ids) == 1 else ""


def moment_of(shapes: Shapes, record: Schema) -> str:
    """When the record came about, else when it was changed last."""
    names = {name.lower(): name for name in record["properties"]}
    for wanted in (*_CREATED, *_CHANGED):
        if wanted in names and shapes.of(record["properties"][names[wanted]])["type"] != "object":
            return str(names[wanted])
    times = [
        name
        for name, schema in record["properties"].items()
        if shapes.of(schema).get("format") == "date-time" and re.search(r"creat|updat|modif", name, re.I)
    ]
    return str(times[0]) if times else ""


# --------------------------------------------------------------------------------------- since


_LATEST = re.compile(r"before|until|end|max|page|cursor", re.IGNORECASE)


def _is_after(name: str, shape: Schema) -> bool:
    """`after` alone may be a page as well as a moment."""
    return name.lower() == "after" and shape.get("format") in ("date-time", "date")


def _range(shapes: Shapes, one: Parameter) -> list[tuple[str, Schema]]:
    """`created[gte]`, also where the range is one of several possibilities."""
    shape = shapes.of(one.schema)
    raw = one.schema if isinstance(one.schema, dict) else {}
    several = [raw.get(word) for word in ("anyOf", "oneOf")]
    tables = [shape, *(shapes.of(inner) for group in several if isinstance(group, list) for inner in group)]
    return [
        (word, shapes.of(t["properties"][word])) for t in tables for word in _FROM if word in t["properties"]
    ]


def _cursor_text(shape: Schema) -> str:
    if shape["type"] in ("integer", "number"):
        return "${cursor | epoch_s}"
    return "${cursor | date}" if shape.get("format") == "date" else "${cursor | iso8601}"


# --------------------------------------------------------------------------------------- pages


def paging_of(shapes: Shapes, operation: Described, records: Records) -> dict[str, Any]:
    """`paginate` for the file; `parameter` and `sized`: what of the query it takes over; `asks`: the
    parameter that takes the page; `limit`: the size of a page, asked for."""
    query = {one.name.lower(): one for one in operation.parameters if one.place == "query"}
    sized = next((query[name] for name in _SIZES if name in query), None)
    most = shapes.of(sized.schema).get("maximum") if sized is not None else None
    least = most if isinstance(most, int) and not isinstance(most, bool) and most > 0 else 50
    size = min(int(least), 50)
    found: dict[str, Any] = {"sized": sized.name, "limit": {sized.name: str(size)}} if sized else {}
    answer = shapes.of(operation.answer)
    if link := _link(shapes, answer):
        return {**found, "paginate": {"type": "link", "next": link}}
    token = next((query[name] for name in _TOKENS if name in query), None)
    place = _next(shapes, answer)
    if token is not None and place:
        return {**found, **_asks(token), "paginate": {"type": "cursor", "next": place}}
    more = next((name for name in ("has_more", "hasMore") if name in answer["properties"]), "")
    if token is not None and more and token.name.lower() in ("starting_after", "after", "last_id"):
        last = records.path.removesuffix("[*]") + f"[-1].{id_of(records.record)}"
        paginate = {"type": "cursor", "next": last, "more": step("$", more)}
        return {**found, **_asks(token), "paginate": paginate}
    return {**found, **_counted(shapes, query, size if sized else 0)}


def _counted(shapes: Shapes, query: dict[str, Parameter], size: int) -> dict[str, Any]:
    for name in ("page", "page_number", "page[number]", "p", "pagenumber"):
        if (
            name in query
            and size
            and shapes.of(query[name].schema)["type"] in ("integer", "number", "string", "")
        ):
            start = shapes.of(query[name].schema).get("default")
            first = start if start in (0, 1) and not isinstance(start, bool) else 1
            return {**_asks(query[name]), "paginate": {"type": "page", "start": first, "size": size}}
    for name in ("offset", "skip", "$skip", "start", "page[offset]"):
        if name in query and size and shapes.of(query[name].schema)["type"] in ("integer", "number"):
            return {**_asks(query[name]), "paginate": {"type": "offset", "start": 0, "size": size}}
    if "page" in query:  # GitHub and its like: the header names the next page
        return {"parameter": query["page"].name, "paginate": {"type": "link", "next": "header:Link"}}
    return {}


def _asks(one: Parameter) -> dict[str, Any]:
    return {"parameter": one.name, "asks": one.name}


def _link(shapes: Shapes, answer: Schema) -> str:
    """A whole address of the next page."""
    for path, name, shape in _near(shapes, answer):
        if name.lower() not in _LINKS or shape["type"] not in ("string", ""):
            continue
        is_address = shape.get("format") in ("uri", "url") or "http" in str(shape.get("example"))
        is_named = name.lower() in _SURE_LINKS
        if is_address or is_named or ".links." in path or re.search(r"\burl\b|\blink\b", _about(shape), re.I):
            return path
    return ""


def _about(shape: Schema) -> str:
    text = shape.get("description")
    return text[:300] if isinstance(text, str) else ""


def _next(shapes: Shapes, answer: Schema) -> str:
    """A value that asks for the next page; a number there says where this page is."""
    for wanted in _NEXT_NAMES:
        for path, name, shape in _near(shapes, answer):
            is_named = re.sub(r"\W", "", name.lower()) in (wanted, wanted.replace("_", ""))
            is_place = name.lower() == "offset" and shape["type"] in ("integer", "number")
            if is_named and not is_place and shape["type"] != "object":
                return path
    return ""


def _near(shapes: Shapes, answer: Schema, path: str = "$", depth: int = 0) -> list[tuple[str, str, Schema]]:
    """The fields of the answer and of those tables in it that speak of pages."""
    found: list[tuple[str, str, Schema]] = []
    for name, schema in list(answer["properties"].items())[:60]:
        if "'" in name or "\\" in name or len(name) > 60:
            continue
        shape = shapes.of(schema)
        here = step(path, name)
        found.append((here, name, shape))
        is_table = name.lower() in _NEXT_TABLES and shape["type"] == "object"
        if is_table and depth < 2:
            found += _near(shapes, shape, here, depth + 1)
    return found
