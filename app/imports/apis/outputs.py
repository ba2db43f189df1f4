"""What an operation brings, with samples: the fields of its answer, and where a list of records lies."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.imports.apis.inputs import example_of, plain_sample
from app.imports.apis.names import clean, label_of
from app.imports.apis.shapes import Schema, Shapes, fixed_value

_MOST = 40
_DEEPEST = 3
_LONGEST_SAMPLE = 200
_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "bool"}
_TYPES |= {"array": "list", "object": "object"}
_LIST_NAMES = (
    "data",
    "items",
    "results",
    "records",
    "value",
    "values",
    "list",
    "elements",
    "entries",
    "rows",
)
_CODES = re.compile(r"[\x00-\x1f'\"\\]")


@dataclass(frozen=True)
class Records:
    """A list of tables inside an answer: its path, and what one record looks like."""

    path: str
    record: Schema
    example: Any = None


def step(path: str, name: str) -> str:
    """One name further: `$.data`, `$['first name']`."""
    return f"{path}.{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) else f"{path}['{name}']"


def output_fields(shapes: Shapes, schema: Any, example: Any) -> list[dict[str, Any]]:
    """The most useful first: what lies near the top."""
    found: list[dict[str, Any]] = []
    if schema is None and isinstance(example, dict | list):
        schema = schema_of(example)
    for _, field in sorted(_fields(shapes, schema, "$", example, 0, ()), key=lambda one: one[0]):
        found.append(field)
        if len(found) >= _MOST:
            break
    return found


def _fields(
    shapes: Shapes, schema: Any, path: str, example: Any, depth: int, inside: tuple[int, ...]
) -> Iterator[tuple[int, dict[str, Any]]]:
    shape = shapes.of(schema)
    if id(shape) in inside or depth > _DEEPEST:
        return
    inner = (*inside, id(shape))
    if shape["type"] == "array":
        first = example[0] if isinstance(example, list) and example else None
        yield from _fields(shapes, shape.get("items"), f"{path}[0]", first, depth + 1, inner)
        return
    if example is None:
        example = example_of(shape)
    for name, below in list(shape["properties"].items())[:100]:
        if _CODES.search(name) or len(path) + len(name) > 200 or "$" in name:
            continue
        part = shapes.of(below)
        if part.get("writeOnly") is True:
            continue
        value = example.get(name) if isinstance(example, dict) else None
        yield depth, _field(part, step(path, name), name, value)
        if part["type"] in ("object", "array"):
            yield from _fields(shapes, below, step(path, name), value, depth + 1, inner)


def _field(shape: Schema, path: str, name: str, example: Any) -> dict[str, Any]:
    kind = _TYPES.get(shape["type"], "string")
    if kind == "string" and shape.get("format") in ("date", "date-time"):
        kind = "date" if shape["format"] == "date" else "datetime"
    parts = re.findall(r"[A-Za-z0-9_][^.\[\]'$]*", re.sub(r"\[0\]", "", path))
    label = ": ".join(label_of(one) for one in parts[-2:])[:200] or "Answer"
    made: dict[str, Any] = {"path": path, "label": label}
    if kind != "string":
        made["type"] = kind
    sample = _sample(shape, example)
    if sample is not None:
        made["sample"] = sample
    return made


def _sample(shape: Schema, example: Any) -> Any:
    if shape["type"] in ("object", "array"):
        return None
    for found in (example, fixed_value(shape), example_of(shape), shape.get("default")):
        if found is not None and not isinstance(found, dict | list):
            return clean(found)[:_LONGEST_SAMPLE] if isinstance(found, str) else found
    return plain_sample(shape)


def schema_of(value: Any, depth: int = 0) -> Schema:
    """The schema of an example: what such a document looks like, as far as one can tell from one."""
    if isinstance(value, dict) and depth < 8:
        names = [name for name in list(value)[:200] if isinstance(name, str)]
        return {
            "type": "object",
            "properties": {name: schema_of(value[name], depth + 1) for name in names},
        }
    if isinstance(value, list) and depth < 8:
        first = next((one for one in value if one is not None), None)
        return {"type": "array", "items": {} if first is None else schema_of(first, depth + 1)}
    if isinstance(value, bool):
        return {"type": "boolean", "example": value}
    if isinstance(value, int | float):
        return {"type": "integer" if isinstance(value, int) else "number", "example": value}
    if isinstance(value, str):
        return {"type": "string", "example": value[:500]}
    return {}


def example_table(example: Any) -> Any:
    """An example that stands in the document as a text."""
    if isinstance(example, str) and example.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(example)
        except (ValueError, RecursionError):
            return None
    return example


# -------------------------------------------------------------------------------------- a list


def records_of(shapes: Shapes, schema: Any, example: Any) -> Records | None:
    """Where the answer holds a list of tables; the likeliest one."""
    if schema is None and isinstance(example, dict | list):
        schema = schema_of(example)
    shape = shapes.of(schema)
    if found := _as_records(shapes, shape, "$", example):
        return found
    candidates = []
    for path, part, value in _places(shapes, shape, example):
        if found := _as_records(shapes, part, path, value):
            candidates.append(found)
    return min(candidates, key=_likeliness) if candidates else None


def _likeliness(found: Records) -> tuple[int, int]:
    name = re.split(r"[.\[\]']+", found.path.removesuffix("[*]"))[-1].lower()
    return (found.path.count("."), _LIST_NAMES.index(name) if name in _LIST_NAMES else 5)


def _places(shapes: Shapes, shape: Schema, example: Any) -> Iterator[tuple[str, Schema, Any]]:
    """The fields of the answer and of the tables in it."""
    for name, below in list(shape["properties"].items())[:60]:
        if _CODES.search(name) or "$" in name:
            continue
        part = shapes.of(below)
        value = example.get(name) if isinstance(example, dict) else None
        yield step("$", name), part, value
        if part["type"] == "object":
            for inner, deeper in list(part["properties"].items())[:60]:
                if not _CODES.search(inner) and "$" not in inner:
                    held = value.get(inner) if isinstance(value, dict) else None
                    yield step(step("$", name), inner), shapes.of(deeper), held


def _as_records(shapes: Shapes, shape: Schema, path: str, example: Any) -> Records | None:
    if shape["type"] != "array":
        return None
    record = shapes.of(shape.get("items"))
    first = example[0] if isinstance(example, list) and example else None
    if not record["properties"] and isinstance(first, dict):
        record = shapes.of(schema_of(first))
    return Records(f"{path}[*]", record, first) if record["properties"] else None
