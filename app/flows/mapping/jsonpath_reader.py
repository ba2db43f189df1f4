"""Reads the text of a JSONPath: escapes resolved by us, everything not in the grammar refused.

Grammar: `$`, `.name`, `['any key']`, `[0]`, `[-1]`, `[*]`, `.*`, `[1:5]`, `['a','b']`, `[0,2]`,
one `..`, and filters `[?@.price > 10 && @.sku]` that compare single values.  A `.0` typed by hand
means the item of a list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from app.errors import MappingFailed

LIMIT_LENGTH: Final = 256
LIMIT_DEPTH: Final = 32
LIMIT_EFFORT: Final = 24
LIMIT_PARENTHESES: Final = 8


class Each:
    """`[*]`: every item of a list, every value of an object."""

    def __repr__(self) -> str:
        return "[*]"


EACH: Final = Each()


class LooseKey(str):
    """A key written `.0`: on a list it is a position."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Read:
    """`plain`: the steps of a path that needs no engine, else None; `canonical`: for the engine."""

    plain: tuple[str | int | Each, ...] | None
    canonical: str
    effort: int


_BLANK = re.compile(r"[ \t\n\r]*")
_NAME = re.compile(r"(?:[\w@$-]|[^\x00-\x7f])+")
_INTEGER = re.compile(r"-?[1-9]\d{0,14}(?!\d)|0(?!\d)")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?![\w.])")
_SLICE = re.compile(
    r"(?P<start>-?[1-9]\d{0,14}|0)?[ \t\n\r]*:[ \t\n\r]*(?P<end>-?[1-9]\d{0,14}|0)?"
    r"(?:[ \t\n\r]*:[ \t\n\r]*(?P<step>-?[1-9]\d{0,14}|0)?)?"
)
_QUOTED = {
    "'": re.compile(r"'((?:[^'\\\x00-\x1f]|\\.)*)'"),
    '"': re.compile(r'"((?:[^"\\\x00-\x1f]|\\.)*)"'),
}
_ESCAPE = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)")
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\"}
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>")
_FLIPPED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def read(text: str) -> Read:
    if len(text) > LIMIT_LENGTH:
        raise MappingFailed(
            f"A path may have {LIMIT_LENGTH} characters; this one has {len(text)}: '{text[:40]}…'."
        )
    return _Reader(text).path()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.effort = 1
        self.queries = 0
        self.descended = False
        self.plain: list[str | int | Each] | None = []
        self.canonical: list[str] = []

    # ------------------------------------------------------------------------------ reading

    def refuse(self, reason: str, remedy: str = "") -> NoReturn:
        raise MappingFailed(
            f"The path '{self.text}' cannot be read: {reason}.", reference=self.text, remedy=remedy
        )

    def skip(self) -> None:
        match = _BLANK.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def sees(self, token: str) -> bool:
        return self.text.startswith(token, self.at)

    def takes(self, token: str) -> bool:
        if self.sees(token):
            self.at += len(token)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def needs(self, token: str, where: str) -> None:
        self.skip()
        if not self.takes(token):
            self.refuse(f"'{token}' is missing {where}")

    # ----------------------------------------------------------------------------- segments

    def path(self) -> Read:
        if not self.takes("$"):
            self.refuse("it has to begin with $", "Write it like $.customer.email.")
        if self.text[-1] in " \t\n\r":
            self.refuse("it ends with a space")
        self.canonical.append("$")
        while True:
            self.skip()
            if self.at == len(self.text):
                break
            self.segment()
        plain = None if self.plain is None else tuple(self.plain)
        return Read(plain, "".join(self.canonical), self.effort)

    def segment(self) -> None:
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            self.refuse(f"it goes deeper than {LIMIT_DEPTH} levels")
        if self.takes(".."):
            self.descend()
        elif self.takes("."):
            self.shorthand()
        elif self.takes("["):
            self.bracket()
        else:
            self.refuse(
                f"'{self.text[self.at : self.at + 12]}' is not expected here",
                "Put a name with spaces or signs in brackets and quotes: ['my key'].",
            )

    def descend(self) -> None:
        if self.descended:
            self.refuse("'..' may stand in it only once")
        self.descended, self.plain = True, None
        self.canonical.append("..")
        if self.takes("["):
            self.bracket()
        else:
            self.shorthand()

    def shorthand(self) -> None:
        if self.takes("*"):
            self.add(EACH)
            return
        match = self.match(_NAME)
        if not match:
            self.refuse("after a dot a name has to follow")
        name = match.group()
        self.add(LooseKey(name) if name.isdecimal() else name)

    def add(self, segment: str | int | Each) -> None:
        if self.plain is not None:
            self.plain.append(segment)
        self.canonical.append(f"[{_canonical(segment)}]")

    def bracket(self) -> None:
        self.skip()
        if self.takes("?"):
            self.only_engine(self.filter())
        elif (found := self.slice()) is not None:
            self.only_engine(f"[{found}]")
        else:
            self.selectors()
        self.needs("]", "after the brackets' content")

    def weigh(self, factor: int) -> None:
        self.effort *= factor
        if self.effort > LIMIT_EFFORT:
            self.refuse("it looks at too many things at once")

    def only_engine(self, canonical: str) -> None:
        self.plain = None
        self.canonical.append(canonical)

    def slice(self) -> str | None:
        match = _SLICE.match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        if match["step"] == "0":
            self.refuse("a slice's step cannot be 0")
        parts = [match["start"] or "", match["end"] or ""]
        return ":".join(parts + ([match["step"]] if match["step"] else []))

    def selectors(self) -> None:
        found = [self.selector()]
        self.skip()
        while self.takes(","):
            found.append(self.selector())
            self.skip()
        if len(found) == 1:
            self.add(found[0])
            return
        if len({type(one) for one in found}) > 1 or EACH in found:
            self.refuse("a list in brackets holds either names or positions")
        self.weigh(len(found))
        self.only_engine("[" + ",".join(_canonical(one) for one in found) + "]")

    def selector(self) -> str | int | Each:
        self.skip()
        if self.takes("*"):
            return EACH
        if self.sees("'") or self.sees('"'):
            return self.quoted()
        match = self.match(_INTEGER)
        if not match:
            if self.at >= len(self.text):
                self.refuse("a [ is not closed")
            self.refuse(
                f"'{self.text[self.at : self.at + 12]}' cannot stand in brackets",
                "Put names in quotes: ['my key'].",
            )
        return int(match.group())

    def quoted(self) -> str:
        quote = self.text[self.at]
        match = self.match(_QUOTED[quote])
        if not match:
            self.refuse(f"a {quote} is not closed")
        return _ESCAPE.sub(lambda escape: self.unescape(escape.group(1), quote), match.group(1))

    def unescape(self, code: str, quote: str) -> str:
        if code == quote:
            return quote
        if code in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[code]
        if len(code) == 11:
            return _pair(code)
        if len(code) != 5 or 0xD800 <= int(code[1:], 16) <= 0xDFFF:
            self.refuse(f"'\\{code}' is not a known escape")
        return chr(int(code[1:], 16))

    # ------------------------------------------------------------------------------ filters

    def filter(self) -> str:
        self.queries = 0
        inside = self.either(0)
        self.weigh(1 + self.queries)
        return f"[?{inside}]"

    def either(self, level: int) -> str:
        if level > LIMIT_PARENTHESES:
            self.refuse("its filter has too many parentheses")
        parts = [self.both(level)]
        self.skip()
        while self.takes("||"):
            parts.append(self.both(level))
            self.skip()
        return "||".join(parts)

    def both(self, level: int) -> str:
        parts = [self.test(level)]
        self.skip()
        while self.takes("&&"):
            parts.append(self.test(level))
            self.skip()
        return "&&".join(parts)

    def test(self, level: int) -> str:
        self.skip()
        if self.takes("("):
            inside = self.either(level + 1)
            self.needs(")", "in the filter")
            return f"({inside})"
        if self.takes("!"):
            self.skip()
            return "!" + self.query()
        return self.comparison()

    def comparison(self) -> str:
        left, left_is_query = self.operand()
        self.skip()
        match = self.match(_COMPARISON)
        if not match or self.sees("~"):
            if not left_is_query or self.sees("=~"):
                self.refuse("a filter compares a value of the item: ?@.price > 10")
            return left
        self.skip()
        right, right_is_query = self.operand()
        if left_is_query:
            return left + match.group() + right
        if not right_is_query:
            self.refuse("a filter compares a value of the item: ?@.price > 10")
        return right + _FLIPPED[match.group()] + left

    def operand(self) -> tuple[str, bool]:
        if self.sees("@") or self.sees("$"):
            return self.query(), True
        if self.sees("'") or self.sees('"'):
            return _canonical(self.quoted()), False
        for word in ("true", "false", "null"):
            if self.takes(word):
                return word, False
        match = self.match(_NUMBER)
        if not match:
            self.refuse("a filter compares with a text in quotes, a number, true, false or null")
        return match.group(), False

    def query(self) -> str:
        """Only single values, so that a filter costs no more than the items it looks at."""
        if not (self.sees("@") or self.sees("$")):
            self.refuse("in a filter, a path begins with @")
        found = [self.text[self.at]]
        self.queries += 3 if self.sees("$") else 1  # from the root, the engine walks all the way up
        self.at += 1
        while True:
            if self.takes("."):
                match = self.match(_NAME)
                if not match:
                    self.refuse("after a dot a name has to follow")
                found.append(f"[{_canonical(match.group())}]")
            elif self.takes("["):
                segment = self.selector()
                if isinstance(segment, Each):
                    self.refuse("[*] cannot stand in a filter")
                found.append(f"[{_canonical(segment)}]")
                self.needs("]", "in the filter")
            else:
                return "".join(found)


def _pair(code: str) -> str:
    high, low = int(code[1:5], 16), int(code[7:11], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _canonical(segment: str | int | Each) -> str:
    if isinstance(segment, str):
        escaped = segment.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return "*" if isinstance(segment, Each) else str(segment)
