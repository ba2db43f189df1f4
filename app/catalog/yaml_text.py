"""YAML without its traps: no dates, no yes/no, no octal or base-60 numbers, no key given twice, no
anchors, no tags."""

from __future__ import annotations

import re
from typing import Any

import yaml

from app.errors import ConnectorInvalid

MOST_BYTES = 256 * 1024
_DEEPEST = 40
_WORDS = {
    "tag:yaml.org,2002:null": (r"^(?:~|null|)$", ["~", "n", ""]),
    "tag:yaml.org,2002:bool": (r"^(?:true|false)$", list("tf")),
    "tag:yaml.org,2002:int": (r"^-?(?:0|[1-9][0-9]{0,17})$", list("-0123456789")),
    "tag:yaml.org,2002:float": (r"^-?(?:0|[1-9][0-9]{0,17})\.[0-9]+$", list("-0123456789")),
}


class Trap(Exception):
    """`line` counts from 1."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(sentence)
        self.line = line
        self.sentence = sentence


class Loader(yaml.CSafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Trap(line, "a name has to be a plain text.")
            if key.value in seen:
                raise Trap(line, f"'{key.value}' is given twice.")
            seen.add(key.value)
        return {str(key.value): self.construct_object(value, deep=deep) for key, value in node.value}


Loader.yaml_implicit_resolvers = {}
for _tag, (_pattern, _starts) in _WORDS.items():
    Loader.add_implicit_resolver(_tag, re.compile(_pattern), _starts)


def read_yaml(text: str, file: str) -> Any:
    """Raises ConnectorInvalid that names the file, the line and what is wrong there."""
    if len(text.encode("utf-8", "replace")) > MOST_BYTES:
        raise ConnectorInvalid(f"the file is larger than {MOST_BYTES // 1024} KB.", file=file)
    try:
        _refuse_special(text)
        return yaml.load(text, Loader)  # noqa: S506 - a SafeLoader
    except Trap as trap:
        raise ConnectorInvalid(trap.sentence, file=file, field=f"line {trap.line}") from trap
    except yaml.MarkedYAMLError as reason:
        mark = reason.problem_mark or reason.context_mark
        place = f"line {mark.line + 1}" if mark is not None else ""
        words = reason.problem or reason.context or "this is not YAML"
        raise ConnectorInvalid(f"{words}.", file=file, field=place) from reason
    except (yaml.YAMLError, RecursionError, ValueError) as reason:
        raise ConnectorInvalid(f"this cannot be read as YAML: {str(reason)[:200]}.", file=file) from reason


def _refuse_special(text: str) -> None:
    """Looked at before anything is built: the parser dies of a text nested thousands deep."""
    depth = 0
    for event in yaml.parse(text, yaml.CSafeLoader):
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise Trap(line, "this is nested too deeply.")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Trap(line, "anchors and aliases (& and *) are not read here; write the value out.")
        if tag := getattr(event, "tag", None):
            raise Trap(line, f"the tag {tag} is not read here; write the plain value.")
