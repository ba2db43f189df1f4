"""Reads expressions as other tools write them (a part of JavaScript) into a tree; runs nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from app.imports.flows.report import NotCarried

LIMIT_LENGTH = 10_000
LIMIT_DEPTH = 40
LIMIT_TOKENS = 3_000


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    of: Tree
    key: Tree


@dataclass(frozen=True, slots=True)
class Call:
    of: Tree
    args: tuple[Tree, ...]
    new: bool = False


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    of: Tree


@dataclass(frozen=True, slots=True)
class Binary:
    sign: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class Choice:
    test: Tree
    yes: Tree
    no: Tree


@dataclass(frozen=True, slots=True)
class Text:
    """A template literal: texts and trees in turn."""

    parts: tuple[str | Tree, ...]


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    pairs: tuple[tuple[str, Tree], ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    params: tuple[str, ...]
    body: Tree


@dataclass(frozen=True, slots=True)
class Pattern:
    source: str
    flags: str


Tree = Literal | Name | Member | Call | Unary | Binary | Choice | Text | Items | Pairs | Arrow | Pattern


# ------------------------------------------------------------------------------------- words

_WORDS = re.compile(
    r"(?P<blank>\s+|//[^\n]*|/\*.*?\*/)"
    r"|(?P<number>(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<name>[^\W\d][\w$]*|\$[\w$]*)"
    r"|(?P<text>'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")"
    r"|(?P<sign>===|!==|=>|\.\.\.|\?\?|\?\.(?!\d)|&&|\|\||==|!=|<=|>=|\*\*|[-+*/%<>!?:.,;=()\[\]{}])",
    re.DOTALL,
)
_PATTERN = re.compile(r"/((?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+)/([a-z]*)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0", "v": "\v"}
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    kind: str
    text: str
    parts: tuple[str | Tree, ...] = ()


def _plain(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] in "ux" and len(code) > 1:
            number = int(code.strip("ux{}"), 16)
            return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "\ufffd"
        return "" if code == "\n" else _ESCAPES.get(code, code)

    return _ESCAPE.sub(one, text)


def _words(text: str, depth: int) -> Iterator[Word]:
    at, before = 0, ""
    while at < len(text):
        if text[at] == "`":
            parts, at = _template(text, at + 1, depth)
            yield Word("template", "`", parts)
            before = "`"
            continue
        if text[at] == "/" and (match := _PATTERN.match(text, at)) and _may_begin(before):
            yield Word("pattern", match.group(1), (match.group(2),))
            at, before = match.end(), "/"
            continue
        match = _WORDS.match(text, at)
        if match is None:
            raise NotCarried(f"'{text[at : at + 12]}' in it cannot be read.")
        at = match.end()
        kind = str(match.lastgroup)
        if kind != "blank":
            before = match.group()
            yield Word(kind, before)


def _may_begin(before: str) -> bool:
    """After these a slash begins a pattern; after a value it divides."""
    return before == "" or before in "([{,:?!&&||=>=<+-*%" or before == "return"


def _template(text: str, at: int, depth: int) -> tuple[tuple[str | Tree, ...], int]:
    parts: list[str | Tree] = []
    begin = at
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == "`":
            parts.append(_plain(text[begin:at]))
            return tuple(parts), at + 1
        elif text.startswith("${", at):
            end = _closing(text, at + 2, len(text))
            if end < 0:
                break
            parts += [_plain(text[begin:at]), _read(text[at + 2 : end], depth + 1)]
            at = begin = end + 1
        else:
            at += 1
    raise NotCarried("A text in it is not closed.")


def _closing(text: str, at: int, until: int) -> int:
    """The brace that ends what begins here; braces in quotes do not count.  -1: there is none."""
    depth, quote = 0, ""
    until = min(until, len(text))
    while at < until:
        char = text[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"`":
            quote = char
        elif char == "{":
            depth += 1
        elif char == "}":
            if depth == 0:
                return at
            depth -= 1
        at += 1
    return -1


# ------------------------------------------------------------------------------------- trees


def read_expression(text: str) -> Tree:
    """Raises NotCarried with the reason."""
    if len(text) > LIMIT_LENGTH:
        raise NotCarried(f"It has {len(text):,} characters; that is a program, not a value.")
    return _read(text, 0)


def _read(text: str, depth: int) -> Tree:
    if depth > LIMIT_DEPTH:
        raise NotCarried("It is nested too deeply.")
    words = list(_words(text.strip().rstrip(";"), depth))
    if not words:
        raise NotCarried("There is nothing in it.")
    if len(words) > LIMIT_TOKENS:
        raise NotCarried("It is too long.")
    reader = _Reader(words, depth)
    tree = reader.choice()
    reader.at_end()
    return tree


_LEVELS = (
    ("??", "||"),
    ("&&",),
    ("===", "!==", "==", "!="),
    ("<", ">", "<=", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
_STATEMENTS = frozenset(
    ("function", "const", "let", "var", "return", "for", "while", "await", "async", "if", "throw", "class")
)
_CONSTANTS = {"true": True, "false": False, "null": None, "undefined": None}


class _Reader:
    def __init__(self, words: list[Word], depth: int) -> None:
        self.words = words
        self.index = 0
        self.depth = depth

    def peek(self, offset: int = 0) -> Word:
        at = self.index + offset
        return self.words[at] if at < len(self.words) else Word("end", "")

    def take(self, text: str) -> bool:
        word = self.peek()
        if word.kind == "sign" and word.text == text:
            self.index += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.take(text):
            self.refuse()

    def refuse(self) -> NoReturn:
        found = self.peek().text
        raise NotCarried(f"'{found[:20]}' is not expected there." if found else "It ends too early.")

    def at_end(self) -> None:
        if self.peek().kind != "end":
            self.refuse()

    # ----------------------------------------------------------------------------- operators

    def choice(self) -> Tree:
        self.depth += 1
        if self.depth > LIMIT_DEPTH:
            raise NotCarried("It is nested too deeply.")
        tree = self.binary(0)
        if self.take("?"):
            yes = self.choice()
            self.need(":")
            tree = Choice(tree, yes, self.choice())
        self.depth -= 1
        return tree

    def binary(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self.unary()
        tree = self.binary(level + 1)
        while self.peek().kind == "sign" and self.peek().text in _LEVELS[level]:
            sign = self.peek().text
            self.index += 1
            tree = Binary(sign, tree, self.binary(level + 1))
        return tree

    def unary(self) -> Tree:
        signs: list[str] = []
        while self.peek().kind == "sign" and self.peek().text in ("!", "-", "+"):
            signs.append(self.peek().text)
            self.index += 1
        if len(signs) > LIMIT_DEPTH:
            raise NotCarried("It is nested too deeply.")
        tree = self.postfix()
        for sign in reversed(signs):
            tree = Unary(sign, tree)
        return tree

    def postfix(self) -> Tree:
        tree = self.made() if self.peek() == Word("name", "new") else self.primary()
        for _ in range(200):
            if self.take("."):
                tree = Member(tree, Literal(self.property()))
            elif self.take("?."):
                tree = self.optional(tree)
            elif self.take("["):
                tree = Member(tree, self.choice())
                self.need("]")
            elif self.take("("):
                tree = Call(tree, self.listed(")"))
            else:
                return tree
        raise NotCarried("It is too long.")

    def made(self) -> Tree:
        """`new Date(x)`; what stands behind it works on what was made."""
        self.index += 1
        tree = self.primary()
        while self.take("."):
            tree = Member(tree, Literal(self.property()))
        return Call(tree, self.listed(")") if self.take("(") else (), new=True)

    def optional(self, tree: Tree) -> Tree:
        if self.take("["):
            key = self.choice()
            self.need("]")
            return Member(tree, key)
        if self.take("("):
            return Call(tree, self.listed(")"))
        return Member(tree, Literal(self.property()))

    def property(self) -> str:
        word = self.peek()
        if word.kind != "name":
            self.refuse()
        self.index += 1
        return word.text

    def listed(self, end: str) -> tuple[Tree, ...]:
        found: list[Tree] = []
        while not self.take(end):
            if self.take("..."):
                raise NotCarried("It spreads a list into another one.")
            found.append(self.choice())
            if not self.take(","):
                self.need(end)
                break
        return tuple(found)

    # -------------------------------------------------------------------------------- values

    def primary(self) -> Tree:
        word = self.peek()
        if word.kind == "name":
            return self.named(word)
        if word.kind == "sign":
            return self.bracketed()
        if word.kind == "end":
            self.refuse()
        self.index += 1
        if word.kind == "number":
            number = float(word.text)
            if number > 1e15:
                raise NotCarried("A number in it is too large.")
            return Literal(number)
        if word.kind == "text":
            return Literal(_plain(word.text[1:-1]))
        if word.kind == "template":
            return Text(word.parts)
        return Pattern(word.text, str(word.parts[0]))

    def named(self, word: Word) -> Tree:
        if self.peek(1) == Word("sign", "=>"):
            self.index += 2
            return Arrow((word.text,), self.body())
        if word.text in _STATEMENTS:
            raise NotCarried("It is a program, not a value.")
        self.index += 1
        return Literal(_CONSTANTS[word.text]) if word.text in _CONSTANTS else Name(word.text)

    def bracketed(self) -> Tree:
        if self.take("["):
            return Items(self.listed("]"))
        if self.take("{"):
            return Pairs(tuple(self.pairs()))
        if not self.take("("):
            self.refuse()
        if (params := self.arrow_params()) is not None:
            return Arrow(params, self.body())
        tree = self.choice()
        self.need(")")
        return tree

    def arrow_params(self) -> tuple[str, ...] | None:
        """`a, b) =>`; None if that is not what stands there."""
        names, offset = [], 0
        while self.peek(offset).kind == "name":
            names.append(self.peek(offset).text)
            offset += 1 + (self.peek(offset + 1) == Word("sign", ","))
        if self.peek(offset) == Word("sign", ")") and self.peek(offset + 1) == Word("sign", "=>"):
            self.index += offset + 2
            return tuple(names)
        return None

    def body(self) -> Tree:
        if self.peek() == Word("sign", "{"):
            raise NotCarried("It is a program, not a value.")
        return self.choice()

    def pairs(self) -> Iterator[tuple[str, Tree]]:
        while not self.take("}"):
            word = self.peek()
            if word.kind not in ("name", "text", "number"):
                self.refuse()
            self.index += 1
            key = _plain(word.text[1:-1]) if word.kind == "text" else word.text
            yield key, self.choice() if self.take(":") else Name(key)
            if not self.take(","):
                self.need("}")
                return


# ------------------------------------------------------------------------- texts with blocks


def split_blocks(text: str) -> list[str | tuple[str]]:
    """A text with `{{ … }}` in it: plain pieces, and what stands between braces as a tuple of one."""
    found: list[str | tuple[str]] = []
    at, effort = 0, 4 * len(text) + 1000
    while (begin := text.find("{{", at)) >= 0:
        end, effort = _end_of_block(text, begin + 2, effort)
        if end < 0:
            break
        if text[at:begin]:
            found.append(text[at:begin])
        found.append((text[begin + 2 : end],))
        at = end + 2
    if text[at:]:
        found.append(text[at:])
    return found


def _end_of_block(text: str, at: int, effort: int) -> tuple[int, int]:
    """Braces inside count, as far as they close; else the first two that come.  `effort`: how many
    characters may still be looked at more than once, so that no text can make this slow."""
    first = text.find("}}", at)
    if first < 0 or (text.find("{", at, first) < 0 and not set("'\"`") & set(text[at:first])):
        return first, effort
    end = _closing(text, at, min(at + LIMIT_LENGTH, at + effort))
    effort -= (end if end >= 0 else min(at + LIMIT_LENGTH, len(text))) - at
    return (end if end >= 0 and text.startswith("}}", end) else first), max(effort, 0)
