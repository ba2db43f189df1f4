"""Vendors' documents, read into one form: operations with their parameters, bodies and security.

OpenAPI 3.0 and 3.1, Swagger 2.0, and the route list of a WordPress server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jsonschema import Draft4Validator, FormatChecker  # type: ignore[import-untyped]
from openapi_schema_validator import OAS30Validator, OAS31Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.needs import MATERIAL

FOLDER = MATERIAL / "specs"
_METHODS = ("get", "post", "put", "patch", "delete")
_SELF = "urn:document"
_RESOURCE = re.compile(r"/v\d\w*/\{(name|parent|property)\}")


@dataclass(frozen=True)
class Parameter:
    place: str  # path | query | header
    name: str
    required: bool
    schema: Any


@dataclass(frozen=True)
class Body:
    """`schemas` by content type."""

    required: bool
    schemas: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    pattern: re.Pattern[str]
    parameters: tuple[Parameter, ...]
    body: Body | None
    security: tuple[dict[str, Any], ...]  # any one of them


@dataclass(frozen=True)
class Document:
    name: str
    data: dict[str, Any]
    operations: tuple[Operation, ...]
    validator: Any
    registry: Any = field(repr=False)

    def find(self, method: str, path: str) -> Operation | None:
        """Literal paths before those with parameters."""
        fitting = [one for one in self.operations if one.method == method and one.pattern.fullmatch(path)]
        return min(fitting, key=lambda one: (one.path.count("{"), -len(one.path)), default=None)

    def errors(self, schema: Any, value: Any) -> Iterator[tuple[str, str]]:
        """(JSON pointer into the value, what is wrong)."""
        validator = self.validator(_absolute(schema), registry=self.registry, format_checker=FormatChecker())
        for error in validator.iter_errors(value):
            yield "/" + "/".join(str(key) for key in error.absolute_path), error.message

    def resolved(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            found: Any = self.data
            for part in node["$ref"].split("#/", 1)[1].split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            node = found
        return node


def is_there(name: str) -> bool:
    return (FOLDER / name).is_file()


@cache
def load(name: str) -> Document:
    data = json.loads((FOLDER / name).read_text())
    if "routes" in data:
        return _document(name, data, tuple(_wordpress(data)), Draft4Validator)
    if data.get("swagger") == "2.0":
        return _document(name, data, tuple(_swagger(data)), Draft4Validator)
    validator = OAS31Validator if data["openapi"].startswith("3.1") else OAS30Validator
    return _document(name, data, tuple(_openapi(data)), validator)


def _document(name: str, data: Any, operations: tuple[Operation, ...], validator: Any) -> Document:
    resource = DRAFT202012.create_resource(data)
    registry: Any = Registry().with_resource(_SELF, resource)
    return Document(name, data, operations, validator, registry)


def _absolute(node: Any) -> Any:
    """References lead into the document, wherever the schema was taken from."""
    if isinstance(node, dict):
        return {
            key: f"{_SELF}{value}" if key == "$ref" and str(value).startswith("#") else _absolute(value)
            for key, value in node.items()
        }
    return [_absolute(item) for item in node] if isinstance(node, list) else node


def _pattern(path: str) -> re.Pattern[str]:
    """Google's names of resources, such as properties/7, hold slashes."""
    value = "([^:]+?)" if _RESOURCE.match(path) else "([^/]+)"
    return re.compile("".join(value if part[0] == "{" else re.escape(part) for part in _pieces(path)))


def _pieces(path: str) -> list[str]:
    return [part for part in re.split(r"(\{[^}]+\})", path) if part]


# ------------------------------------------------------------------------------------- OpenAPI 3


