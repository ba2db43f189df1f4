"""The methods and functions of expressions that one of ours does: text, lists, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from app.imports.flows.expressions import dates
from app.imports.flows.expressions.reader import Literal, Pattern, Tree
from app.imports.flows.report import NotCarried
from app.imports.flows.values import Joined, Ref, Value, as_text


class Translates(Protocol):
    def value(self, tree: Tree) -> Value: ...


_SAME_NAME: dict[str, tuple[str, ...]] = {
    "toLowerCase": ("lower",),
    "toLocaleLowerCase": ("lower",),
    "toUpperCase": ("upper",),
    "toLocaleUpperCase": ("upper",),
    "toTitleCase": ("title",),
    "capitalize": ("capitalize",),
    "trim": ("trim",),
    "toString": ("text",),
    "toNumber": ("number",),
    "toInt": ("number",),
    "toFloat": ("number",),
    "toWholeNumber": ("round",),
    "toJsonString": ("json",),
    "parseJson": ("from_json",),
    "removeTags": ("strip_html",),
    "urlEncode": ("url_encode",),
    "base64Encode": ("base64",),
    "first": ("first",),
    "last": ("last",),
    "unique": ("unique",),
    "removeDuplicates": ("unique",),
    "sum": ("sum",),
    "min": ("min",),
    "max": ("max",),
    "toISOString": ("iso_date",),
    "toISO": ("iso_date",),
    "getTime": ("timestamp", "milliseconds"),
    "toMillis": ("timestamp", "milliseconds"),
}
_HASHES = {"md5": "md5", "sha256": "sha256"}


def apply_method(value: Value, name: str, args: tuple[Tree, ...], translator: Translates) -> Any:
    if not isinstance(value, Ref):
        if name in ("toString", "trim") and not isinstance(value, Joined | Ref):
            return as_text(value).strip() if name == "trim" else as_text(value)
        if name == "toString":
            return value
        if name in ("toLowerCase", "toUpperCase") and isinstance(value, str):
            return value.lower() if name == "toLowerCase" else value.upper()
        raise NotCarried("A function works on a text that is put together; set that text in a step before.")
    if name in _SAME_NAME and not args:
        function, *given = _SAME_NAME[name]
        return value.through(function, *given)
    if name in _WITH_ARGUMENTS:
        return _WITH_ARGUMENTS[name](value, args, translator)
    if name in ("toDateTime", "toDate"):
        return dates.from_value(value)
    if name in dates.METHODS:
        return dates.from_value(value).method(name, [_argument(arg, translator) for arg in args])
    raise NotCarried(f"There is no function like '{name[:40]}' here.")


def _argument(tree: Tree, translator: Translates) -> Any:
    pairs = getattr(tree, "pairs", None)
    if pairs is not None:
        return {key: _argument(inner, translator) for key, inner in pairs}
    return translator.value(tree)


def fixed(args: tuple[Tree, ...], index: int, translator: Translates, default: Any = None) -> Any:
    """An argument that has to be known now."""
    if index >= len(args):
        return default
    found = translator.value(args[index])
    if isinstance(found, Ref | Joined):
        raise NotCarried("What the function is told depends on the data.")
    return found


# ----------------------------------------------------------------------------- text and lists


def _replace(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    if len(args) != 2:
        raise NotCarried("It replaces in a way that is not known here.")
    found = args[0]
    if isinstance(found, Pattern):
        wanted = _plain_pattern(found)
    else:
        wanted = as_text(fixed(args, 0, translator))
    if not wanted:
        raise NotCarried("It replaces nothing by something.")
    return value.through("replace", wanted, as_text(fixed(args, 1, translator)))


def _plain_pattern(pattern: Pattern) -> str:
    """The text that a pattern stands for, if it stands for just one."""
    if "i" in pattern.flags or "g" not in pattern.flags:
        raise NotCarried("It replaces by a pattern.")
    plain = re.sub(r"\\([^A-Za-z0-9])", "\0\\1", pattern.source)
    if re.search(r"(?<!\0)[.*+?^$()\[\]{}|\\]", plain):
        special = {r"\n": "\n", r"\t": "\t", r"\r": "\r"}.get(pattern.source)
        if special is None:
            raise NotCarried("It replaces by a pattern.")
        return special
    return plain.replace("\0", "")


def _match(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    """The whole of what is found; `[1]` after it picks a group."""
    if len(args) != 1 or not isinstance(args[0], Pattern):
        raise NotCarried("It searches with a pattern that is worked out.")
    if "g" in args[0].flags:
        raise NotCarried("It finds all places at once; one can be found here.")
    source = args[0].source.replace("\\/", "/")
    if re.search(r"\(\?[=!<]|\\[1-9]", source):
        raise NotCarried("Its pattern looks around or back, which is not possible here.")
    source = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: "\\x{" + found[1] + "}", source)
    return value.through("match", f"(?i){source}" if "i" in args[0].flags else source)


def _split(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    return value.through("split", as_text(fixed(args, 0, translator)))


def _join(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    return value.through("join", as_text(fixed(args, 0, translator, ",")))


def _slice(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    begin, end = (_whole(fixed(args, index, translator)) for index in (0, 1))
    begin = begin or 0
    if begin < 0:
        if end is not None:
            raise NotCarried("It cuts a text from both ends.")
        return value.through("substring", str(begin))
    if end is not None and end < 0:
        raise NotCarried("It cuts a text from its end.")
    length = () if end is None else (str(max(end - begin, 0)),)
    return value.through("substring", str(begin + 1), *length)


def _substr(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    begin, length = (_whole(fixed(args, index, translator)) for index in (0, 1))
    begin = begin or 0
    return value.through(
        "substring", str(begin + 1 if begin >= 0 else begin), *(() if length is None else (str(length),))
    )


def _whole(number: Any) -> int | None:
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
        raise NotCarried("It counts characters with something that is not a whole number.")
    return int(number)


def _at(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    index = _whole(fixed(args, 0, translator, 0)) or 0
    return value.through("pick", str(index + 1 if index >= 0 else index))


def _round(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    return value.through("round", str(_whole(fixed(args, 0, translator, 0)) or 0))


def _hash(value: Ref, args: tuple[Tree, ...], translator: Translates) -> Ref:
    name = str(fixed(args, 0, translator, "md5")).lower().replace("-", "")
    if name not in _HASHES:
        raise NotCarried(f"There is no hash '{name[:20]}' here, only SHA-256 and MD5.")
    return value.through(_HASHES[name])


_WITH_ARGUMENTS: dict[str, Callable[[Ref, tuple[Tree, ...], Translates], Ref]] = {
    "replace": _replace,
    "replaceAll": _replace,
    "match": _match,
    "split": _split,
    "join": _join,
    "slice": _slice,
    "substring": _slice,
    "substr": _substr,
    "at": _at,
    "round": _round,
    "toFixed": _round,
    "hash": _hash,
}


# ----------------------------------------------------------------------------------- functions


def _through(function: str, *given: str) -> Callable[[Translates, tuple[Tree, ...]], Any]:
    def apply(translator: Translates, args: tuple[Tree, ...]) -> Any:
        if len(args) < 1:
            raise NotCarried("The function is told nothing.")
        value = translator.value(args[0])
        if isinstance(value, Ref):
            return value.through(function, *given)
        if function in ("text",):
            return value if isinstance(value, Joined) else as_text(value)
        if function == "number" and isinstance(value, int | float | str):
            try:
                return float(value)
            except ValueError:
                raise NotCarried("It reads a text as a number that is none.") from None
        raise NotCarried("A function works on a text that is put together; set that text in a step before.")

    return apply


def _now_number(translator: Translates, args: tuple[Tree, ...]) -> Any:
    return dates.NOW.method("toMillis", [])


def _date(translator: Translates, args: tuple[Tree, ...]) -> Any:
    return dates.from_value(translator.value(args[0])) if args else dates.NOW


def _now(translator: Translates, args: tuple[Tree, ...]) -> Any:
    return dates.NOW


_FUNCTIONS: dict[tuple[str, str], Callable[[Any, tuple[Tree, ...]], Any]] = {
    ("", "String"): _through("text"),
    ("", "Number"): _through("number"),
    ("", "parseInt"): _through("number"),
    ("", "parseFloat"): _through("number"),
    ("", "encodeURIComponent"): _through("url_encode"),
    ("", "encodeURI"): _through("url_encode"),
    ("", "btoa"): _through("base64"),
    ("Math", "round"): _through("round"),
    ("JSON", "stringify"): _through("json"),
    ("JSON", "parse"): _through("from_json"),
    ("Number", "parseInt"): _through("number"),
    ("Number", "parseFloat"): _through("number"),
    ("Date", "now"): _now_number,
    ("DateTime", "now"): _now,
    ("DateTime", "utc"): _now,
    ("DateTime", "local"): _now,
    ("DateTime", "fromISO"): _date,
    ("DateTime", "fromJSDate"): _date,
    ("DateTime", "fromSeconds"): _date,
    ("DateTime", "fromMillis"): _date,
    ("", "moment"): _date,
}


def global_function(owner: str, name: str) -> Callable[[Any, tuple[Tree, ...]], Any] | None:
    return _FUNCTIONS.get((owner, name))


__all__ = ["Literal", "apply_method", "global_function"]
