"""Nodes about lists: taking them apart, putting them together, cutting them short."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import cast

from app.flows.model import Mapping, NamedMapping, SetStep
from app.imports.flows.places import Nowhere, Over, Place, Plain
from app.imports.flows.report import NotCarried
from app.imports.flows.values import EACH, Part, Ref
from app.imports.flows.work import Done, Work

_MANY_FIELDS = "It takes several lists apart at once."


def split_out(work: Work) -> Done:
    settings = work.settings
    field = settings.text("fieldToSplitOut").strip()
    settings.ignore("options", "include", "fieldsToInclude", "operation", "resource")
    settings.report.carried(work.node.name)
    if "," in field:
        settings.leave_out(f"the fields '{field}'", _MANY_FIELDS)
        field = field.split(",")[0].strip()
    if settings.peek("include") in ("allOtherFields", "selectedOtherFields"):
        settings.leave_out("the other fields of each item", "Pick them from the step before the loop.")
    name = settings.text("options.destinationFieldName") or field
    try:
        ref = work.seen.current.find(tuple(field.split(".")) if field else ())
    except NotCarried as reason:
        settings.leave_out(f"the list '{field}'", reason.reason)
        return Done([], Nowhere(reason.reason))
    return Done([], _Item(name), ref)


class _Item:
    """An item that is a table goes on as it is, one that is a text under the name of its list."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find(self, keys: object) -> Ref:
        raise NotCarried("There is a list of these; it is gone through one by one.")


def in_loop(place: Place | None, item: Ref) -> Place:
    """What one item is while a loop goes through the list."""
    if isinstance(place, _Item):
        return _Split(item, place.name)
    if (of_item := getattr(place, "of_item", None)) is not None:
        return cast(Place, of_item(item))
    return Plain(item)


class _Split:
    def __init__(self, ref: Ref, name: str) -> None:
        self.ref = ref
        self.name = name

    def find(self, keys: tuple[object, ...]) -> Ref:
        own = tuple(self.name.split("."))
        if keys[: len(own)] == own:
            return self.ref.down(*keys[len(own) :])  # type: ignore[arg-type]
        if keys and keys[0] == own[-1]:
            return self.ref.down(*keys[1:])  # type: ignore[arg-type]
        return self.ref.down(*keys)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- all items at once


def limit(work: Work, items: Ref | None) -> Done:
    settings = work.settings
    most = settings.raw("maxItems", 1)
    count = int(most) if isinstance(most, int | float) and not isinstance(most, bool) and most > 0 else 1
    last = settings.text("keep", "firstItems") == "lastItems"
    if items is None or items.uses:
        return Done()
    part = Part(-count, None) if last else Part(0, count)
    ref = items.down(part)
    return Done([], work.seen.current, ref) if count > 1 else Done([], Plain(items.down(-1 if last else 0)))


def aggregate(work: Work, items: Ref | None) -> Done:
    """All items as a list under one name, or one list per field."""
    settings = work.settings
    settings.ignore("options", "include", "fieldsToInclude", "operation")
    if items is None:
        settings.leave_out("the list", "There is no list of items here that could be put together.")
        items = None
    if settings.text("aggregate", "aggregateIndividualFields") == "aggregateAllItemData":
        name = settings.text("destinationFieldName", "data") or "data"
        return _set(work, {name: items})
    rows: dict[str, Ref | None] = {}
    for index, row in enumerate(settings.rows("fieldsToAggregate.fieldToAggregate")):
        at = f"fieldsToAggregate.fieldToAggregate[{index}]"
        field = settings.text(f"{at}.fieldToAggregate")
        settings.ignore(at)
        renamed = row.get("outputFieldName") if row.get("renameField") else ""
        keys = tuple(field.split(".")) if field else ()
        rows[str(renamed or field.rpartition(".")[2] or "data")] = items and items.down(EACH, *keys)
    return _set(work, rows or {"data": items})


def _set(work: Work, rows: MappingOf[str, Ref | None]) -> Done:
    made = [
        NamedMapping(name=name, mapping=Mapping(value=ref.template if ref else ""))
        for name, ref in rows.items()
    ]
    step = SetStep(values=made, **work.facts())
    own: dict[tuple[str, ...], Ref] = {(name,): Ref(step.id, (name,)) for name in rows}
    return Done([step], Over(own, Plain(Ref(step.id))))


_SUMMARIES = {
    "sum": "sum",
    "min": "min",
    "max": "max",
    "count": "count",
    "countUnique": "unique",
    "concatenate": "join",
}


def summarize(work: Work, items: Ref | None) -> Done:
    settings = work.settings
    if settings.text("fieldsToSplitBy"):
        settings.leave_out("the groups", "One sum is made of all items here.")
    rows: dict[str, Ref | None] = {}
    for index, _ in enumerate(settings.rows("fieldsToSummarize.values")):
        at = f"fieldsToSummarize.values[{index}]"
        way, field = settings.text(f"{at}.aggregation", "count"), settings.text(f"{at}.field")
        settings.ignore(at)
        if way not in _SUMMARIES:
            settings.leave_out(f"'{way}' of '{field}'", "There is no such sum here.")
            continue
        rows[f"{_PREFIX.get(way, way)}_{field}"] = _summed(items, field, way)
    settings.ignore("options")
    return _set(work, rows)


_PREFIX = {"sum": "sum", "count": "count", "countUnique": "unique_count", "concatenate": "concatenated"}


def _summed(items: Ref | None, field: str, way: str) -> Ref | None:
    if items is None:
        return None
    ref = items.down(EACH, *field.split(".")).through(_SUMMARIES[way])
    return ref.through("count") if way == "countUnique" else ref


def unchanged(work: Work, items: Ref | None) -> Done:
    """The list goes on as it is."""
    settings = work.settings
    settings.ignore(*settings.data)
    what = "sorting the list" if work.node.kind == "sort" else "taking out doubles"
    settings.leave_out(what, "The list goes on as it came.")
    return Done()


def item_lists(work: Work, items: Ref | None) -> Done:
    """The older node for all of it."""
    operation = work.settings.text("operation", "splitOutItems")
    if operation == "splitOutItems":
        return split_out(work)
    if operation in ("aggregateItems", "concatenateItems"):
        return aggregate(work, items)
    if operation == "summarize":
        return summarize(work, items)
    if operation == "limit":
        return limit(work, items)
    return unchanged(work, items)
