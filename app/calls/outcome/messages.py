"""What a service says went wrong, wherever such messages usually stand in an answer."""

from __future__ import annotations

from typing import Any

LONGEST_MESSAGE = 300
_KEYS = (
    "message",
    "error_description",
    "detail",
    "title",
    "error_message",
    "errorMessage",
    "msg",
    "reason",
)
_HOLDERS = ("error", "errors", "data", "fault", "response", "details")


def message_of(document: Any, depth: int = 0) -> str:
    if isinstance(document, str):
        return " ".join(document.split())[:LONGEST_MESSAGE]
    if isinstance(document, list):
        return message_of(document[0], depth + 1) if document and depth < 4 else ""
    if not isinstance(document, dict) or depth > 4:
        return ""
    for key in _KEYS:
        if isinstance(document.get(key), str) and document[key].strip():
            return message_of(document[key])
    for key in _HOLDERS:
        if document.get(key) and (said := message_of(document[key], depth + 1)):
            return said
    return _first_named(document) if depth else ""


def _first_named(errors: dict[str, Any]) -> str:
    """`{"email": ["is invalid"]}` -> `email: is invalid`."""
    for name, value in errors.items():
        text = value[0] if isinstance(value, list) and value else value
        if isinstance(text, str) and text:
            return f"{name}: {text}"[:LONGEST_MESSAGE]
    return ""
