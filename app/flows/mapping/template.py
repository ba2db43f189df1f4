"""Templates: `Bought {{order:$['items'][*]['title'] | join:", "}}`, read once and filled from a scope.

A reference is `{{<root>:<path> | function:"arg","arg" | ...}}`.  `{{$.email}}` means the trigger's
data, `{{s2}}` everything step s2 gave.  Two braces that are just text are written `\\{{`.
A scope is a dict: the id of the trigger or of a step -> its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

from app.errors import MappingFailed
from app.flows.mapping.functions.menu import FUNCTIONS, Function, Unfit, zone_named
from app.flows.mapping.jsonpath import (
    MISSING,
    JsonPath,
    Missing,
    find,
    first,
    in_words,
    parse_path,
    quoted_path,
)
from app.flows.mapping.template_reader import Raw, read_template
from app.flows.mapping.values import LIMIT_TEXT, as_text
from app.flows.model import Mapping, NamedMapping
from app.flows.near import nearest_hint

__all__ = [
    "MISSING",
    "Finding",
    "Missing",
    "Reference",
    "Template",
    "compile_template",
    "fill",
    "fill_rows",
    "fill_text",
    "find",
    "first",
    "literal",
    "quoted_path",
    "resolve",
]

LIMIT_TEMPLATE: Final = 300_000
_LONGEST_KEPT = 10_000  # characters; longer templates are read anew, so that the cache stays small
TRIGGER: Final = "trigger"
GAP: Final = "gap"  # `{{gap:$['what stood there']}}`: a value that an import could not bring along


@dataclass(frozen=True, slots=True)
class Finding:
    """Something noticed while a field was filled; it is shown with the step."""

    field: str
    sentence: str
    reference: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Use:
    """A function as it stands in a reference, with its arguments."""

    name: str
    args: tuple[str, ...]
    function: Function


@dataclass(frozen=True, slots=True)
class Reference:
    root: str
    path: str
    functions: tuple[Use, ...]
    text: str  # as written, without the braces
    compiled: JsonPath


@dataclass(frozen=True, slots=True)
class Template:
    """`single`: exactly one reference and nothing else, so the value keeps its type."""

    text: str
    parts: tuple[str | Reference, ...]
    references: tuple[Reference, ...]
    single: bool


def compile_template(text: str) -> Template:
    """Raises MappingFailed that names the part which cannot be read."""
    return _compiled(text) if len(text) <= _LONGEST_KEPT else _compile(text)


def _compile(text: str) -> Template:
    if len(text) > LIMIT_TEMPLATE:
        raise MappingFailed(f"A field may hold {LIMIT_TEMPLATE:,} characters; this one has {len(text):,}.")
    parts = tuple(part if isinstance(part, str) else _reference(part) for part in read_template(text))
    references = tuple(part for part in parts if isinstance(part, Reference))
    return Template(text, parts, references, len(parts) == 1 and len(references) == 1)


_compiled = lru_cache(maxsize=4096)(_compile)


def _reference(raw: Raw) -> Reference:
    try:
        path = parse_path(raw.path)
        uses = tuple(_use(name, args, raw.text) for name, args in raw.functions)
    except MappingFailed as error:
        error.reference = raw.text
        raise
    return Reference(raw.root or TRIGGER, raw.path, uses, raw.text, path)


def _use(name: str, args: tuple[str, ...], text: str) -> Use:
    function = FUNCTIONS.get(name)
    if function is None:
        hint = nearest_hint(name, FUNCTIONS, "There is")
        raise MappingFailed(
            f"There is no function '{name}' (in '{{{{{text[:100]}}}}}'). {hint}".rstrip(), reference=text
        )
    return Use(name, function.checked(args), function)


def literal(text: str) -> str:
    """The template that gives exactly this text."""
    out, at = [], 0
    while (found := text.find("{{", at)) >= 0:
        before = text[at:found]
        slashes = len(before) - len(before.rstrip("\\"))
        out.append(before + "\\" * (slashes + 1) + "{{")
        at = found + 2
    return "".join(out) + text[at:]


# ------------------------------------------------------------------------------------- filling


def resolve(mapping: Mapping, scope: dict[str, Any], findings: list[Finding], field: str = "") -> Any:
    """The value without any rule for empty fields (but a default is used); for conditions."""
    value = _evaluate(compile_template(mapping.value), scope, field, findings, None)
    if mapping.when_empty == "default" and _nothing(value):
        return _evaluate(compile_template(mapping.default), scope, field, findings, None)
    return value


def fill(
    field: str, mapping: Mapping, scope: dict[str, Any], findings: list[Finding], *, required: bool = False
) -> Any:
    """The value of a field, or MISSING where it is to be left out; MappingFailed where it must stop.

    Null counts as nothing.  A blank text counts as nothing where the field is required, has a rule of
    its own, or is what is left of a longer text that found nothing; else it is a value like any other.
    """
    template = compile_template(mapping.value)
    rule = mapping.when_empty or ("stop" if required else None)
    noticed = len(findings)
    value = _evaluate(template, scope, field, findings, mapping if rule == "default" else None)
    incomplete = rule == "stop" and not template.single and len(findings) > noticed
    left = template.references and len(findings) > noticed and _blank(value)  # what stood between them
    if not incomplete and not _nothing(value) and not ((rule or left) and _blank(value)):
        return value
    if rule == "default":
        value = _evaluate(compile_template(mapping.default), scope, field, findings, None)
        if not _nothing(value) and not _blank(value):
            return value
        rule = "stop" if required else "leave_out"
    if rule == "stop":
        _stop(field, template, findings[noticed:])
    return MISSING


def fill_text(
    field: str, mapping: Mapping, scope: dict[str, Any], findings: list[Finding], *, required: bool = False
) -> str:
    return as_text(fill(field, mapping, scope, findings, required=required))


def fill_rows(
    rows: list[NamedMapping], scope: dict[str, Any], findings: list[Finding]
) -> list[tuple[str, Any]]:
    """Each row with its value, in order; the ones left out are not in it."""
    filled = ((row.name, fill(row.name, row.mapping, scope, findings)) for row in rows)
    return [(name, value) for name, value in filled if value is not MISSING]


def _nothing(value: Any) -> bool:
    return value is MISSING or value is None


def _blank(value: Any) -> bool:
    return isinstance(value, str) and not value.strip()


def _stop(field: str, template: Template, noticed: Sequence[Finding]) -> None:
    if noticed:
        said = noticed[0]
        raise MappingFailed(
            said.sentence,
            field=field,
            reference=said.reference,
            remedy="Pick another value, or say what to use when there is none.",
        )
    if template.references:
        raise MappingFailed(
            f"{field} is empty: the data has a blank text there.",
            field=field,
            reference=template.references[0].text,
            remedy="Pick another value, or say what to use when there is none.",
        )
    raise MappingFailed(f"{field} is empty.", field=field, remedy="Fill it in.")


# ---------------------------------------------------------------------------------- evaluation


def _evaluate(
    template: Template,
    scope: dict[str, Any],
    field: str,
    findings: list[Finding],
    inserted: Mapping | None,
) -> Any:
    """`inserted`: the mapping whose default takes the place of a missing piece of a longer text."""
    if template.single:
        return _value(template.references[0], scope, field, findings)
    if not template.references:
        return "".join(template.parts) or MISSING  # type: ignore[arg-type]
    text = "".join(_pieces(template, scope, field, findings, inserted))
    if len(text) > LIMIT_TEXT:
        raise MappingFailed(
            f"{field} has become a text of {len(text):,} characters, which is too long.", field=field
        )
    return text


def _pieces(
    template: Template,
    scope: dict[str, Any],
    field: str,
    findings: list[Finding],
    inserted: Mapping | None,
) -> Iterator[str]:
    for part in template.parts:
        if isinstance(part, str):
            yield part
            continue
        value = _value(part, scope, field, findings)
        if _nothing(value) and inserted:
            value = _evaluate(compile_template(inserted.default), scope, field, findings, None)
        yield as_text(value)


def _value(reference: Reference, scope: dict[str, Any], field: str, findings: list[Finding]) -> Any:
    document = scope.get(reference.root, MISSING)
    value = MISSING if document is MISSING else reference.compiled.value(document)
    for use in reference.functions:
        if _nothing(value) and not use.function.takes_nothing:
            break
        try:
            value = use.function.apply(value, use.args, _zone_of(scope))
        except Unfit as unfit:
            findings.append(
                Finding(field, f"{field} is empty: {unfit.sentence}", reference.text, unfit.remedy)
            )
            return MISSING
    if _nothing(value):
        findings.append(_nothing_found(reference, scope, field, value))
    return value


def _zone_of(scope: dict[str, Any]) -> str:
    run = scope.get("run")
    zone = run.get("time_zone") if isinstance(run, dict) else None
    return zone if isinstance(zone, str) and zone_named(zone) else "UTC"


def _nothing_found(reference: Reference, scope: dict[str, Any], field: str, value: Any) -> Finding:
    where = in_words(reference.compiled)
    remedy = "Pick another value, or say what to use when there is none."
    if reference.root == GAP:
        sentence = f"{field} is empty: '{where}' could not be brought along."
    elif reference.root not in scope:
        source = "the trigger" if reference.root == TRIGGER else f"step '{reference.root}'"
        sentence = f"{field} is empty: {source} gave no data to this run."
    elif value is None:
        sentence = f"{field} is empty: {where} has no value (null) in the data."
    else:
        hint = _hint(reference.compiled, scope[reference.root])
        sentence = f"{field} is empty: nothing was found at {where}. {hint}".rstrip()
    return Finding(field, sentence, reference.text, remedy)


def _hint(path: JsonPath, document: Any) -> str:
    """What is there instead, at the first step of the path that finds nothing."""
    segments = path.segments or ()
    here = document
    for segment in segments:
        inner = parse_path(quoted_path([segment])).value(here)
        if inner is MISSING:
            break
        here = inner[0] if isinstance(inner, list) and not isinstance(segment, str | int) and inner else inner
    if isinstance(here, dict):
        return nearest_hint(str(segment), here, "The data has") if segments else ""
    if isinstance(here, list):
        return f"The list there has {len(here)} item{'' if len(here) == 1 else 's'}."
    return ""
