"""Reads structured fields (RFC 9651) as far as rate limits need them: lists of items with parameters.

Strict, as the standard asks: a field with one mistake in it says nothing at all."""

from __future__ import annotations

import re
from typing import NamedTuple

_LONGEST = 2000
_KEY = r"[a-z*][a-z0-9_.*-]*"
_BARE = (
    r'"(?:[ !#-\[\]-~]|\\["\\])*"'  # a string
    r"|-?[0-9]{1,15}(?:\.[0-9]{1,3})?(?![0-9.])"
    r"|:[A-Za-z0-9+/=]*:|\?[01]"
    r"|[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*"  # a token
)
_PARAMETER = re.compile(rf";[ ]*({_KEY})(?:=({_BARE}))?")
_MEMBER = re.compile(rf"(?:({_KEY})=)?({_BARE})((?:;[ ]*{_KEY}(?:=(?:{_BARE}))?)*)")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_WHOLE = re.compile(r"-?[0-9]{1,15}")


class Member(NamedTuple):
    """`key` is '' in a list; in a dictionary it names the member.  Values as they are written."""

    key: str
    value: str
    parameters: dict[str, str]

    @property
    def name(self) -> str:
        return self.value.strip('"')

    def number(self, parameter: str) -> int | None:
        """A whole number that is not negative."""
        return whole(self.parameters.get(parameter, ""))


def whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) and not text.startswith("-") else None


def members(text: str) -> list[Member]:
    """[] for one that is empty, too long or not well-formed."""
    text = text.strip(" ")
    if len(text) > _LONGEST:
        return []
    found: list[Member] = []
    at = 0
    while at < len(text):
        if found:
            comma = _COMMA.match(text, at)
            if comma is None:
                return []
            at = comma.end()
        member = _MEMBER.match(text, at)
        if member is None:
            return []
        said = {one[1]: one[2] or "?1" for one in _PARAMETER.finditer(member[3])}
        found.append(Member(member[1] or "", member[2], said))
        at = member.end()
    return found
