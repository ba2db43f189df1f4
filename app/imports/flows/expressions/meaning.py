"""What an expression means here: a reference with functions, a text, or a reason why nothing does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from app.imports.flows.expressions import dates
from app.imports.flows.expressions.methods import apply_method, global_function
from app.imports.flows.expressions.reader import (
    Arrow,
    Binary,
    Call,
    Choice,
    Items,
    Literal,
    Member,
    Name,
    Pairs,
    Text,
    Tree,
    Unary,
    read_expression,
)
from app.imports.flows.places import Place, Plain, Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.values import EACH, NOTHING, Joined, Key, Ref, Value, as_text, joined, written


@dataclass(frozen=True, slots=True)
class Filled:
    """What a field gets.  `default`: what stands there when nothing is found."""

    value: Value
    default: Value = None


class _Node:
    """`$('X')`, `$node["X"]`, `$input`: not a value yet."""

    def __init__(self, place: Place, settings: Any = None) -> None:
        self.place = place
        self.settings = settings


class _Data:
    """A place, and how far into it an expression has gone."""

    def __init__(self, place: Place, keys: tuple[Key, ...] = ()) -> None:
        self.place = place
        self.keys = keys

    def down(self, key: Key) -> _Data:
        return _Data(self.place, (*self.keys, key))

    @property
    def ref(self) -> Ref:
        return self.place.find(self.keys)


class _Fixed:
    """A setting of another part: known already."""

    def __init__(self, value: Any) -> None:
        self.value = value


Found = Value | _Node | _Data | _Fixed | Filled | dates.Moment


def translate(text: str, seen: Seen) -> Filled:
    """One expression, without its braces.  Raises NotCarried."""
    found = Translator(seen).of(read_expression(text))
    return found if isinstance(found, Filled) else Filled(settled(found))


def settled(found: Found) -> Value:
    if isinstance(found, _Data):
        return found.ref
    if isinstance(found, dates.Moment):
        return found.as_value()
    if isinstance(found, _Fixed):
        if isinstance(found.value, str | int | float | bool) or found.value is None:
            return found.value
        raise NotCarried("It takes a whole setting of another step.")
    if isinstance(found, _Node):
        raise NotCarried("It takes a step as such, not a value of it.")
    if isinstance(found, Filled):
        raise NotCarried("It goes on with a value that has a stand-in.")
    return found


class Translator:
    def __init__(self, seen: Seen, names: dict[str, Found] | None = None) -> None:
        self.seen = seen
        self.names = names or {}

    def value(self, tree: Tree) -> Value:
        return settled(self.of(tree))

    def of(self, tree: Tree) -> Found:
        match tree:
            case Literal(value):
                return value
            case Name(name):
                return self.name(name)
            case Member(of, key):
                return self.member(self.of(of), key)
            case Call():
                return self.call(tree)
            case Text(parts):
                return joined([part if isinstance(part, str) else self.value(part) for part in parts])
            case Unary(sign, of):
                return self.unary(sign, self.value(of))
            case Binary(sign, left, right):
                return self.binary(sign, left, right)
            case Choice():
                return self.choice(tree)
            case Items() | Pairs():
                return fixed_json(tree, self)
            case _:
                raise NotCarried("It is a program, not a value.")

    # ------------------------------------------------------------------------------- names

    def name(self, name: str) -> Found:
        if name in self.names:
            return self.names[name]
        match name:
            case "$json" | "$data":
                return _Data(self.seen.current)
            case "$input" | "$prevNode":
                return _Node(self.seen.current)
            case "$node":
                return _Fixed(self.seen)
            case "$now":
                return dates.NOW
            case "$today":
                return dates.TODAY
            case "$itemIndex" | "$runIndex":
                return self.seen.index or 0
            case "$execution":
                return _Data(Plain(Ref("run")))
            case "$workflow":
                return _Fixed({"name": Ref("run", ("flow",)), "id": Ref("run", ("flow",))})
            case "$binary":
                raise NotCarried("It is about a file; files are not passed from step to step here.")
            case "$env" | "$vars" | "$secrets":
                raise NotCarried("It reads a variable of the other installation; write its value here.")
        raise NotCarried(f"'{name[:40]}' is not known here.")

    def member(self, found: Found, key: Tree) -> Found:
        if found is not None and isinstance(found, _Fixed) and found.value is self.seen:
            return self.node(key)
        plain = key.value if isinstance(key, Literal) else self.value(key)
        if isinstance(plain, float):
            plain = int(plain)
        if isinstance(plain, Ref | Joined) or plain is None or isinstance(plain, bool):
            raise NotCarried("Which field it takes depends on the data.")
        if isinstance(found, _Node):
            return self.of_node(found, plain)
        if isinstance(found, _Fixed):
            return self.of_fixed(found, plain)
        if isinstance(found, _Data):
            return self.of_data(found, plain)
        return self.of_value(found, plain)

    def node(self, key: Tree) -> _Node:
        name = key.value if isinstance(key, Literal) else None
        if not isinstance(name, str):
            raise NotCarried("Which step it looks at depends on the data.")
        return _Node(self.seen.of(name), self.seen.settings.get(name))

    def of_node(self, node: _Node, key: str | int) -> Found:
        if key in ("json", "data"):
            return _Data(node.place)
        if key == "item":
            return node
        if key in ("parameter", "params"):
            return _Fixed(node.settings)
        if key == "binary":
            raise NotCarried("It is about a file; files are not passed from step to step here.")
        if key == "context":
            raise NotCarried("It asks a loop how far it is.")
        raise NotCarried(f"'{str(key)[:40]}' of a step is not known here.")

    @staticmethod
    def of_fixed(found: _Fixed, key: str | int) -> Found:
        try:
            inner = found.value[key]
        except (KeyError, IndexError, TypeError):
            raise NotCarried(f"There is no setting '{str(key)[:40]}'.") from None
        return inner if isinstance(inner, Ref | _Node) else _Fixed(inner)

    @staticmethod
    def of_data(data: _Data, key: str | int) -> Found:
        if key == "length":
            return data.ref.through("length")
        return data.down(key)

    @staticmethod
    def of_value(found: Found, key: str | int) -> Found:
        if isinstance(found, dates.Moment):
            return found.part(str(key))
        if isinstance(found, Filled):
            raise NotCarried("It goes on with a value that has a stand-in.")
        if isinstance(found, Ref) and key == "length":
            return found.through("length")
        if isinstance(found, Ref) and isinstance(key, int) and found.uses:
            # The item of a list that a function gives; of a match, its group.
            name, args = found.uses[-1]
            if name == "match" and len(args) == 1:
                before = Ref(found.root, found.keys, found.uses[:-1])
                return before.through("match", args[0], str(key))
            if name == "from_json":
                return found.through("inside", str(key))
            return found.through("pick", str(key + 1))
        if isinstance(found, Ref):
            return found.down(key)
        raise NotCarried(f"'{str(key)[:40]}' cannot be taken from that.")

    # ------------------------------------------------------------------------------- calls

    def call(self, tree: Call) -> Found:
        if isinstance(tree.of, Name):
            return self.function(tree.of.name, tree)
        if not isinstance(tree.of, Member):
            raise NotCarried("It is a program, not a value.")
        name = tree.of.key.value if isinstance(tree.of.key, Literal) else None
        if not isinstance(name, str):
            raise NotCarried("Which function it uses depends on the data.")
        if isinstance(tree.of.of, Name) and (known := global_function(tree.of.of.name, name)):
            return _found(known(self, tree.args))
        return self.method(self.of(tree.of.of), name, tree.args)

    def function(self, name: str, tree: Call) -> Found:
        args = tree.args
        if name == "$" and len(args) == 1:
            return self.node(args[0])
        if name == "$items":
            return _Fixed([_Node(self.node(args[0]).place if args else self.seen.current)])
        if name == "$if" and len(args) == 3:
            return self.choice(Choice(args[0], args[1], args[2]))
        if name == "$ifEmpty" and len(args) == 2:
            return self.binary("??", args[0], args[1])
        if name == "Date":
            return dates.from_value(self.value(args[0])) if args and tree.new else dates.NOW
        if known := global_function("", name):
            return _found(known(self, args))
        raise NotCarried(f"There is no function like '{name[:40]}' here.")

    def method(self, found: Found, name: str, args: tuple[Tree, ...]) -> Found:
        if isinstance(found, _Node):
            return self.of_items(found, name, args)
        if isinstance(found, Filled):
            raise NotCarried("It goes on with a value that has a stand-in.")
        if isinstance(found, dates.Moment):
            return _found(found.method(name, [self.argument(arg) for arg in args]))
        if name == "map" and len(args) == 1:
            return self.mapped(found, args[0])
        value = settled(found)
        if name == "concat":
            return joined([value, *(self.value(arg) for arg in args)])
        return _found(apply_method(value, name, args, self))

    def of_items(self, node: _Node, name: str, args: tuple[Tree, ...]) -> Found:
        if name in ("first", "last", "itemMatching", "getItem"):
            return node
        if name == "all" and not args:
            if self.seen.list_of is not None and node.place is self.seen.current:
                return _Fixed([node])
            return _Fixed([node])
        raise NotCarried(f"'{name[:40]}' of a step is not known here.")

    def argument(self, tree: Tree) -> Any:
        """A fixed value, or a table of fixed values."""
        if isinstance(tree, Pairs):
            return {key: self.argument(inner) for key, inner in tree.pairs}
        return self.value(tree)

    def mapped(self, found: Found, function: Tree) -> Found:
        """`list.map(one => one.name)` is `[*]['name']`."""
        if not isinstance(function, Arrow) or len(function.params) != 1:
            raise NotCarried("It does something with each item of a list.")
        if isinstance(found, Ref):
            found = _Data(Plain(found))
        if not isinstance(found, _Data):
            raise NotCarried("It does something with each item of a list.")
        inner = Translator(self.seen, {**self.names, function.params[0]: found.down(EACH)}).of(function.body)
        if not isinstance(inner, _Data):
            raise NotCarried("It does something with each item of a list.")
        return inner

    # --------------------------------------------------------------------------- operators

    @staticmethod
    def unary(sign: str, value: Value) -> Value:
        if sign == "!":
            return value.through("not") if isinstance(value, Ref) else not value
        if isinstance(value, Ref):
            return value.through("number") if sign == "+" else value.through("multiply", "-1")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if sign == "-" else value
        raise NotCarried("It calculates with something that is not a number.")

    def binary(self, sign: str, left: Tree, right: Tree) -> Found:
        if sign in ("||", "??"):
            return self.stand_in(left, right)
        if sign in ("+", "-", "*", "/"):
            return calculated(sign, self.value(left), self.value(right))
        raise NotCarried("It compares; here a filter or paths do that.")

    def stand_in(self, left: Tree, right: Tree) -> Found:
        first, second = self.of(left), self.value(right)
        default = "" if second is None else second
        if isinstance(first, Filled):
            raise NotCarried("It has several stand-ins, one after another.")
        value = settled(first)
        if not isinstance(value, Ref | Joined):
            return value if value not in (None, "", False, 0) else second
        if isinstance(default, Ref | Joined):
            return Filled(value, default)
        if isinstance(value, Joined):
            return value
        return value.through("default", as_text(default))

    def choice(self, tree: Choice) -> Found:
        yes, no = self.value(tree.yes), self.value(tree.no)
        test = tree.test
        if self.same(test, yes):
            return self.binary("||", tree.yes, tree.no)
        if isinstance(yes, Ref | Joined) or isinstance(no, Ref | Joined):
            raise NotCarried("Which of two values it takes depends on the data; use paths for that.")
        if isinstance(test, Binary) and test.sign in ("===", "==", "!==", "!="):
            return self.looked_up(test, as_text(yes), as_text(no))
        value = self.value(test)
        if isinstance(value, Ref):
            return value.through("default", "false").through("yes_no", as_text(yes), as_text(no))
        if isinstance(value, Joined):
            raise NotCarried("It asks whether a text is there.")
        return yes if value else no

    def same(self, test: Tree, yes: Value) -> bool:
        try:
            return isinstance(yes, Ref) and self.value(test) == yes
        except NotCarried:
            return False

    def looked_up(self, test: Binary, yes: str, no: str) -> Value:
        value, wanted = self.value(test.left), self.value(test.right)
        if not isinstance(value, Ref) or isinstance(wanted, Ref | Joined):
            raise NotCarried("It compares two values of the data; use paths for that.")
        if not test.sign.startswith("="):
            yes, no = no, yes
        key = as_text(wanted)
        if any(set(text) & set("=;\n") for text in (key, yes, no)) or key in ("", "*") or "*" in (yes, no):
            raise NotCarried("It compares with a text that a table here cannot hold.")
        return value.through("lookup", f"{key}={yes};*={no}").through("default", no)


def _found(value: Any) -> Found:
    return cast(Found, value)


def calculated(sign: str, left: Value, right: Value) -> Value:
    number = isinstance(right, int | float) and not isinstance(right, bool)
    if isinstance(left, Ref) and number:
        if sign in ("+", "-"):
            return left.through("add", as_text(right if sign == "+" else -right))  # type: ignore[operator,arg-type]
        return left.through("multiply" if sign == "*" else "divide", as_text(right))  # type: ignore[arg-type]
    if sign == "+" and not _numbers(left, right):
        return joined([left, right])
    if _numbers(left, right):
        return _sum(sign, float(left), float(right))  # type: ignore[arg-type]
    raise NotCarried("It calculates with two values of the data.")


def _numbers(left: Value, right: Value) -> bool:
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in (left, right))


def _sum(sign: str, left: float, right: float) -> float:
    if sign == "/" and right == 0:
        raise NotCarried("It divides by 0.")
    return {"+": left + right, "-": left - right, "*": left * right, "/": left / (right or 1)}[sign]


# ---------------------------------------------------------------------------------- documents


def document_of(tree: Tree, translator: Translator) -> Any:
    """A table or list written in an expression, as JSON whose texts are templates."""
    if isinstance(tree, Pairs):
        return {key: document_of(inner, translator) for key, inner in tree.pairs}
    if isinstance(tree, Items):
        return [document_of(inner, translator) for inner in tree.items]
    if isinstance(tree, Literal):
        return (
            int(tree.value)
            if isinstance(tree.value, float) and tree.value.is_integer() and abs(tree.value) < 1e15
            else tree.value
        )
    return written(translator.value(tree))


def fixed_json(tree: Items | Pairs, translator: Translator) -> Ref:
    """A table or list without data in it, as a value that keeps its type."""
    document = document_of(tree, translator)
    text = json.dumps(document, ensure_ascii=False)
    if "{{" in text:
        raise NotCarried("It puts a table together out of data.")
    return typed_json(text)


def typed_json(text: str) -> Ref:
    if len(text) > 5_000:
        raise NotCarried("The table in it is too long for one field.")
    return NOTHING.through("default", text).through("from_json")
