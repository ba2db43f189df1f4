"""What is wrong with a connector file, as a place and a sentence."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from app.flows.validation_words import first_error


def complaint(error: ValidationError, data: Any, kind: type[BaseModel]) -> tuple[str, str]:
    """(place, sentence); a check of our own says it better than the type does."""
    for found in error.errors(include_url=False):
        if found["type"] == "value_error":
            place = ".".join(str(key) for key in found["loc"])
            return place, f"{found['ctx']['error']}."
    for found in error.errors(include_url=False):
        if found["type"] == "string_pattern_mismatch":
            place = ".".join(str(key) for key in found["loc"])
            return place, f"'{str(found['input'])[:60]}' does not look like {found['ctx']['pattern']}."
    return first_error(error, data, kind)
