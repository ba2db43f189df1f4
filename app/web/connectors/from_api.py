"""Connectors → Add an API: a file, an address or a text becomes a connector one can use at once."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from flask import Blueprint, Response, flash, request

from app.calls.http.client import CallOutcome
from app.calls.http.documents import Documents
from app.calls.message.call import CallRequest
from app.commands.connections import Entered, connect, free_name
from app.commands.connectors import make_from_api
from app.errors import AppError, ConnectorInvalid, NotFound
from app.ids import new_id
from app.imports.apis.changes import Changes, changes_of
from app.imports.apis.choices import Choices
from app.imports.apis.draft import Draft
from app.imports.apis.fetching import draft_with_references
from app.imports.apis.folder import read_origin
from app.imports.apis.given import Given
from app.imports.apis.reading import MOST_BYTES
from app.storage.database.db import pages_db
from app.storage.flows.flows import connector_uses
from app.web.connections.page import tell
from app.web.frame.context import my_id, only_admins, parts, who
from app.web.frame.hx import page, redirect

blueprint = Blueprint("bring_api", __name__)

_KEY = re.compile(r"[a-z][a-z0-9_]{1,47}")
_PENDING_ID = re.compile(r"api_[0-9A-Za-z]{1,60}")
_FETCH_S = 30
_DAY_S = 86_400
_MOST_PENDING = 50
_FOR_ADMINS = "add an API"  # a connector decides where keys are sent


@dataclass
class Ask:
    """What somebody filled in on the first page."""

    address: str = ""
    text: str = ""
    choices: Choices = field(default_factory=Choices)


@dataclass(frozen=True)
class UsedBy:
    """A flow that uses what is gone."""

    flow_id: str
    name: str
    operations: tuple[str, ...]


@blueprint.get("/connectors/bring")
def ask() -> Response:
    return _ask(Ask(address=request.args.get("address", "")), None)


@blueprint.post("/connectors/bring")
def read() -> Response:
    only_admins(_FOR_ADMINS)
    form = request.form
    said = Choices(server=form.get("server", "").strip(), auth=form.get("auth", ""))
    asked = Ask(
        form.get("address", "").strip(),
        form.get("text", ""),
        replace(said, auth_name=form.get("auth_name", "").strip()),
    )
    try:
        draft = draft_with_references(_given(asked), _documents().fetch)
    except AppError as reason:
        return _ask(asked, reason, 422)
    _settle_key(draft)
    return redirect(f"/connectors/bring/{_keep(draft)}")


@blueprint.get("/connectors/bring/<pending_id>")
def report(pending_id: str) -> Response:
    return _report(pending_id, _find(pending_id), None)


@blueprint.post("/connectors/bring/<pending_id>")
def make(pending_id: str) -> Response:
    only_admins(_FOR_ADMINS)
    draft = _find(pending_id)
    chosen = request.form.getlist("operation")
    try:
        _name(draft, request.form.get("name", ""), request.form.get("key", ""))
        replaces = request.form.get("replace") == draft.key and read_origin(_place(draft.key)) is not None
        made = make_from_api(who(), parts(), draft, chosen, replaces=replaces)
    except AppError as reason:
        return _report(pending_id, draft, reason, chosen=chosen, status=422)
    _forget(pending_id)
    flash(f"“{draft.name}” is ready: {len(made.actions)} actions, {len(made.triggers)} triggers.", "success")
    if request.form.get("connect") and (draft.secrets or draft.public):
        return _connect(draft)
    if replaces:
        return redirect(f"/connectors/{draft.key}")
    return redirect(f"/connections/new?connector={draft.key}")


# ---------------------------------------------------------------------------------- what is read


def _given(asked: Ask) -> Given:
    """An address before a file before a text; exactly one is enough."""
    today = parts().clock.now().date().isoformat()
    if asked.address:
        content = _documents().fetch(asked.address)
        return Given(content, asked.address, today, home=asked.address, choices=asked.choices)
    upload = request.files.get("file")
    if upload is not None and upload.filename:
        content = upload.read(MOST_BYTES + 1)
        return Given(content, upload.filename[:120], today, choices=asked.choices)
    if asked.text.strip():
        content = asked.text.encode("utf-8", "replace")
        return Given(content, "the text", today, choices=asked.choices)
    raise ConnectorInvalid(
        "there is no address, no file and no text yet.", file="Add an API", remedy="Fill in one of the three."
    )


def _documents() -> Documents:
    """Through the server's own caller: its guard, its transport."""

    def send(call: CallRequest) -> CallOutcome:
        outcome: CallOutcome = parts().engine.spawn(parts().caller.send(call)).result(_FETCH_S)
        return outcome

    return Documents(parts().settings, send)


