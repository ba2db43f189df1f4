"""The request of one operation: path, query, headers and body as templates over its fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from app.imports.apis.described import Body, Described, Parameter
from app.imports.apis.inputs import Inputs, TooHard
from app.imports.apis.names import label_of
from app.imports.apis.shapes import Schema

_OURS = frozenset(
    [
        "accept",
        "content-type",
        "authorization",
        "host",
        "content-length",
        "connection",
        "user-agent",
        "transfer-encoding",
        "accept-encoding",
        "expect",
        "te",
        "trailer",
        "upgrade",
        "cookie",
    ]
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_IDEMPOTENCY = re.compile(r"(x-)?(idempotency-key|idempotent-key|idempotence-key)", re.IGNORECASE)
_IN_PATH = re.compile(r"\{([^{}]*)\}")
FORM = "application/x-www-form-urlencoded"


@dataclass
class Built:
    """`idempotency`: the header under which the service remembers a call.  `one_of`: fields of which
    at least one has to be filled in."""

    request: dict[str, Any]
    idempotency: str = ""
    one_of: tuple[str, ...] = ()


def build_request(operation: Described, inputs: Inputs, prefix: str, hidden: frozenset[str]) -> Built:
    """`prefix`: what stands between the connector's address and the path.  `hidden`: parameters that
    are credentials, as `place:name`.  Raises TooHard."""
    given = [one for one in operation.parameters if f"{one.place}:{one.name.lower()}" not in hidden]
    made: dict[str, Any] = {"method": operation.method, "path": _path(operation, given, inputs, prefix)}
    query: dict[str, Any] = dict(operation.query)
    headers: dict[str, Any] = {}
    built = Built(made)
    body = _with_need(chosen_body(operation), operation, inputs)
    late = [one for one in given if not one.required]
    for one in [one for one in given if one.required]:
        _place(one, inputs, query, headers, built)
    if body is not None and body.required:
        _add_body(made, body, inputs)
    for one in late:
        _place(one, inputs, query, headers, built)
    if body is not None and not body.required:
        _add_body(made, body, inputs)
    if query:
        made["query"] = query
    if headers:
        made["headers"] = headers
    request = {key: made[key] for key in _ORDER if key in made}
    one_of = _one_of(body, made.get("body"), inputs) if body is not None else ()
    one_of = tuple(inputs.one_of) or one_of
    return Built(request, built.idempotency, one_of)


_ORDER = ("method", "path", "query", "headers", "body_kind", "content_type", "body")


# ---------------------------------------------------------------------------------- path, query


def _path(operation: Described, given: list[Parameter], inputs: Inputs, prefix: str) -> str:
    known = {one.name: one for one in given if one.place == "path"}

    def filled(found: re.Match[str]) -> str:
        name = found[1].lstrip("+/;.").rstrip("*") or "value"
        one = known.get(found[1]) or known.get(name) or Parameter("path", name, {"type": "string"}, True)
        template = inputs.value(
            one.name,
            _single(inputs, one.schema),
            required=True,
            description=one.description,
            example=one.example,
            flat=True,
        )
        text = str(template)
        return text[:-1] + " | path}" if text.startswith("${") else text

    if "${" in operation.path:
        raise TooHard("its path holds “${”, which cannot be sent")
    path = prefix + _IN_PATH.sub(filled, operation.path)
    if re.search(r"[\s?#]", re.sub(r"\$\{[^}]*\}", "", path)):
        raise TooHard(f"its path “{operation.path[:60]}” is not an address")
    return path


def _single(inputs: Inputs, schema: Any) -> Any:
    """In a path there is room for a text or a number; a list is joined by whoever maps it."""
    shape = inputs.shapes.of(schema)
    if shape["type"] in ("string", "integer", "number", "boolean"):
        return schema
    return {"type": "string", "description": shape.get("description", "")}


def _place(
    one: Parameter, inputs: Inputs, query: dict[str, Any], headers: dict[str, Any], built: Built
) -> None:
    if one.deprecated and not one.required:
        return
    if "${" in one.name or one.name in ("$when", "$each"):
        if one.required:
            raise TooHard(f"the parameter “{one.name[:40]}” has a name that cannot be sent")
        return
    if one.place == "query":
        _add_query(one, inputs, query)
    elif one.place == "header":
        _add_header(one, inputs, headers, built)
    elif one.place == "cookie" and one.required:
        raise TooHard(f"it needs the cookie “{one.name[:40]}”, which only a browser has")


def _add_query(one: Parameter, inputs: Inputs, query: dict[str, Any]) -> None:
    shape = inputs.shapes.of(one.schema)
    is_table = shape["type"] == "object" and shape["properties"] and not one.whole
    if is_table and (one.style == "deepObject" or one.explode):
        _add_table(one, shape, inputs, query, deep=one.style == "deepObject")
        return
    template = inputs.value(
        one.name,
        one.schema,
        required=one.required,
        description=one.description,
        example=one.example,
        flat=True,
    )
    if template is not None:
        query[one.name] = _written(template, shape, one)


def _written(template: Any, shape: Schema, one: Parameter) -> Any:
    if not isinstance(template, str) or not template.startswith("${"):
        return template if isinstance(template, str) else _plain(template)
    if one.whole:
        return template.removesuffix(" | document}").removesuffix("}") + " | json}"
    if template.endswith(" | document}"):
        return template if shape["type"] == "array" else template.removesuffix(" | document}") + " | json}"
    if shape["type"] == "array" and not one.explode:
        return template.removesuffix(" | numbers}").removesuffix("}") + " | join}"
    return template


def _plain(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def _add_table(one: Parameter, shape: Schema, inputs: Inputs, query: dict[str, Any], *, deep: bool) -> None:
    for name, schema in shape["properties"].items():
        sent = f"{one.name}[{name}]" if deep else name
        if sent in query or "${" in sent:
            continue
        required = one.required and name in shape["required"]
        shown = f"{label_of(one.name)}: {label_of(name)}"[:200]
        template = inputs.value(f"{one.name}_{name}", schema, required=required, shown=shown, flat=True)
        if template is not None:
            query[sent] = template if isinstance(template, str) else _plain(template)


def _add_header(one: Parameter, inputs: Inputs, headers: dict[str, Any], built: Built) -> None:
    if one.name.lower() in _OURS or not _HEADER_NAME.fullmatch(one.name):
        return
    if _IDEMPOTENCY.fullmatch(one.name):
        built.idempotency = one.name
        return
    template = inputs.value(
        one.name,
        _single(inputs, one.schema),
        required=one.required,
        description=one.description,
        example=one.example,
        flat=True,
    )
    if template is not None:
        headers[one.name] = template if isinstance(template, str) else _plain(template)


# ----------------------------------------------------------------------------------------- body


def chosen_body(operation: Described) -> Body | None:
    """JSON before forms, forms before files, anything else as a text."""
    if operation.method == "GET" or not operation.bodies:
        if operation.bodies and operation.bodies[0].required and _means_something(operation.bodies[0]):
            raise TooHard("a GET with a body is passed over by most of what lies between us and the service")
        return None
    return min(operation.bodies, key=lambda one: _rank(one.content_type))


def _with_need(body: Body | None, operation: Described, inputs: Inputs) -> Body | None:
    """A body with required fields is required, though many a document forgets to say so."""
    if body is None or body.required or operation.method == "DELETE":
        return body
    shape = inputs.shapes.of(body.schema)
    return replace(body, required=True) if shape["required"] else body


def _one_of(body: Body, made: Any, inputs: Inputs) -> tuple[str, ...]:
    """Where each of several kinds of bodies requires something else: the first field of each."""
    shape = inputs.shapes.of(body.schema)
    wanted = shape.get("one_of")
    if not isinstance(wanted, list) or not isinstance(made, dict):
        return ()
    found = [re.match(r"\$\{input\.([a-z0-9_]+)", str(made.get(name))) for name in wanted]
    keys = [one[1] for one in found if one]
    return tuple(dict.fromkeys(keys)) if len(keys) == len(wanted) else ()


def _means_something(body: Body) -> bool:
    schema = body.schema
    return isinstance(schema, dict) and bool(schema.get("required") or schema.get("$ref"))


def _rank(kind: str) -> int:
    kind = kind.lower()
    if kind.startswith("application/json"):
        return 0
    if "json" in kind and "seq" not in kind and "ndjson" not in kind:
        return 1
    return 2 if kind.startswith(FORM) else 3 if kind.startswith("multipart/") else 4 if kind == "*/*" else 5


def _add_body(made: dict[str, Any], body: Body, inputs: Inputs) -> None:
    rank = _rank(body.content_type)
    if rank == 3:
        _add_multipart(made, body, inputs)
    elif rank == 5:
        kind = body.content_type.partition(";")[0].strip() or "text/plain"
        if not re.fullmatch(r"[\w.+-]+/[\w.+*-]+", kind):
            raise TooHard(f"its body is of a kind nobody knows: “{kind[:40]}”")
        if "*" in kind:
            kind = "text/plain" if kind.startswith("text/") else "application/octet-stream"
        example = body.example if isinstance(body.example, str) else None
        help = f"Sent as it is, as {kind}."
        key = inputs.add("body", "text", required=body.required, help=help, sample=example or "text")
        made.update({"body_kind": "raw", "content_type": kind, "body": f"${{input.{key}}}"})
    else:
        if rank == 1:
            made["content_type"] = body.content_type.partition(";")[0].strip()
        elif rank == 2:
            made["body_kind"] = "form"
        shape = inputs.shapes.of(body.schema)
        is_table = shape["type"] == "object" and bool(shape["properties"])
        template = (
            inputs.table("body", shape, body.required, 0, (), body.example)
            if is_table
            else inputs.value(
                "body",
                body.schema,
                required=body.required,
                description=body.description,
                example=body.example,
            )
        )
        made["body"] = {} if template is None and is_table and body.required else template


def _add_multipart(made: dict[str, Any], body: Body, inputs: Inputs) -> None:
    """A field of format `binary` is a file: its content and its name."""
    shape = inputs.shapes.of(body.schema)
    made["body_kind"] = "multipart"
    parts: dict[str, Any] = {}
    for name, schema in shape["properties"].items():
        inner = inputs.shapes.of(schema)
        required = body.required and name in shape["required"]
        if inner.get("readOnly") is True or "${" in name:
            continue
        if inner.get("format") in ("binary", "byte") or inner.get("type") == "file" or _is_media(inner):
            words = f"{label_of(name)} (content of the file)"
            content = inputs.add(name, "text", required=required, shown=words, sample="text")
            called = inputs.add(
                f"{name}_name", "string", required=required, shown=f"{label_of(name)} (name of the file)"
            )
            inputs.samples[called] = "file.txt"
            parts[name] = {
                "$when": f"${{input.{content}}}",
                "filename": f"${{input.{called}}}",
                "content": f"${{input.{content}}}",
            }
            continue
        template = inputs.value(name, schema, required=required, flat=True)
        if template is not None:
            parts[name] = template
    if not parts:
        key = inputs.add("file", "text", required=body.required, shown="File (its content)", sample="text")
        parts["file"] = {"filename": "file.txt", "content": f"${{input.{key}}}"}
    made["body"] = parts


def _is_media(shape: Schema) -> bool:
    kind = shape.get("contentMediaType")
    return isinstance(kind, str) and not kind.startswith(("text/plain", "application/json"))