def _openapi(data: Any) -> Iterator[Operation]:
    for path, method, operation, shared in _described(data):
        given = [_target(data, one) for one in [*shared, *operation.get("parameters", [])]]
        parameters = tuple(
            Parameter(one["in"], one["name"], bool(one.get("required")), one.get("schema", {}))
            for one in given
            if one["in"] != "cookie"
        )
        described = _target(data, operation.get("requestBody", {}))
        body = None
        if described:
            schemas = {kind: one.get("schema", {}) for kind, one in described["content"].items()}
            body = Body(bool(described.get("required")), schemas)
        known = data.get("components", {}).get("securitySchemes", {})
        security = _security(operation.get("security", data.get("security", [])), known)
        yield Operation(method, path, _pattern(path), parameters, body, security)


def _described(data: Any) -> Iterator[tuple[str, str, Any, list[Any]]]:
    for path, item in data["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method.upper(), item[method], item.get("parameters", [])


def _target(data: Any, node: Any) -> Any:
    return Document("", data, (), None, None).resolved(node)


def _security(wanted: Any, known: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(known[name] for one in wanted for name in one if name in known)


# ------------------------------------------------------------------------------------ Swagger 2.0


def _swagger(data: Any) -> Iterator[Operation]:
    for path, method, operation, shared in _described(data):
        given = [_target(data, one) for one in [*shared, *operation.get("parameters", [])]]
        parameters = tuple(
            Parameter(one["in"], one["name"], bool(one.get("required")), _plain(one))
            for one in given
            if one["in"] in ("path", "query", "header")
        )
        kinds = operation.get("consumes") or data.get("consumes") or ["application/json"]
        security = _security(
            operation.get("security", data.get("security", [])), data.get("securityDefinitions", {})
        )
        yield Operation(method, path, _pattern(path), parameters, _swagger_body(given, kinds), security)


def _plain(parameter: Any) -> Any:
    return {key: parameter[key] for key in ("type", "enum", "items", "format") if key in parameter}


def _swagger_body(given: list[Any], kinds: list[str]) -> Body | None:
    whole = [one for one in given if one["in"] == "body"]
    if whole:
        return Body(bool(whole[0].get("required")), dict.fromkeys(kinds, whole[0]["schema"]))
    fields = [one for one in given if one["in"] == "formData"]
    if not fields:
        return None
    schema: dict[str, Any] = {"type": "object", "properties": {one["name"]: _plain(one) for one in fields}}
    if required := [one["name"] for one in fields if one.get("required")]:
        schema["required"] = required
    return Body(bool(required), dict.fromkeys(kinds, schema))


# -------------------------------------------------------------------------- WordPress's own routes


def _wordpress(data: Any) -> Iterator[Operation]:
    for route, facts in data["routes"].items():
        path = re.sub(r"\(\?P<(\w+)>[^/]*\)", r"{\1}", route)
        names = set(re.findall(r"\{(\w+)\}", path))
        for endpoint in facts["endpoints"]:
            for method in endpoint["methods"]:
                yield _route(method, path, names, endpoint["args"] or {})


def _route(method: str, path: str, names: set[str], args: dict[str, Any]) -> Operation:
    schemas = {name: _schema(facts) for name, facts in args.items()}
    required = {name for name, facts in args.items() if facts.get("required") is True}
    in_path = tuple(Parameter("path", name, True, schemas.get(name, {})) for name in sorted(names))
    rest = {name: schema for name, schema in schemas.items() if name not in names}
    if method in ("GET", "DELETE"):
        query = tuple(Parameter("query", name, name in required, rest[name]) for name in rest)
        return Operation(method, path, _pattern(path), in_path + query, None, ())
    body: dict[str, Any] = {"type": "object", "properties": rest}
    if wanted := sorted(required - names):
        body["required"] = wanted
    return Operation(method, path, _pattern(path), in_path, Body(False, {"application/json": body}), ())


def _schema(facts: Any) -> Any:
    """WordPress writes `required` inside each argument, and an empty table as an empty list."""
    if not isinstance(facts, dict):
        return facts
    kept = {key: value for key, value in facts.items() if key not in ("required", "context", "default")}
    if isinstance(kept.get("properties"), list):
        kept.pop("properties")
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {name: _schema(one) for name, one in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _schema(kept["items"])
    return kept
