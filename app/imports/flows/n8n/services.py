"""Nodes of services, as actions and triggers of our connectors, as far as those are installed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.flows.mapping.jsonpath import parse_path
from app.flows.mapping.template import GAP, compile_template
from app.flows.model import ActionStep, ConnectorTrigger, Mapping, NamedMapping, Step
from app.imports.flows.n8n.data import open_request
from app.imports.flows.n8n.operations import Operation, Service, services, starters
from app.imports.flows.places import Known, Place, Plain
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings, leaves
from app.imports.flows.values import Key, Ref
from app.imports.flows.work import Done, Started, Work

_ALIKE = (
    *("authentication", "resource", "operation", "select", "simple", "options.appendAttribution"),
    *("pollTimes", "simplifyAnswers", "onlyAnswers", "returnAll", "emailType", "sendAsUser", "messageType"),
    *("otherOptions.includeLinkToWorkflow", "additionalFields.appendAttribution", "options.cellFormat"),
)


def service_of(kind: str) -> Service | None:
    return services().get(kind)


def service_step(work: Work, service: Service) -> Done:
    settings = work.settings
    resource, _, usual = service.usual.partition("/")
    wanted = _operation_name(settings, service, resource, usual)
    operation = service.operations.get(wanted)
    connector = work.shared.connectors.find(service.connector)
    if connector is None:
        return open_request(work, f"There is no connector for {service.kind} yet.", service.address)
    found = _action(work, service, operation)
    if operation is None or found is None:
        reason = f"The connector for {connector.name} has no action for '{wanted}' yet."
        return open_request(work, reason, service.address)
    action_key, action = found
    step = _step(work, service.connector, action_key, action, operation)
    _special(work, service.kind, wanted, step)
    place, many = _given(work, step, action, operation, connector.name)
    work.shared.report.carried(work.node.name)
    steps: list[Step] = [step]
    return Done(steps, place, many)


def _operation_name(settings: Settings, service: Service, resource: str, usual: str) -> str:
    given = settings.text("resource") or resource
    operation = settings.text("operation")
    if operation:
        return f"{given}/{operation}"
    if given == resource:
        return f"{given}/{usual}"
    return next((name for name in service.operations if name.startswith(f"{given}/")), f"{given}/")


def _action(work: Work, service: Service, operation: Operation | None) -> tuple[str, Any] | None:
    for key in operation.actions if operation else ():
        action = work.shared.connectors.find_action(service.connector, key)
        if action is not None:
            return key, action
    return None


def _step(work: Work, connector: str, key: str, action: Any, operation: Operation) -> ActionStep:
    settings = work.settings
    known = {field.key: field for field in action.input}
    given = dict(_inputs(settings, known, operation.inputs))
    if connector == "gmail" and settings.peek("message") not in (None, ""):
        usual = "html" if work.node.version >= 2 else "text"
        form = settings.text("emailType", usual)
        given[form if form in ("text", "html") else usual] = settings.mapping("message")
    for field in action.input:
        if field.default and field.key not in given:
            given[field.key] = Mapping(value=field.default)
    takes_more = any(field.type == "fields" for field in action.input)
    extra = _more(settings, operation.more, given, known) if operation.more and takes_more else []
    name = next((name for _, name in work.node.credentials), "")
    settings.ignore(*_ALIKE)
    return ActionStep(
        connector=connector,
        action=key,
        connection_id=work.shared.connection(connector, name),
        input=given,
        extra=extra,
        **work.facts(),
    )


def _inputs(
    settings: Settings, known: dict[str, Any], inputs: tuple[tuple[str, tuple[str, ...], str], ...]
) -> Iterator[tuple[str, Mapping]]:
    """The first place that holds something; fields that our action does not have stay behind."""
    for key, places, fixed in inputs:
        if key not in known:
            continue
        if fixed and not places:
            yield key, Mapping(value=fixed)
        place = next((one for one in places if _holds(settings.peek(one))), "")
        if place:
            yield key, _around(fixed, _input(settings, place))


def _holds(value: Any) -> bool:
    return value not in (None, "", "=") and not isinstance(value, dict)


def _around(text: str, mapping: Mapping) -> Mapping:
    """`RECORD_ID()='%'` with the value where the `%` is."""
    return mapping.model_copy(update={"value": text.replace("%", mapping.value)}) if text else mapping


def _input(settings: Settings, place: str) -> Mapping:
    value = settings.peek(place)
    return _listed(settings, place, value) if isinstance(value, list) else settings.mapping(place)


def _listed(settings: Settings, place: str, value: list[Any]) -> Mapping:
    settings.raw(place)
    return Mapping(value=", ".join(str(one) for one in value if isinstance(one, str | int)))


def _more(
    settings: Settings, place: str, given: dict[str, Mapping], known: dict[str, Any]
) -> list[NamedMapping]:
    """A table of columns: those that are inputs of ours are taken already."""
    table = settings.peek_raw(place)
    settings.ignore("columns.mappingMode", "columns.matchingColumns", "columns.schema")
    if "autoMapInputData" in (settings.peek("columns.mappingMode"), settings.peek("dataMode")):
        settings.leave_out("the columns", "They were taken from the data by their names; choose them here.")
        settings.ignore("columns", "dataMode")
    rows = []
    for name in table if isinstance(table, dict) else ():
        if name not in ("id", "row_number"):
            rows.append(NamedMapping(name=str(name), mapping=_column(settings, place, str(name))))
    settings.ignore(place)
    return rows + _older_columns(settings)


def _column(settings: Settings, place: str, name: str) -> Mapping:
    """By its name, which may hold dots and brackets."""
    table = settings.peek_raw(place)
    return settings.filled(table.get(name), f"{place}.{name}")


def _older_columns(settings: Settings) -> list[NamedMapping]:
    rows = []
    for place in ("fieldsUi.values", "fieldsUi.fieldValues"):
        for index, row in enumerate(settings.rows(place)):
            at = f"{place}[{index}]"
            name = str(row.get("column") or row.get("fieldId") or "")
            if name and name != "newColumn":
                rows.append(NamedMapping(name=name, mapping=settings.mapping(f"{at}.fieldValue")))
            settings.ignore(at)
    return rows


# --------------------------------------------------------------------------------- peculiarities


def _special(work: Work, kind: str, wanted: str, step: ActionStep) -> None:
    settings, extra = work.settings, step.extra
    if wanted.endswith("/sendAndWait"):
        settings.ignore("approvalOptions", "options", "responseType", "formFields")
        settings.leave_out("waiting for an answer", "The message is sent; no step waits for its answer.")
    if kind == "googleSheets" and extra:
        names = ", ".join(row.name for row in extra)
        settings.leave_out(f"the columns {names}", "Columns go by their letters here: choose each one.")
    if kind == "googleSheets" and wanted in ("sheet/appendOrUpdate", "sheet/update"):
        settings.leave_out("finding the row", "Rows are not looked up by a column; map the row's number.")
        settings.ignore("columnToMatchOn", "columns.matchingColumns")
        settings.mapping("valueToMatchOn")
    if kind == "whatsApp":
        # A template is written `name|language` there; whose number it is says the connection.
        settings.ignore("phoneNumberId")
        for key, index in (("template", 0), ("language", -1)):
            mapping = step.input.get(key)
            if mapping is not None and "{{" not in mapping.value:
                step.input[key] = Mapping(value=mapping.value.split("|")[index])
    if kind == "notion" and settings.peek_raw("propertiesUi"):
        for place, value in leaves(settings.peek_raw("propertiesUi"), "propertiesUi"):
            if isinstance(value, str) and value.startswith("="):
                settings.mapping(place)
        settings.ignore("propertiesUi")
        settings.leave_out("the properties", "Enter them as Notion writes them, in “More properties”.")


def _given(
    work: Work, step: ActionStep, action: Any, operation: Operation, service: str
) -> tuple[Place, Ref | None]:
    me = Ref(step.id)
    heads = {_head(field.path) for field in action.output.fields}
    if step.connector == "google_sheets" and step.action in ("add_row", "update_row", "upsert_row"):
        return Echo(work.seen.current, {row.name: row.mapping.value for row in step.extra}), None
    if step.connector == "airtable":
        if operation.many is not None and step.action == "find_record":
            work.settings.leave_out("all records that are found", "Only the first one is found here.")
            return Record(me), None
        return Record(me), me if operation.many is not None else None
    if operation.many is not None and step.action != operation.actions[0]:
        work.settings.leave_out("all that is found", "Only the first one is found here.")
    elif operation.many is not None:
        items = me.down(*operation.many) if operation.many and operation.many[0] in heads else me
        if step.connector == "google_sheets":
            return Cells(items, _headers(work)), items
        return Plain(me), items
    return Known(me, frozenset(heads - {""}), service), None


@dataclass(frozen=True)
class Record:
    """Its fields lie in a table of their own here, and beside the id there."""

    ref: Ref

    def of_item(self, item: Ref) -> Record:
        return Record(item)

    def find(self, keys: tuple[Key, ...]) -> Ref:
        own = not keys or keys[0] in ("id", "createdTime", "fields", "deleted")
        return self.ref.down(*keys) if own else self.ref.down("fields", *keys)


@dataclass(frozen=True)
class Echo:
    """What was written is given back: by the names of its columns, or as it came in."""

    before: Place
    written: dict[str, str]

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if not self.written:
            return self.before.find(keys)
        template = compile_template(self.written.get(str(keys[0]) if keys else "", ""))
        if len(keys) == 1 and template.single and not template.references[0].functions:
            reference = template.references[0]
            segments = parse_path(reference.path).segments
            if segments is not None and reference.root != GAP:
                return Ref(reference.root, tuple(segments))
        raise NotCarried("It takes a cell that was just written; pick the value that was put there.")


def _head(path: str) -> str:
    return path.removeprefix("$").lstrip(".[").split(".")[0].split("[")[0].strip("'\"]")


def _headers(work: Work) -> tuple[str, ...]:
    """The order of the columns, where pinned data show it."""
    items = work.shared.pinned.get(work.node.name)
    first = items[0] if items else None
    return tuple(key for key in first if key != "row_number") if isinstance(first, dict) else ()


class Cells:
    """Rows of a sheet: lists here, tables by the name of the column there."""

    def __init__(self, row: Ref, headers: tuple[str, ...]) -> None:
        self.row = row
        self.headers = headers

    def of_item(self, item: Ref) -> Cells:
        return Cells(item, self.headers)

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] in self.headers:
            return self.row.down(self.headers.index(str(keys[0])), *keys[1:])
        name = str(keys[0])[:40] if keys else "all of it"
        raise NotCarried(f"A row is a list of cells here; pick the one of the column '{name}'.")


# ------------------------------------------------------------------------------------- triggers


def service_trigger(work: Work) -> Started | None:
    """None where no connector of ours has such a trigger."""
    starter = starters().get(work.node.kind)
    if starter is None:
        return None
    for key in starter.triggers:
        trigger = work.shared.connectors.find_trigger(starter.connector, key)
        if trigger is not None:
            connector = starter.connector
            settings = work.settings
            known = {field.key: field for field in trigger.input}
            given = dict(_inputs(settings, known, starter.inputs))
            settings.ignore(*_ALIKE, "options", "event", "events", "updates", "triggerOn", "pollTimes")
            name = next((name for _, name in work.node.credentials), "")
            made = ConnectorTrigger(
                name=work.node.name,
                connector=connector,
                trigger=key,
                connection_id=work.shared.connection(connector, name),
                input=given,
            )
            place: Place = Plain(Ref("trigger"))
            if connector == "google_sheets":
                place = SheetRow()
            elif connector in ("typeform", "gmail", "imap", "rss"):
                known_heads = frozenset(_head(one.path) for one in trigger.output.fields)
                place = Known(Ref("trigger"), known_heads, connector.capitalize())
            items = work.shared.pinned.get(work.node.name)
            return Started(made, place, items[0] if items and connector != "google_sheets" else None)
    return None


class SheetRow:
    """`row` and `cells` here, all in one table there."""

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] == "row_number":
            return Ref("trigger", ("row",))
        return Ref("trigger", ("cells", *keys))


__all__ = ["service_of", "service_step", "service_trigger"]
