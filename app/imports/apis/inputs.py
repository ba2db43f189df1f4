"""What a person fills in for one operation, from its schemas; nested objects become fields of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import re2

from app.imports.apis.names import clean, key_of, label_of, plain_text
from app.imports.apis.shapes import Schema, Shapes, fixed_value

MOST_FIELDS = 120
_MOST_NESTED = 60
_DEEPEST = 5
_MOST_CHOICES = 300
_LONGEST_HELP = 400
_LONG_TEXTS = frozenset(
    ["body", "content", "description", "html", "message", "note", "notes", "text", "comment"]
)
_NUMBERS = {"integer": "integer", "number": "number"}
_FORMATS = {"email": "email", "date": "date", "date-time": "datetime"}


class TooHard(Exception):
    """This operation cannot be made; the text says why."""


@dataclass
class Inputs:
    """The fields of one operation, as `input` of a connector's file, with a sample of each.  `one_of`:
    fields of a table that has to be there, none of which is required by itself."""

    shapes: Shapes
    fields: list[dict[str, Any]] = field(default_factory=list)
    samples: dict[str, Any] = field(default_factory=dict)
    one_of: list[str] = field(default_factory=list)
    _nested: int = 0

    def add(
        self, name: str, kind: str, *, required: bool, help: str = "", shown: str = "", **more: Any
    ) -> str:
        key = key_of(name, {one["key"] for one in self.fields})
        sample = more.pop("sample", None)
        made: dict[str, Any] = {"key": key, "label": shown or label_of(name)}
        if kind != "string":
            made["type"] = kind
        if required:
            made["required"] = True
        if help:
            made["help"] = help
        self.fields.append({**made, **{word: one for word, one in more.items() if one not in (None, "")}})
        if sample is not None:
            self.samples[key] = sample
        return key

    # --------------------------------------------------------------------------------- one value

    def value(
        self,
        name: str,
        schema: Any,
        *,
        required: bool,
        shown: str = "",
        description: str = "",
        example: Any = None,
        depth: int = 0,
        inside: tuple[int, ...] = (),
        flat: bool = False,
    ) -> Any:
        """The template that sends this value; None when nothing is to be sent.  `flat`: it goes into a
        query or a header, where a table cannot stand."""
        shape = self.shapes.of(schema)
        fixed = fixed_value(shape)
        if fixed is not None and required and not isinstance(fixed, dict | list):
            return safe_text(fixed)
        if example is None:
            example = example_of(shape)
        words = plain_text(description or shape.get("description"), _LONGEST_HELP)
        given: dict[str, Any] = {"required": required, "help": words, "shown": shown}
        if shape["type"] == "object":
            if not flat and self._may_unfold(shape, depth, inside):
                return self.table(name, shape, required, depth, inside, example)
            return self._document(name, shape, given, example, inside, "an object")
        if shape["type"] == "array":
            return self._list(name, shape, given, example, inside)
        if shape["type"] == "" and not flat:
            return self._document(name, shape, given, example, inside, "JSON")
        kind, pipe, more = self._kind_of(name, shape)
        if example is not None and not isinstance(example, dict | list):
            more["sample"] = example
            given["help"] = _with_example(given["help"], example, kind)
        elif shape.get("format") in KNOWN_FORMATS:
            more["sample"] = plain_sample(shape)
        if (default := shape.get("default")) is not None and not isinstance(default, dict | list):
            given["help"] = f"{given['help']} If nothing is said: {clean(_word(default))[:60]}.".strip()
        key = self.add(name, kind, **given, **more)
        return f"${{input.{key}{pipe}}}"

    def _may_unfold(self, shape: Schema, depth: int, inside: tuple[int, ...]) -> bool:
        if not shape["properties"] or id(shape) in inside or depth >= _DEEPEST:
            return False
        return depth == 0 or self._nested < _MOST_NESTED

    def table(
        self,
        name: str,
        shape: Schema,
        required: bool,
        depth: int,
        inside: tuple[int, ...],
        example: Any,
    ) -> dict[str, Any] | None:
        made: dict[str, Any] = {}
        fixed: dict[str, Any] = {}
        before = len(self.fields)
        for inner, schema in _in_order(shape):
            below = self.shapes.of(schema)
            wanted = inner in shape["required"]
            if not _is_filled_in(below, wanted) or (
                len(self.fields) >= MOST_FIELDS and not (required and wanted)
            ):
                continue
            if inner in ("$when", "$each") or "${" in inner:
                if required and wanted:
                    raise TooHard(f"the field “{inner[:40]}” has a name that cannot be sent")
                continue
            value = fixed_value(below)
            if wanted and value is not None and not isinstance(value, dict | list):
                fixed[inner] = safe_text(value)
                continue
            if depth > 0:
                self._nested += 1
            template = self.value(
                f"{name}_{inner}" if depth > 0 else inner,
                schema,
                required=required and wanted,
                shown=f"{label_of(name)}: {label_of(inner)}"[:200] if depth > 0 else "",
                example=example.get(inner) if isinstance(example, dict) else None,
                depth=depth + 1,
                inside=(*inside, id(shape)),
            )
            if template is not None:
                made[inner] = template
        if depth > 0 and required and not fixed:
            fields = self.fields[before:]
            if fields and not self.one_of and not any(one.get("required") for one in fields):
                self.one_of = [one["key"] for one in fields]
        # Values that are always the same go along only where something else is sent.
        if not made and not (fixed and required):
            return None
        if not fixed or required:
            return {**fixed, **made}
        asked = "".join(sorted({one for one in _texts(made) if one.startswith("${")}))
        return {"$when": asked, **fixed, **made} if asked and len(asked) < 9_000 else made

    # -------------------------------------------------------------------------------- its kinds

    def _kind_of(self, name: str, shape: Schema) -> tuple[str, str, dict[str, Any]]:
        """Field type, pipe, and what else is said of the field."""
        choices = choices_of(shape)
        typed = shape["type"]
        if typed == "boolean":
            return "bool", "", {}
        if choices:
            return "choice", " | number" if typed in _NUMBERS else "", {"choices": choices}
        if typed in _NUMBERS:
            return _NUMBERS[typed], "", {}
        kind = _FORMATS.get(str(shape.get("format")), "string")
        if kind == "datetime":
            return kind, " | iso8601", {}
        more: dict[str, Any] = {}
        if kind == "string":
            longest = shape.get("maxLength")
            long = isinstance(longest, int) and longest > 300
            kind = "text" if long or name.rpartition("_")[2].lower() in _LONG_TEXTS else "string"
            more["pattern"] = pattern_of(shape)
            if isinstance(longest, int) and not isinstance(longest, bool) and 1 <= longest <= 1_000_000:
                more["longest"] = longest
        return kind, "", more

    def _list(
        self, name: str, shape: Schema, given: dict[str, Any], example: Any, inside: tuple[int, ...]
    ) -> str:
        items = self.shapes.of(shape.get("items"))
        if items["type"] not in ("string", "integer", "number"):
            return self._document(name, shape, given, example, inside, "a list")
        more: dict[str, Any] = {"choices": choices_of(items)} if items["type"] == "string" else {}
        if not isinstance(example, list) or any(isinstance(one, dict | list) for one in example):
            inner = example_of(items) if example is None else example
            if inner is None and items.get("format") in _SAMPLES:
                inner = plain_sample(items)
            example = [inner] if inner is not None and not isinstance(inner, dict | list) else None
        if example:
            more["sample"] = example[:5]
            given["help"] = _with_example(given["help"], ", ".join(_word(one) for one in example[:3]), "list")
        key = self.add(name, "list", **given, **more)
        return f"${{input.{key}}}" if items["type"] == "string" else f"${{input.{key} | numbers}}"

    def _document(
        self,
        name: str,
        shape: Schema,
        given: dict[str, Any],
        example: Any,
        inside: tuple[int, ...],
        noun: str,
    ) -> str:
        sample = example if isinstance(example, dict | list) else sample_of(self.shapes, shape)
        shown = (
            clean(json.dumps(sample, ensure_ascii=False, default=str)) if sample not in (None, {}, []) else ""
        )
        if shown and len(shown) <= 300:
            given["help"] = f"{given['help']} {noun.capitalize()} such as {shown}".strip()
        else:
            given["help"] = f"{given['help']} {noun.capitalize()}, written as JSON.".strip()
        key = self.add(name, "json", **given, sample=sample)
        return f"${{input.{key} | document}}"


def _in_order(shape: Schema) -> list[tuple[str, Any]]:
    """What is required comes first."""
    pairs = list(shape["properties"].items())
    wanted = set(shape["required"])
    return [one for one in pairs if one[0] in wanted] + [one for one in pairs if one[0] not in wanted]


def _is_filled_in(shape: Schema, wanted: bool) -> bool:
    if shape.get("readOnly") is True:
        return False
    return wanted or shape.get("deprecated") is not True


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for one in node.values() for text in _texts(one)]
    return [node] if isinstance(node, str) else []


# ---------------------------------------------------------------------------------- small facts


def safe_text(value: Any) -> Any:
    """A fixed value; a text that looks like a reference cannot be one."""
    if isinstance(value, str) and "${" in value:
        raise TooHard(f"the value “{value[:40]}” cannot be sent")
    return value


def choices_of(shape: Schema) -> list[str]:
    found = shape.get("enum")
    if not isinstance(found, list) or not 0 < len(found) <= _MOST_CHOICES:
        return []
    kept = [one for one in found if one is not None and not isinstance(one, dict | list | bool)]
    return list(
        dict.fromkeys(text for one in kept if (text := _word(one)).strip() and text == clean(text).strip())
    )


def pattern_of(shape: Schema) -> str:
    """A schema's pattern may fit anywhere in the text, ours fits the whole."""
    found = shape.get("pattern")
    if not isinstance(found, str) or not found or len(found) > 400 or clean(found) != found:
        return ""
    begins, ends = found.startswith("^"), found.endswith("$") and not found.endswith("\\$")
    inner = found[1 if begins else 0 : -1 if ends else None]
    whole = f"{'' if begins else '(?s:.*)'}(?:{inner}){'' if ends else '(?s:.*)'}"
    if "|" in inner and (begins or ends):
        whole = f"(?s:.*)(?:{found})(?s:.*)"
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(whole, options)
    except re2.error:
        return ""
    return whole if len(whole) <= 500 else ""


