"""The text of flow files: YAML with nothing surprising in it, or JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from app.errors import FlowInvalid

LIMIT_SIZE = 1_000_000


class _Loader(yaml.SafeLoader):
    """Texts stay texts: no dates, no yes/no, no `0o17`; no anchors, no tags, no key twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(
                None, None, "anchors (&) and aliases (*) are not used in flow files", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a name has to be a text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key.value[:60]}' is there twice", key.start_mark
                )
            seen.add(key.value)
        pairs = [(key.value, self.construct_object(value, deep=True)) for key, value in node.value]
        return dict(pairs)


def _construct_map(loader: _Loader, node: Any) -> dict[Any, Any]:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_map)
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]{0,30})", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]{0,30})\.[0-9]{1,30}(?:[eE][-+][0-9]{1,3})?", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)


_ODD = re.compile(
    "[^\\n\\x20-\\x7e\\xa0-\\u2027\\u202a-\\ud7ff\\ue000-\\ufefe\\uff00-\\ufffd\\U00010000-\\U0010ffff]"
)
_UNFIT_FOR_LINES = re.compile(r"[ \t]\n|\A\s|[^\n\x20-\x7e\xa0-\ud7ff]")


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Odd characters are escaped: written as they are, YAML would take some of them for line ends."""
    style = None
    if _ODD.search(text):
        style = '"'
    elif "\n" in text and not _UNFIT_FOR_LINES.search(text):
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def write_text(data: Any) -> str:
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110))


def read_text(text: str, file: str) -> Any:
    if len(text) > LIMIT_SIZE:
        raise FlowInvalid(f"the file is larger than {LIMIT_SIZE // 1000:,} kB.", where=file)
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise FlowInvalid("the file is empty.", where=file)
    try:
        if text.lstrip()[0] in "{[":
            return _read_json(text, file)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with less in it
    except yaml.YAMLError as error:
        raise FlowInvalid(_yaml_words(error), where=_line(file, error)) from None
    except RecursionError:
        raise FlowInvalid("the file is nested too deeply.", where=file) from None
    except ValueError:
        raise FlowInvalid("the file holds a value that cannot be read.", where=file) from None


def _read_json(text: str, file: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise FlowInvalid(
            f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}.",
            where=f"{file}, line {error.lineno}" if file else f"line {error.lineno}",
        ) from None
    except _Unreadable as error:
        raise FlowInvalid(str(error), where=file) from None


class _Unreadable(Exception):
    pass


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Unreadable(f"'{twice[:60]}' is there twice.")
    return found


def _no_constant(name: str) -> Any:
    raise _Unreadable(f"{name} is not a number.")


def _yaml_words(error: yaml.YAMLError) -> str:
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML"
    return f"this cannot be read: {str(reason)[:200]}."


def _line(file: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return file
    return f"{file}, line {mark.line + 1}" if file else f"line {mark.line + 1}"
