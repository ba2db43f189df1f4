"""The operations of an OpenAPI or Swagger document in one form, whatever its version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.errors import ConnectorInvalid
from app.imports.apis.references import References

METHODS = ("get", "post", "put", "patch", "delete")
OTHER_METHODS = ("head", "options", "trace", "query")
MOST_OPERATIONS = 4_000
_STYLES = {"csv": ("form", False), "multi": ("form", True), "ssv": ("spaceDelimited", False)}
_STYLES |= {"pipes": ("pipeDelimited", False), "tsv": ("spaceDelimited", False)}


@dataclass(frozen=True)
class Parameter:
    """`whole`: its value is written as JSON."""

    place: str  # path | query | header | cookie
    name: str
    schema: Any
    required: bool = False
    description: str = ""
    example: Any = None
    style: str = ""
    explode: bool = True
    whole: bool = False
    deprecated: bool = False


@dataclass(frozen=True)
class Body:
    content_type: str
    schema: Any
    required: bool = False
    description: str = ""
    example: Any = None


@dataclass(frozen=True)
class Described:
    """`security` None: what the whole document says; each of its tables is one way to be let in."""

    method: str
    path: str
    name: str = ""
    summary: str = ""
    description: str = ""
    tag: str = ""
    docs: str = ""
    deprecated: bool = False
    parameters: tuple[Parameter, ...] = ()
    bodies: tuple[Body, ...] = ()
    security: Any = None
    servers: Any = None
    answer: Any = None
    answer_example: Any = None
    errors: tuple[Any, ...] = ()
    problem: str = ""
    query: tuple[tuple[str, str], ...] = field(default=())

    @property
    def title(self) -> str:
        return f"{self.method} {self.path}"


def check_document(root: Any, file: str) -> str:
    """'3' or '2'.  Raises ConnectorInvalid for what is no such document."""
    if not isinstance(root, dict):
        raise ConnectorInvalid(
            "this is not an OpenAPI document: it is not a table of names and values.", file=file
        )
    version = str(root.get("openapi") or root.get("swagger") or "")
    if not version:
        known = ", ".join(str(key)[:30] for key in list(root)[:5])
        raise ConnectorInvalid(
            "this is not an OpenAPI document: it has neither “openapi” nor “swagger”."
            f" It begins with {known}.",
            file=file,
            remedy="Look for a file called openapi.json, openapi.yaml or swagger.json.",
        )
    if not version.startswith(("3.", "2.")):
        raise ConnectorInvalid(f"OpenAPI {version[:20]} is not read; 2.0, 3.0 and 3.1 are.", file=file)
    if not isinstance(root.get("paths"), dict) or not root["paths"]:
        raise ConnectorInvalid("it describes no operation: “paths” is missing or empty.", file=file)
    return version[0]


def described(root: Any, references: References) -> Iterator[Described]:
    """Each operation; what is wrong with one stands in its `problem`."""
    is_old = "openapi" not in root
    number = 0
    for path, found in root["paths"].items():
        item = references.resolved(found)
        if not str(path).startswith("/") or not isinstance(item, dict):
            continue
        for method in (*METHODS, *OTHER_METHODS):
            if not isinstance(item.get(method), dict):
                continue
            number += 1
            if number > MOST_OPERATIONS:
                return
            yield _operation(root, references, str(path), method, item, is_old)


def _operation(
    root: Any, references: References, path: str, method: str, item: Any, is_old: bool
) -> Described:
    operation = item[method]
    # Those of the operation take the place of those of its path.
    found: dict[tuple[str, str], Any] = {}
    for group in (item.get("parameters"), operation.get("parameters")):
        for one in group if isinstance(group, list) else ():
            real = references.resolved(one)
            if (
                isinstance(real, dict)
                and isinstance(real.get("name"), str)
                and isinstance(real.get("in"), str)
            ):
                found[(real["in"], real["name"])] = real
    given = list(found.values())
    path, query = _split(path)
    value = operation.get("tags")
    first_word = _word(value[0]) if isinstance(value, list) and value else ""
    return Described(
        method=method.upper(),
        path=path,
        name=_word(operation.get("operationId")),
        summary=_word(operation.get("summary")) or _word(item.get("summary")),
        description=_word(operation.get("description")) or _word(item.get("description")),
        tag=first_word,
        docs=_docs(operation),
        deprecated=operation.get("deprecated") is True,
        parameters=tuple(_parameter(one, is_old) for one in given if one["in"] not in ("body", "formData")),
        bodies=tuple(_old_bodies(root, operation, given) if is_old else _bodies(references, operation)),
        security=operation.get("security"),
        servers=None if is_old else operation.get("servers") or item.get("servers"),
        query=query,
        problem=_problem(method),
        **_answers(references, operation, is_old),
    )


def _problem(method: str) -> str:
    if method in OTHER_METHODS:
        return f"{method.upper()} asks about a resource and brings nothing that a step could use."
    return ""


def _split(path: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Fragments only tell uses of the same path apart; a query belongs to the query."""
    path, _, rest = path.partition("#")[0].partition("?")
    pairs = [piece.partition("=") for piece in rest.split("&") if piece]
    return path, tuple((name, value) for name, _, value in pairs if "{" not in value)


