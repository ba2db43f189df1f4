"""What is wrong with a connector file, as a place and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from app.flows.near import nearest_hint
from app.flows.portable.validation_words import first_error


def complaint(error: ValidationError, data: Any, kind: type[BaseModel]) -> tuple[str, str]:
    """(place, sentence): an unknown name first, since it is often the cause of what is missing; then
    our own checks, which say it better than the types do."""
    found = error.errors(include_url=False)
    for kind_of_error in ("extra_forbidden", "value_error", "string_pattern_mismatch"):
        for one in found:
            if one["type"] == kind_of_error:
                return ".".join(str(key) for key in one["loc"]), _sentence(one, kind)
    return first_error(error, data, kind)


def _sentence(found: Any, kind: type[BaseModel]) -> str:
    if found["type"] == "value_error":
        return f"{found['ctx']['error']}."
    if found["type"] == "string_pattern_mismatch":
        return f"'{str(found['input'])[:60]}' does not look like {found['ctx']['pattern']}."
    name = str(found["loc"][-1])
    hint = nearest_hint(name, _names(kind, found["loc"]), "There is")
    return f"'{name[:60]}' is not known here. {hint}".rstrip()


def _names(kind: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """What may stand where an unknown name was met."""
    here = [kind]
    for key in location[:-1]:
        inner = [
            m
            for one in here
            if key in one.model_fields
            for m in _models(one.model_fields[str(key)].annotation)
        ]
        here = inner or here
    return sorted({name for one in here for name in one.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
