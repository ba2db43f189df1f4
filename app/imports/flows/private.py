"""Keys and passwords that somebody wrote into a setting: they stay behind, by the name they go by."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from app.flows.model import Mapping, NamedMapping

if TYPE_CHECKING:
    from app.imports.flows.settings import Settings

_WORDS = (
    *("auth", "authorization", "api[-_ ]?key", "access[-_ ]?key", "private[-_ ]?key", "secret", "appid"),
    *("token", "(?:access|auth|bearer|refresh|api)[-_ ]?token", "password", "passwd", "pwd"),
)
_NAMES = re.compile(rf"(?i)(?:^|[^a-z])(?:{'|'.join(_WORDS)})(?:$|[^a-z])|[-_]key$")
_IN_ADDRESS = re.compile(
    r"(?i)([?&](?:api_?key|key|token|access_token|appid|secret|password|auth)=)([^&#{}\s]{4,})"
)
_IN_TEXT = re.compile(r"(?i)(bearer\s+|\bsk-|\bpk-|\bxox[abp]-|\bghp_|\bAIza)[\w.\-]{8,}")
_REASON = "It may be a key or a password; those are not brought along. Make a connection, or enter it anew."


def is_private(name: str, value: str) -> bool:
    """Data are no secret, and neither is nothing."""
    return bool(value.strip()) and "{{" not in value and _NAMES.search(name) is not None


def without_private(settings: Settings, rows: list[NamedMapping], what: str) -> list[NamedMapping]:
    return [_row(settings, row, what) for row in rows]


def _row(settings: Settings, row: NamedMapping, what: str) -> NamedMapping:
    if not is_private(row.name, row.mapping.value):
        return row
    settings.leave_out(f"the {what} '{row.name}'", _REASON)
    return row.model_copy(update={"mapping": Mapping()})


def address_without(settings: Settings, mapping: Mapping) -> Mapping:
    text = _IN_ADDRESS.sub(r"\1", mapping.value)
    if text == mapping.value:
        return mapping
    settings.leave_out("a key in the address", _REASON)
    return mapping.model_copy(update={"value": text})


def json_without(settings: Settings, text: str) -> str:
    """A body whose fields are looked through; what is no JSON stays as it is."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    found: list[str] = []
    clean = _cleaned(document, found)
    for name in found[:20]:
        settings.leave_out(f"the field '{name}'", _REASON)
    return json.dumps(clean, ensure_ascii=False, indent=2) if found else text


def _cleaned(value: Any, found: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _cleaned_field(str(key), inner, found) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cleaned(inner, found) for inner in value]
    return value


def _cleaned_field(key: str, value: Any, found: list[str]) -> Any:
    if isinstance(value, str) and is_private(key, value):
        found.append(key)
        return ""
    return _cleaned(value, found)


def text_without(text: str) -> str:
    return _IN_TEXT.sub(r"\1…", text)