# ------------------------------------------------------------------------------------ parameters


def _parameter(one: Any, is_old: bool) -> Parameter:
    place, schema, whole = one["in"], one.get("schema"), False
    if is_old:
        schema = {key: value for key, value in one.items() if key not in ("name", "in", "required")}
        style, explode = _STYLES.get(str(one.get("collectionFormat")), ("form", False))
    else:
        content = one.get("content")
        if schema is None and isinstance(content, dict) and content:
            first = next(iter(content.values()))
            schema, whole = (first.get("schema") if isinstance(first, dict) else None), True
        style = _word(one.get("style")) or ("form" if place == "query" else "simple")
        explode = one["explode"] if isinstance(one.get("explode"), bool) else style == "form"
    return Parameter(
        place=place,
        name=one["name"],
        schema=schema,
        required=one.get("required") is True or place == "path",
        description=_word(one.get("description")),
        example=_example(one),
        style=style,
        explode=explode,
        whole=whole,
        deprecated=one.get("deprecated") is True,
    )


# ---------------------------------------------------------------------------------------- bodies


def _bodies(references: References, operation: Any) -> Iterator[Body]:
    described = references.resolved(operation.get("requestBody"))
    content = described.get("content") if isinstance(described, dict) else None
    for kind, found in content.items() if isinstance(content, dict) else ():
        media = references.resolved(found)
        if isinstance(media, dict):
            yield Body(
                str(kind),
                media.get("schema"),
                described.get("required") is True,
                _word(described.get("description")),
                _example(media, references),
            )


def _old_bodies(root: Any, operation: Any, given: list[Any]) -> Iterator[Body]:
    """Swagger 2.0: a parameter that is the body, or fields of a form."""
    kinds = [str(one) for one in operation.get("consumes") or root.get("consumes") or [] if one]
    for one in given:
        if one["in"] == "body":
            for kind in kinds or ["application/json"]:
                yield Body(
                    kind, one.get("schema"), one.get("required") is True, _word(one.get("description"))
                )
            return
    fields = [one for one in given if one["in"] == "formData"]
    if not fields:
        return
    schema = {
        "type": "object",
        "properties": {one["name"]: {k: v for k, v in one.items() if k != "required"} for one in fields},
        "required": [one["name"] for one in fields if one.get("required") is True],
    }
    has_file = any(one.get("type") == "file" for one in fields)
    usual = "multipart/form-data" if has_file else "application/x-www-form-urlencoded"
    fitting = [kind for kind in kinds if kind.startswith(("multipart/", "application/x-www-form"))]
    if has_file:
        fitting = [kind for kind in fitting if kind.startswith("multipart/")]
    yield Body(fitting[0] if fitting else kinds[0] if kinds and not has_file else usual, schema, True)


# --------------------------------------------------------------------------------------- answers


def _answers(references: References, operation: Any, is_old: bool) -> dict[str, Any]:
    """The schema and example of a success, and the schemas of refusals."""
    answers = operation.get("responses")
    answers = answers if isinstance(answers, dict) else {}
    good = sorted(str(status) for status in answers if re.fullmatch(r"2\d\d|2XX", str(status), re.I))
    errors = [str(status) for status in answers if re.fullmatch(r"4\d\d|4XX|default", str(status), re.I)]
    by_text = {str(status): one for status, one in answers.items()}
    found: dict[str, Any] = {}
    for status in [*good, *([] if good else ["default"])]:
        schema, example = _answer(references, by_text.get(status), is_old)
        if schema is not None or example is not None:
            found = {"answer": schema, "answer_example": example}
            break
    shown = [_answer(references, by_text[status], is_old)[0] for status in sorted(errors)[:6]]
    return {**found, "errors": tuple(one for one in shown if one is not None)}


def _answer(references: References, found: Any, is_old: bool) -> tuple[Any, Any]:
    answer = references.resolved(found)
    if not isinstance(answer, dict):
        return None, None
    if is_old:
        examples = answer.get("examples")
        example = next(iter(examples.values()), None) if isinstance(examples, dict) else None
        return answer.get("schema"), example
    content = answer.get("content")
    for kind, one in content.items() if isinstance(content, dict) else ():
        media = references.resolved(one)
        if "json" in str(kind) or kind == "*/*":
            return (
                (media.get("schema"), _example(media, references))
                if isinstance(media, dict)
                else (None, None)
            )
    return None, None


# ----------------------------------------------------------------------------------------- words


def _example(one: Any, references: References | None = None) -> Any:
    if one.get("example") is not None:
        return one["example"]
    examples = one.get("examples")
    if isinstance(examples, dict):
        first = next(iter(examples.values()), None)
        if references is not None:
            first = references.resolved(first)
        return first.get("value") if isinstance(first, dict) else None
    return examples[0] if isinstance(examples, list) and examples else one.get("x-example")


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _docs(operation: Any) -> str:
    docs = operation.get("externalDocs")
    return _word(docs.get("url")) if isinstance(docs, dict) else ""