def example_of(shape: Schema) -> Any:
    for word in ("example", "x-example"):
        if shape.get(word) is not None:
            return shape[word]
    examples = shape.get("examples")
    if isinstance(examples, list) and examples:
        return examples[0]
    if isinstance(examples, dict) and examples:
        first = next(iter(examples.values()))
        return first.get("value", first) if isinstance(first, dict) else first
    return None


def _with_example(help: str, example: Any, kind: str) -> str:
    shown = clean(_word(example))
    if kind in ("choice", "bool") or not shown or len(shown) > 80 or shown in help:
        return help
    return f"{help} For example: {shown}".strip()


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def sample_of(shapes: Shapes, node: Any, depth: int = 0, *, least: bool = True) -> Any:
    """A value that fits: from examples, defaults and choices, else made up.  `least`: only what is
    required."""
    shape = shapes.of(node)
    for found in (fixed_value(shape), example_of(shape), shape.get("default")):
        if found is not None:
            return found
    if shape["type"] == "object":
        if depth > 8:
            return {}
        names = [name for name in shape["properties"] if not least or name in shape["required"]][:40]
        pairs = {name: sample_of(shapes, shape["properties"][name], depth + 1, least=least) for name in names}
        return {name: one for name, one in pairs.items() if one is not None}
    if shape["type"] == "array":
        inner = sample_of(shapes, shape.get("items"), depth + 1, least=least) if depth <= 8 else None
        return [] if inner is None else [inner]
    return plain_sample(shape)


def plain_sample(shape: Schema) -> Any:
    choices = shape.get("enum")
    if isinstance(choices, list):
        return next((one for one in choices if one not in (None, "")), None)
    if shape["type"] == "boolean":
        return True
    if shape["type"] in _NUMBERS:
        least = shape.get("minimum")
        return least if isinstance(least, int | float) and least > 1 else 1
    return _SAMPLES.get(str(shape.get("format")), "text") if shape["type"] == "string" else None


KNOWN_FORMATS = frozenset(("uuid", "uri", "url"))
_SAMPLES = {
    "email": "ana@example.com",
    "date": "2027-01-31",
    "date-time": "2027-01-31T09:00:00Z",
    "uri": "https://example.com/page",
    "url": "https://example.com/page",
    "uuid": "6f1e2a34-5b6c-4d7e-8f90-a1b2c3d4e5f6",
}
