"""Expressions of Make: `1.email`, `lower(1.name)`, `formatDate(now; "YYYY-MM-DD")`, as our values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from app.imports.flows.expressions import dates
from app.imports.flows.expressions.meaning import Filled, calculated
from app.imports.flows.places import Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.values import EACH, Joined, Key, Ref, Value, as_text

LIMIT_LENGTH = 10_000
LIMIT_DEPTH = 30
_WORDS = re.compile(
    r"\s+"
    r"|(?P<part>\d+)\.(?=[^\W\d]|`|__)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\")"
    r"|`(?P<quoted>[^`]*)`"
    r"|(?P<name>[^\W\d][\w$]*(?:[ -](?=[\w]+[.\])};]))?)"
    r"|(?P<sign><=|>=|!=|[-+*/%=<>&|().;\[\]{},])",
    re.DOTALL,
)
_WORD_VALUES: dict[str, Value] = {
    "emptystring": "", "space": " ", "newline": "\n", "tab": "\t", "null": None, "nil": None,
    "true": True, "false": False, "carriagereturn": "\r",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Word:
    kind: str
    text: str


def translate(text: str, seen: Seen) -> Filled:
    """One expression, without its braces.  Raises NotCarried."""
    if len(text) > LIMIT_LENGTH:
        raise NotCarried(f"It has {len(text):,} characters; that is a program, not a value.")
    reader = _Reader(list(_words(text)), seen)
    found = reader.sum()
    reader.at_end()
    return found if isinstance(found, Filled) else Filled(found)


def _words(text: str) -> list[_Word]:
    found, at = [], 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise NotCarried(f"'{text[at : at + 12]}' in it cannot be read.")
        at = match.end()
        if match.lastgroup:
            found.append(_Word(match.lastgroup, match.group(match.lastgroup)))
    if not found:
        raise NotCarried("There is nothing in it.")
    return found


Found = Value | Filled


class _Reader:
    def __init__(self, words: list[_Word], seen: Seen) -> None:
        self.words = words
        self.seen = seen
        self.at = 0
        self.depth = 0

    def peek(self) -> _Word:
        return self.words[self.at] if self.at < len(self.words) else _Word("end", "")

    def take(self, sign: str) -> bool:
        if self.peek() == _Word("sign", sign):
            self.at += 1
            return True
        return False

    def need(self, sign: str) -> None:
        if not self.take(sign):
            self.refuse()

    def refuse(self) -> NoReturn:
        word = self.peek().text
        raise NotCarried(f"'{word[:20]}' is not expected there." if word else "It ends too early.")

    def at_end(self) -> None:
        if self.peek().kind == "sign" and self.peek().text in "=<>!=<=>=&|":
            raise NotCarried("It compares; here a filter or paths do that.")
        if self.peek().kind != "end":
            self.refuse()

    # ------------------------------------------------------------------------------ values

    def sum(self) -> Found:
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            raise NotCarried("It is nested too deeply.")
        found = self.product()
        while self.peek().kind == "sign" and self.peek().text in "+-":
            sign = self.peek().text
            self.at += 1
            found = calculated(sign, _plain(found), _plain(self.product()))
        self.depth -= 1
        return found

    def product(self) -> Found:
        found = self.value()
        while self.peek().kind == "sign" and self.peek().text in "*/":
            sign = self.peek().text
            self.at += 1
            found = calculated(sign, _plain(found), _plain(self.value()))
        return found

    def value(self) -> Found:
        word = self.peek()
        self.at += 1
        match word.kind:
            case "part":
                return self.reference(word.text)
            case "number":
                return float(word.text) if "." in word.text else int(word.text)
            case "text":
                return re.sub(r"\\(.)", r"\1", word.text[1:-1], flags=re.DOTALL)
            case "name" | "quoted":
                return self.named(word.text)
            case "sign" if word.text == "-":
                return calculated("*", _plain(self.value()), -1)
        self.at -= 1
        self.need("(")
        found = self.sum()
        self.need(")")
        return found

    def named(self, name: str) -> Found:
        if self.take("("):
            if name == "if":
                return self.choice()
            args: list[Found] = []
            while not self.take(")"):
                args.append("" if self.peek().text == ";" else self.sum())
                if not self.take(";"):
                    self.need(")")
                    break
            return self.call(name, args)
        if name == "now":
            return dates.NOW.as_value()
        if name == "timestamp":
            return dates.NOW.method("toSeconds", [])  # type: ignore[no-any-return]
        if name.lower() in _WORD_VALUES:
            return _WORD_VALUES[name.lower()]
        if name == "executionId":
            return Ref("run", ("id",))
        raise NotCarried(f"'{name[:40]}' is not known here.")

    def choice(self) -> Found:
        """`if(test; yes; no)`, where the test is a value or compares one with a text."""
        value, wanted, sign = _plain(self.sum()), None, ""
        if self.peek().text in ("=", "!="):
            sign = self.peek().text
            self.at += 1
            wanted = _plain(self.sum())
        self.need(";")
        yes = _plain(self.sum())
        no = _plain(self.sum()) if self.take(";") else ""
        self.need(")")
        if not isinstance(value, Ref) or any(isinstance(one, Ref | Joined) for one in (wanted, yes, no)):
            raise NotCarried("Which of two values it takes depends on the data; use paths for that.")
        if not sign:
            return _if(value, [yes, no])
        yes, no = (yes, no) if sign == "=" else (no, yes)
        return _switch(value, [wanted, yes, no]).through("default", as_text(no))  # type: ignore[arg-type]

    def reference(self, part: str) -> Ref:
        keys: list[Key] = []
        while True:
            word = self.peek()
            if word.kind in ("name", "quoted", "number", "part"):
                self.at += 1
                keys.append(word.text)
                if word.kind == "part":
                    continue
            if self.take("["):
                keys.append(self.index())
            elif self.take("."):
                continue
            elif word.kind not in ("name", "quoted", "number"):
                break
            if self.peek() not in (_Word("sign", "."), _Word("sign", "[")):
                break
        return self.seen.of(part).find(tuple(keys))

    def index(self) -> int:
        """`[]` and `[1]` are the first item."""
        word = self.peek()
        if word.kind == "number":
            self.at += 1
            self.need("]")
            return max(int(float(word.text)) - 1, 0)
        self.need("]")
        return 0

    # --------------------------------------------------------------------------- functions

    def call(self, name: str, args: list[Found]) -> Found:
        if name in ("ifempty", "ifEmpty") and len(args) == 2:
            value = _plain(args[0])
            other = _plain(args[1])
            if not isinstance(value, Ref | Joined):
                return value if value not in (None, "") else other
            if isinstance(other, Ref | Joined):
                return Filled(value, other)
            return value.through("default", as_text(other)) if isinstance(value, Ref) else value
        known = _FUNCTIONS.get(name)
        if known is None:
            raise NotCarried(f"There is no function like '{name[:40]}' here.")
        if not args:
            raise NotCarried("The function is told nothing.")
        first = _plain(args[0])
        if isinstance(first, Joined):
            raise NotCarried(
                "A function works on a text that is put together; set that text in a step before."
            )
        if not isinstance(first, Ref):
            first = Ref("run", ("nothing",)).through("default", as_text(first))
        return known(first, [_plain(arg) for arg in args[1:]])


def _plain(found: Found) -> Value:
    if isinstance(found, Filled):
        raise NotCarried("It goes on with a value that has a stand-in.")
    return found


def _fixed(args: list[Value], index: int, default: str = "") -> str:
    if index >= len(args):
        return default
    value = args[index]
    if isinstance(value, Ref | Joined):
        raise NotCarried("What the function is told depends on the data.")
    return as_text(value)


Function = Callable[[Ref, list[Value]], Value]


def _through(name: str, *given: str) -> Function:
    return lambda value, args: value.through(name, *given)


def _told(name: str, default: str = "") -> Function:
    return lambda value, args: value.through(name, _fixed(args, 0, default))


def _replace(value: Ref, args: list[Value]) -> Value:
    wanted = _fixed(args, 0)
    if wanted.startswith("/") and len(wanted) > 1:
        raise NotCarried("It replaces by a pattern.")
    return value.through("replace", wanted, _fixed(args, 1))


def _substring(value: Ref, args: list[Value]) -> Value:
    begin, end = _number(_fixed(args, 0, "0")), _fixed(args, 1)
    length = (str(max(_number(end) - begin, 0)),) if end else ()
    return value.through("substring", str(begin + 1), *length)


def _number(text: str) -> int:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise NotCarried("It counts with something that is not a number.") from None


def _map(value: Ref, args: list[Value]) -> Value:
    if len(args) != 1:
        raise NotCarried("It picks items of a list by a condition.")
    return value.down(EACH, *_fixed(args, 0).split("."))


def _get(value: Ref, args: list[Value]) -> Value:
    wanted = _fixed(args, 0)
    if wanted.isdigit():
        return value.through("pick", wanted) if value.uses else value.down(max(int(wanted) - 1, 0))
    return value.down(*wanted.split("."))


def _format_date(value: Ref, args: list[Value]) -> Value:
    moment = dates.from_value(value)
    if zone := _fixed(args, 1):
        moment = moment.in_zone(zone)
    return moment.method("format", [_fixed(args, 0)])  # type: ignore[no-any-return]


def _shift(unit: str) -> Function:
    def apply(value: Ref, args: list[Value]) -> Value:
        amount = _fixed(args, 0, "0")
        return dates.from_value(value).shifted([_number(amount), unit], 1).as_value()

    return apply


def _if(value: Ref, args: list[Value]) -> Value:
    yes, no = _fixed(args, 0), _fixed(args, 1)
    return value.through("default", "false").through("yes_no", yes, no)


_FUNCTIONS: dict[str, Function] = {
    "lower": _through("lower"), "upper": _through("upper"), "trim": _through("trim"),
    "capitalize": _through("capitalize"), "startcase": _through("title"), "length": _through("length"),
    "toString": _through("text"), "toNumber": _through("number"), "parseNumber": _through("number"),
    "first": _through("first"), "last": _through("last"), "distinct": _through("unique"),
    "deduplicate": _through("unique"), "sum": _through("sum"), "max": _through("max"), "min": _through("min"),
    "round": lambda value, args: value.through("round", _fixed(args, 0, "0")),
    "encodeURL": _through("url_encode"), "base64": _through("base64"), "md5": _through("md5"),
    "sha256": _through("sha256"), "stripHTML": _through("strip_html"), "join": _told("join", ","),
    "split": _told("split", ","), "replace": _replace, "substring": _substring, "map": _map, "get": _get,
    "formatDate": _format_date, "parseDate": lambda value, args: value,
    "addSeconds": _shift("seconds"), "addMinutes": _shift("minutes"), "addHours": _shift("hours"),
    "addDays": _shift("days"), "addMonths": _shift("months"), "addYears": _shift("years"),
    "toArray": lambda value, args: value, "flatten": lambda value, args: value,
    "not": _through("not"), "switch": lambda value, args: _switch(value, args),
}  # fmt: skip


def _switch(value: Ref, args: list[Value]) -> Ref:
    """`switch(value; a; A; b; B; else)` is a table."""
    texts = [_fixed(args, index) for index in range(len(args))]
    if any(set(text) & set("=;\n") for text in texts):
        raise NotCarried("It compares with a text that a table here cannot hold.")
    pairs = [f"{key}={word}" for key, word in zip(texts[::2], texts[1::2], strict=False)]
    last = [f"*={texts[-1]}"] if len(texts) % 2 else []
    return value.through("lookup", ";".join([*pairs, *last]))
