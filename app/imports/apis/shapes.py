"""A schema as one plain table: references followed, `allOf` put together, `oneOf` and `anyOf` decided.

What a person could fill in counts, not what a validator would say: of several kinds of objects all
fields are offered, of which only the common ones are required; `null` beside something is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.imports.apis.references import References

Schema = dict[str, Any]
_DEEPEST = 60
_MOST_PROPERTIES = 2_000
_MOST_VARIANTS = 60
_ANYTHING: Schema = {"type": "", "properties": {}, "required": []}
_KINDS = ("object", "array", "string", "integer", "number", "boolean")


class Shapes:
    """Each schema is put together once, however often it is named."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._done: dict[int, Schema] = {}
        self._kept: list[Any] = []  # what is looked up by its id() must not go away
        self._open: set[int] = set()

    def of(self, node: Any) -> Schema:
        """A table with `type` as one word, '' for anything; the same table for the same schema."""
        found = self._references.resolved(node)
        if not isinstance(found, dict):
            return dict(_ANYTHING)
        place = id(found)
        if place in self._done:
            return self._done[place]
        if place in self._open or len(self._open) > _DEEPEST:
            return dict(_ANYTHING)
        self._open.add(place)
        try:
            made: Schema = {key: one for key, one in found.items() if key not in ("allOf", "oneOf", "anyOf")}
            made["type"] = _kind(found)
            made["properties"] = _table(made.get("properties"))
            value = made.get("required")
            made["required"] = (
                [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
            )
            if not isinstance(made.get("format"), str):
                made.pop("format", None)
            for part in _listed(found.get("allOf")):
                made = _together(made, self.of(part))
            for word in ("oneOf", "anyOf"):
                variants = [self.of(one) for one in _listed(found.get(word))[:_MOST_VARIANTS]]
                if variants:
                    told = found.get("discriminator")
                    name = told.get("propertyName") if isinstance(told, dict) else told
                    common_name = name if isinstance(name, str) else ""
                    made = _together(made, _decided(variants, common_name))
            if not made["type"]:
                made["type"] = _guessed(made)
        finally:
            self._open.discard(place)
        self._done[place] = made
        self._kept += [found, made]
        return made


def fixed_value(shape: Schema) -> Any:
    """The only value there may be, else None."""
    if "const" in shape:
        return shape["const"]
    choices = shape.get("enum")
    return choices[0] if isinstance(choices, list) and len(choices) == 1 else None


# ------------------------------------------------------------------------------------ one schema


def _kind(found: Schema) -> str:
    told = found.get("type")
    kinds = [one for one in told if one != "null"] if isinstance(told, list) else [told]
    known = [one for one in kinds if one in _KINDS]
    if "string" in known and len(known) > 1:  # a text fits, whatever else does
        return "array" if "array" in known else "string"
    if told == "file":  # Swagger's word
        return "string"
    return str(known[0]) if known else ""


def _guessed(made: Schema) -> str:
    if made["properties"]:
        return "object"
    if "items" in made:
        return "array"
    choices = made.get("enum")
    values = choices if isinstance(choices, list) else [made["const"]] if "const" in made else []
    values = [one for one in values if one is not None]
    if values and all(isinstance(one, bool) for one in values):
        return "boolean"
    if values and all(isinstance(one, int) and not isinstance(one, bool) for one in values):
        return "integer"
    if values and all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        return "number"
    if values or "format" in made or "maxLength" in made or "minLength" in made or "pattern" in made:
        return "string"
    return ""


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return {str(name): one for name, one in list(value.items())[:_MOST_PROPERTIES]}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# ------------------------------------------------------------------------------- several schemas


def _together(one: Schema, other: Schema) -> Schema:
    """Both at once; where they differ, the first is nearer to the field."""
    made = {**other, **{key: value for key, value in one.items() if value not in ("", None)}}
    made["type"] = one["type"] or other["type"]
    made["properties"] = _merged_properties(one["properties"], other.get("properties", {}))
    made["required"] = list(dict.fromkeys([*one["required"], *other.get("required", [])]))
    return made


def _merged_properties(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    made = dict(other)
    for name, schema in one.items():
        before = made.get(name)
        if isinstance(before, dict) and isinstance(schema, dict) and before is not schema:
            made[name] = (
                {"allOf": [schema, before]} if bool(set(before) - {"description", "title"}) else schema
            )
        else:
            made[name] = schema
    return made


def _decided(variants: list[Schema], common: str) -> Schema:
    """One schema for several possibilities."""
    real = [one for one in variants if not _is_nothing(one)] or variants[:1]
    if len(real) == 1:
        return real[0]
    tables = [one for one in real if one["type"] == "object" and one["properties"]]
    if len(tables) == len(real):
        properties: dict[str, Any] = {}
        for table in tables:
            for name, schema in table["properties"].items():
                if name in properties and properties[name] != schema:
                    properties[name] = {"anyOf": [*_several(properties[name]), schema]}
                else:
                    properties[name] = schema
        required = [name for name in tables[0]["required"] if all(name in one["required"] for one in tables)]
        if common in properties and common not in required:
            required.append(common)
        made: Schema = {"type": "object", "properties": properties, "required": required}
        if not required and all(table["required"] for table in tables):
            made["one_of"] = list(dict.fromkeys(table["required"][0] for table in tables))
        return made
    kinds = {one["type"] for one in real}
    if len(kinds) == 1 and all(isinstance(one.get("enum"), list) for one in real):
        choices = list(dict.fromkeys(str(choice) for one in real for choice in one["enum"]))
        return {**real[0], "enum": choices} if kinds == {"string"} else real[0]
    if kinds <= {"string", "integer", "number", "boolean", "array"}:
        return _plainest(real)
    if kinds <= {"string", "object"} and any(one["type"] == "string" for one in real):
        return _plainest([one for one in real if one["type"] == "string"])
    return dict(_ANYTHING)


def _is_nothing(one: Schema) -> bool:
    """`null`, and the empty text by which some services clear a field."""
    told = one.get("type")
    return one.get("enum") in ([""], [None]) or (not told and _only_null(one))


def _only_null(one: Schema) -> bool:
    return not set(one) - {"type", "properties", "required", "title", "description"} and not one["properties"]


def _plainest(real: list[Schema]) -> Schema:
    for kind in ("array", "string", "number", "integer", "boolean"):
        fitting = [one for one in real if one["type"] == kind]
        if not fitting:
            continue
        if len(fitting) == 1:
            return fitting[0]
        free = [one for one in fitting if "enum" not in one and "const" not in one] or fitting
        if all("const" in one for one in fitting):
            return {**fitting[0], "const": None, "enum": [one["const"] for one in fitting]}
        return {key: one for key, one in free[0].items() if key not in ("pattern", "format", "maxLength")}
    return real[0]


def _several(schema: Any) -> Iterable[Any]:
    several = schema.get("anyOf") if isinstance(schema, dict) and set(schema) == {"anyOf"} else None
    return several if isinstance(several, list) else [schema]