def _settle_key(draft: Draft) -> None:
    """A bundled connector of the same name is not silently replaced; one brought in before is updated."""
    taken = set(parts().registry.keys())
    if draft.key not in taken or read_origin(_place(draft.key)) is not None:
        return
    keys = [f"{draft.key[:40]}_api{number}" for number in ("", *range(2, 1000))]
    draft.key = draft.head["key"] = next(
        key for key in keys if key not in taken or read_origin(_place(key)) is not None
    )


def _place(key: str) -> Path:
    return parts().settings.connectors_folder / key


def _name(draft: Draft, name: str, key: str) -> None:
    name, key = name.strip() or draft.name, key.strip() or draft.key
    if not _KEY.fullmatch(key):
        raise ConnectorInvalid(
            "a key has small letters, digits and _ only, such as my_shop.", file=key[:60], field="key"
        )
    if len(name) > 80 or not name.isprintable():
        raise ConnectorInvalid("the name is one line of at most 80 characters.", file=key, field="name")
    if key != draft.key and parts().registry.shelf_of(key) is not None:
        raise ConnectorInvalid("there is a connector of that key already.", file=key, field="key")
    draft.key = draft.head["key"] = key
    draft.name = draft.head["name"] = name


# ------------------------------------------------------------ read, and waiting for a choice


def _keep(draft: Draft) -> str:
    """Seals it, since keys may have stood in what was pasted; only who brought it sees it."""
    folder = _pending()
    folder.mkdir(parents=True, exist_ok=True)
    now = parts().clock.now().timestamp()
    kept = sorted(folder.glob("api_*.sealed"), key=lambda one: one.stat().st_mtime, reverse=True)
    for number, old in enumerate(kept):  # the oldest make room
        if number >= _MOST_PENDING or now - old.stat().st_mtime > _DAY_S:
            old.unlink(missing_ok=True)
    pending_id = new_id("api")
    sealed = parts().vault.seal(json.dumps(draft.as_json()).encode(), f"{pending_id}:{my_id()}")
    file = folder / f"{pending_id}.sealed"
    file.touch(mode=0o600)
    file.write_bytes(sealed)
    return pending_id


def _find(pending_id: str) -> Draft:
    """Raises NotFound."""
    file = _pending() / f"{pending_id}.sealed"
    gone = NotFound("This description is no longer here.", remedy="Bring it in again.")
    if not _PENDING_ID.fullmatch(pending_id) or not file.is_file():
        raise gone
    try:
        plain = parts().vault.open(file.read_bytes(), f"{pending_id}:{my_id()}")
    except Exception as reason:  # whoever else asks learns nothing
        raise gone from reason
    return Draft.from_json(json.loads(plain))


def _forget(pending_id: str) -> None:
    if _PENDING_ID.fullmatch(pending_id):
        (_pending() / f"{pending_id}.sealed").unlink(missing_ok=True)


def _pending() -> Path:
    return parts().settings.data_dir / "imports"


# -------------------------------------------------------------------------------------- the pages


def _ask(asked: Ask, reason: AppError | None, status: int = 200) -> Response:
    return page("connectors/from_api/ask.html", status=status, asked=asked, reason=reason)


def _report(
    pending_id: str,
    draft: Draft,
    reason: AppError | None,
    *,
    chosen: list[str] | None = None,
    status: int = 200,
) -> Response:
    origin = read_origin(_place(draft.key))
    changes = changes_of(origin, draft) if origin is not None else None
    before = set(origin["operations"]) if origin is not None else set()
    if chosen is None:
        chosen = [one.key for one in draft.usable if not before or one.key in before or not one.deprecated]
    return page(
        "connectors/from_api/report.html",
        status=status,
        pending_id=pending_id,
        draft=draft,
        reason=reason,
        chosen=set(chosen),
        changes=changes,
        used_by=_used_by(draft.key, changes) if changes is not None else [],
    )


def _used_by(key: str, changes: Changes) -> list[UsedBy]:
    """Flows whose draft or live version names an operation that is gone."""
    found = []
    for uses in connector_uses(pages_db.session, key):
        names = uses.actions & set(changes.gone) | uses.triggers & set(changes.gone_triggers)
        if names:
            found.append(UsedBy(uses.flow.id, uses.flow.name, tuple(sorted(names))))
    return found


# ---------------------------------------------------------------------------------- a connection


def _connect(draft: Draft) -> Response:
    """With the keys that stood in what was pasted; they are sealed, and in no file."""
    auth = str(draft.head["auth"][0]["key"])
    name = free_name(pages_db.session, draft.name)
    made, checked = connect(who(), parts(), draft.key, Entered(name, auth, draft.public, draft.secrets))
    tell(checked, f"“{name}” is connected.")
    return redirect(f"/connections/{made}")
