"""The connector workshop: make or change a connector as forms over its files, try it, take it along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, flash, request

from app.catalog.format.definition import PollTrigger
from app.catalog.workbench.changing import (
    Workbench,
    archive,
    as_text,
    check_name,
    file_names,
    read_table,
    read_text,
)
from app.commands import connectors
from app.errors import ConnectorInvalid, FlowInvalid, NotFound
from app.storage.connections import connections as store
from app.storage.database.db import pages_db
from app.web.connectors import workshop_forms as forms
from app.web.frame.context import me, parts, who
from app.web.frame.hx import page, redirect

blueprint = Blueprint("workshop", __name__)

_NAMES = {"actions": "action", "triggers": "trigger"}
_LISTS: dict[str, Any] = {
    "category": forms.CATEGORIES,
    "methods": forms.METHODS,
    "body_kinds": forms.BODY_KINDS,
    "auth_kinds": forms.AUTH_KINDS,
    "types": forms.FIELD_TYPES,
    "outputs": forms.OUTPUT_TYPES,
}


@dataclass(frozen=True)
class Bench:
    """A connector on the workbench.  `folder`: where its files are read from; None for a new one."""

    key: str
    folder: Path | None
    is_own: bool

    def table(self, name: str) -> dict[str, Any]:
        return read_table(self.folder, name) if self.folder is not None else {}


@blueprint.before_request
def for_admins() -> None:
    who().must("connectors")


def open_bench(key: str) -> Bench:
    """Also of a connector that does not load: here is where it is fixed."""
    shelf = parts().registry.shelf_of(key)
    if shelf is None:
        raise NotFound("There is no such connector.", connector=key)
    is_own = Workbench(parts().settings.connectors_folder).has(key)
    return Bench(key, shelf.folder, is_own)


# ------------------------------------------------------------------------------- the connector


@blueprint.get("/connectors/new")
def new() -> Response:
    user = me()
    owner = user.email if user is not None else ""
    return _connector_page(Bench("", None, True), forms.connector_form({"owner": owner}))


@blueprint.post("/connectors/new")
def create() -> Response:
    form = forms.typed(request.form)
    key = str(form.get("key") or "").strip()
    bench = Bench(key, None, True)
    try:
        data = forms.connector_data({}, form, _today())
        readme = f"# {data['name']}\n\n## Connect\n\nWhere the key comes from.\n"
        connectors.create(who(), parts(), key, {"connector.yaml": as_text(data), "README.md": readme})
    except ConnectorInvalid as fault:
        return _connector_page(bench, form, fault)
    flash("The connector is made. Now add what it can do.", "success")
    return redirect(f"/connectors/{key}/edit")


@blueprint.get("/connectors/<key>/edit")
def edit(key: str) -> Response:
    bench = open_bench(key)
    try:
        form = forms.connector_form(bench.table("connector.yaml"))
    except ConnectorInvalid as fault:
        return _connector_page(bench, forms.connector_form({"key": key}), fault)
    return _connector_page(bench, form, _fault_of(key))


@blueprint.post("/connectors/<key>/edit")
def change(key: str) -> Response:
    bench, form = open_bench(key), forms.typed(request.form)
    try:
        data = forms.connector_data(bench.table("connector.yaml"), form, _today())
        connectors.change(who(), parts(), bench.key, {"connector.yaml": as_text(data)})
    except ConnectorInvalid as fault:
        return _connector_page(bench, {**form, "key": key}, fault)
    flash("Saved. Flows use it from their next call on.", "success")
    return redirect(f"/connectors/{key}/edit")


def _connector_page(bench: Bench, form: Mapping[str, Any], fault: ConnectorInvalid | None = None) -> Response:
    found = parts().registry.find(bench.key) if bench.folder is not None else None
    triggers = found.triggers if found is not None else {}
    used = connectors.users(pages_db.session, parts(), bench.key)
    return page(
        "connectors/workshop/connector.html",
        status=422 if fault is not None and request.method == "POST" else 200,
        bench=bench,
        form=forms.shown(dict(form)),
        fault=fault,
        connector=found,
        names=file_names(bench.folder) if bench.folder is not None else [],
        polls={key for key, one in triggers.items() if isinstance(one, PollTrigger)},
        used_by=list(used) if bench.is_own and bench.folder else [],
        **_LISTS,
    )


def _fault_of(key: str) -> ConnectorInvalid | None:
    shelf = parts().registry.shelf_of(key)
    return shelf.fault if shelf is not None else None


@blueprint.post("/connectors/<key>/remove")
def remove(key: str) -> Response:
    connectors.remove(who(), parts(), open_bench(key).key)
    flash("The connector is removed.", "success")
    return redirect("/connectors")


# ------------------------------------------------------------------------------- what it can do


@blueprint.get("/connectors/<key>/<any(actions, triggers):part>/new")
def new_operation(key: str, part: str) -> Response:
    bench = open_bench(key)
    return _operation_page(bench, part, "", forms.operation_form(part, {}))


@blueprint.post("/connectors/<key>/<any(actions, triggers):part>/new")
def create_operation(key: str, part: str) -> Response:
    bench, form = open_bench(key), forms.typed(request.form)
    try:
        name = check_name(f"{part}/{str(form.get('key') or '').strip()}.yaml")
        if bench.folder is not None and (bench.folder / name).exists():
            raise ConnectorInvalid(
                f"there is a {_NAMES[part]} with this key already.", file=name, field="key"
            )
        data = forms.operation_data(part, {}, form, _docs(bench))
        connectors.change(who(), parts(), bench.key, {name: as_text(data)})
    except NotFound:
        fault = ConnectorInvalid("write it in small letters, digits and _, such as add_member.", file="key")
        return _operation_page(bench, part, "", form, fault)
    except ConnectorInvalid as fault:
        return _operation_page(bench, part, "", form, fault)
    flash(f"The {_NAMES[part]} is made. Try it with a connection.", "success")
    return redirect(f"/connectors/{key}/{part}/{data['key']}")


@blueprint.get("/connectors/<key>/<any(actions, triggers):part>/<operation>")
def operation(key: str, part: str, operation: str) -> Response:
    bench = open_bench(key)
    data = _operation(bench, part, operation)
    return _operation_page(bench, part, operation, forms.operation_form(part, data), _fault_of(key))


@blueprint.post("/connectors/<key>/<any(actions, triggers):part>/<operation>")
def change_operation(key: str, part: str, operation: str) -> Response:
    bench, form = open_bench(key), forms.typed(request.form)
    old = _operation(bench, part, operation)
    try:
        data = forms.operation_data(part, old, form, _docs(bench))
        connectors.change(who(), parts(), bench.key, {f"{part}/{operation}.yaml": as_text(data)})
    except ConnectorInvalid as fault:
        return _operation_page(bench, part, operation, {**form, "key": operation}, fault)
    flash("Saved. Flows use it from their next call on.", "success")
    return redirect(f"/connectors/{key}/{part}/{operation}")


@blueprint.post("/connectors/<key>/<any(actions, triggers):part>/<operation>/remove")
def remove_operation(key: str, part: str, operation: str) -> Response:
    bench = open_bench(key)
    _operation(bench, part, operation)
    word = _NAMES[part]
    connectors.change(who(), parts(), bench.key, {f"{part}/{operation}.yaml": None})
    flash(f"The {word} is removed.", "success")
    return redirect(f"/connectors/{key}/edit")


def _operation(bench: Bench, part: str, operation: str) -> dict[str, Any]:
    name = check_name(f"{part}/{operation}.yaml")
    if bench.folder is None or not (bench.folder / name).is_file():
        raise NotFound(f"This connector has no such {_NAMES[part]}.")
    data = bench.table(name)
    if part == "triggers" and data.get("kind") != "poll":
        raise NotFound(
            "A trigger that the service calls is changed as a file.",
            remedy=f"Open its file from the page of the connector: {name}",
        )
    return data


def _operation_page(
    bench: Bench, part: str, operation: str, form: Mapping[str, Any], fault: ConnectorInvalid | None = None
) -> Response:
    found = parts().registry.find(bench.key)
    return page(
        "connectors/workshop/operation.html",
        status=422 if fault is not None and request.method == "POST" else 200,
        bench=bench,
        connector=found,
        part=part,
        word=_NAMES[part],
        operation=operation,
        form=forms.shown(dict(form)),
        fault=fault,
        connections=store.list_connections(pages_db.session, connector=bench.key),
        **_LISTS,
    )


def _docs(bench: Bench) -> str:
    return str(bench.table("connector.yaml").get("docs") or "")


@blueprint.post("/connectors/<key>/<any(actions, triggers):part>/<operation>/fields")
def take_fields(key: str, part: str, operation: str) -> Response:
    """After a trial: what later steps can pick is what the service answered."""
    bench = open_bench(key)
    data = _operation(bench, part, operation)
    try:
        fields = forms.fields_of(json.loads(request.form.get("sample", "")))
    except ValueError:
        fields = []
    if not fields:
        raise FlowInvalid("The answer has no fields.", remedy="Write them down by hand.")
    data["output"] = {**(data.get("output") or {}), "fields": fields}
    connectors.change(who(), parts(), bench.key, {f"{part}/{operation}.yaml": as_text(data)})
    flash(f"Later steps can pick {len(fields)} {'field' if len(fields) == 1 else 'fields'} now.", "success")
    return redirect(f"/connectors/{key}/{part}/{operation}")


# --------------------------------------------------------------------------- files, and the way out


@blueprint.get("/connectors/<key>/files/<path:name>")
def show_file(key: str, name: str) -> Response:
    bench = open_bench(key)
    text = read_text(bench.folder, name) if bench.folder is not None else ""
    return page("connectors/workshop/file.html", bench=bench, name=check_name(name), text=text, fault=None)


@blueprint.post("/connectors/<key>/files/<path:name>")
def change_file(key: str, name: str) -> Response:
    bench, text = open_bench(key), request.form.get("text", "")
    try:
        connectors.change(who(), parts(), bench.key, {check_name(name): text})
    except ConnectorInvalid as fault:
        return page(
            "connectors/workshop/file.html", status=422, bench=bench, name=name, text=text, fault=fault
        )
    flash("Saved. Flows use it from their next call on.", "success")
    return redirect(f"/connectors/{key}/edit")


@blueprint.get("/connectors/<key>/export.zip")
def export(key: str) -> Response:
    bench = open_bench(key)
    if bench.folder is None:
        raise NotFound("There is no such connector.", connector=key)
    answer = Response(archive(bench.folder), mimetype="application/zip")
    answer.headers["Content-Disposition"] = f'attachment; filename="{bench.key}.zip"'
    return answer


def _today() -> str:
    return parts().clock.now().date().isoformat()
