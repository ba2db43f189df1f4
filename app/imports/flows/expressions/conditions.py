"""A comparison written as an expression, as groups of our conditions: OR between, AND inside."""

from __future__ import annotations

from itertools import product

from app.flows.model import Condition, Mapping, Operator
from app.imports.flows.expressions.meaning import Translator, settled
from app.imports.flows.expressions.reader import Binary, Call, Literal, Member, Pattern, Tree, Unary
from app.imports.flows.places import Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.values import Joined, Ref, as_text, written

Groups = list[list[Condition]]
_MOST = 50

_COMPARED: dict[str, tuple[Operator, Operator]] = {
    "===": ("equals", "not_equals"),
    "==": ("equals", "not_equals"),
    "!==": ("not_equals", "equals"),
    "!=": ("not_equals", "equals"),
    ">": ("greater", "less_or_equal"),
    ">=": ("greater_or_equal", "less"),
    "<": ("less", "greater_or_equal"),
    "<=": ("less_or_equal", "greater"),
}
_FLIPPED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}
_ASKED: dict[str, tuple[Operator, Operator]] = {
    "includes": ("contains", "not_contains"),
    "startsWith": ("starts_with", "not_starts_with"),
    "endsWith": ("ends_with", "not_ends_with"),
    "match": ("matches", "not_matches"),
    "test": ("matches", "not_matches"),
    "isEmpty": ("is_empty", "is_not_empty"),
    "isNotEmpty": ("is_not_empty", "is_empty"),
}


def groups_of(tree: Tree, seen: Seen, *, negated: bool = False) -> Groups:
    """Raises NotCarried."""
    if isinstance(tree, Unary) and tree.sign == "!":
        return groups_of(tree.of, seen, negated=not negated)
    if isinstance(tree, Binary) and tree.sign in ("&&", "||"):
        left, right = (groups_of(side, seen, negated=negated) for side in (tree.left, tree.right))
        if (tree.sign == "||") is not negated:
            return _few([*left, *right])
        return _few([[*one, *other] for one, other in product(left, right)])
    translator = Translator(seen)
    if isinstance(tree, Binary) and tree.sign in _COMPARED:
        return [[_compared(tree, translator, negated)]]
    if (
        isinstance(tree, Call)
        and isinstance(tree.of, Member)
        and (found := _asked(tree, translator, negated))
    ):
        return [[found]]
    return _truth(tree, translator, negated)


def _few(groups: Groups) -> Groups:
    if len(groups) > _MOST:
        raise NotCarried("Too many conditions are nested into each other.")
    return groups


def _compared(tree: Binary, translator: Translator, negated: bool) -> Condition:
    left, right, sign = tree.left, tree.right, tree.sign
    if isinstance(left, Literal) and not isinstance(right, Literal):
        left, right, sign = right, left, _FLIPPED.get(sign, sign)
    operator = _COMPARED[sign][negated]
    first, second = translator.value(left), translator.value(right)
    if not isinstance(first, Ref | Joined):
        raise NotCarried("It compares two fixed values.")
    if second in (None, ""):
        operator = "is_empty" if operator == "equals" else "is_not_empty"
    return Condition(
        left=Mapping(value=written(first)),
        operator=operator,
        right=Mapping(value=written(second)),
        ignore_case=False,
    )


def _asked(tree: Call, translator: Translator, negated: bool) -> Condition | None:
    member = tree.of
    assert isinstance(member, Member)
    name = member.key.value if isinstance(member.key, Literal) else ""
    if name not in _ASKED:
        return None
    subject, args = member.of, tree.args
    if name == "test" and isinstance(subject, Pattern) and len(args) == 1:
        subject, args = args[0], (subject,)
    value = settled(translator.of(subject))
    if not isinstance(value, Ref):
        raise NotCarried("It asks about a fixed value.")
    right = _wanted(args[0], translator) if args else ""
    operator = _ASKED[str(name)][negated]
    return Condition(
        left=Mapping(value=value.template), operator=operator, right=Mapping(value=right), ignore_case=False
    )


def _wanted(tree: Tree, translator: Translator) -> str:
    if isinstance(tree, Pattern):
        return ("(?i)" if "i" in tree.flags else "") + tree.source
    return written(translator.value(tree))


def _truth(tree: Tree, translator: Translator, negated: bool) -> Groups:
    """JavaScript takes a value for true unless it is empty, 0 or false."""
    value = translator.value(tree)
    if not isinstance(value, Ref):
        raise NotCarried(
            f"'{as_text(value)[:40]}' is always the same."
            if not isinstance(value, Joined)
            else "It asks for a text."
        )
    left = Mapping(value=value.template)
    empty = Condition(left=left, operator="is_empty" if negated else "is_not_empty")
    false, zero = (
        Condition(left=left, operator="equals" if negated else "not_equals", right=Mapping(value=word))
        for word in ("false", "0")
    )
    return [[empty], [false], [zero]] if negated else [[empty, false, zero]]
