"""Connections and connectors by command: who may not is refused before anything else, and each change has its
row in the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from app.commands import connecting, connections, connectors
from app.commands.connections import Entered
from app.commands.who import Who
from app.errors import FlowInvalid, NotAllowed
from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.connections.connections import get_connection
from app.storage.people import audit
from tests.fakes.people import ANA, VIC

Deed = Callable[[Who, Parts], Any]

KEY = Entered("Our CRM", "bearer", {"host": "api.example.com"}, {"token": "s3cr3t-token-value"})
NOTHING = cast("Any", object())
EDITORS: dict[str, Deed] = {
    "connect": lambda who, parts: connections.connect(who, parts, "http", KEY),
    "reconnect": lambda who, parts: connections.reconnect(who, parts, "con_1", KEY),
    "rename": lambda who, parts: connections.rename(who, parts, "con_1", "CRM"),
    "test": lambda who, parts: connections.test(who, parts, "con_1"),
    "hold": lambda who, parts: connections.hold(who, parts, "con_1", ""),
    "resume": lambda who, parts: connections.resume(who, parts, "con_1"),
    "set_limits": lambda who, parts: connections.set_limits(who, parts, "con_1", None),
    "try_now": lambda who, parts: connections.try_now(who, parts, "con_1"),
    "disconnect": lambda who, parts: connections.disconnect(who, parts, "con_1"),
    "delete": lambda who, parts: connections.delete(who, parts, "con_1"),
    "begin_connect": lambda who, parts: connecting.begin_connect(who, parts, NOTHING, NOTHING, NOTHING),
    "finish_connect": lambda who, parts: connecting.finish_connect(who, parts, NOTHING, {}),
    "reload": connectors.reload,
}
ADMINS: dict[str, Deed] = {
    "register_app": lambda who, parts: connecting.register_app(
        who, parts, NOTHING, NOTHING, client_id="one", secret="two"
    ),
    "remove_app": lambda who, parts: connecting.remove_app(who, parts, NOTHING, NOTHING),
    "create": lambda who, parts: connectors.create(who, parts, "club", {}),
    "change": lambda who, parts: connectors.change(who, parts, "club", {}),
    "remove": lambda who, parts: connectors.remove(who, parts, "club"),
    "make_from_api": lambda who, parts: connectors.make_from_api(who, parts, NOTHING, []),
}


@pytest.mark.parametrize("deed", EDITORS.values(), ids=EDITORS)
def test_who_may_only_look_is_refused_before_anything_is_read(deed: Deed) -> None:
    with pytest.raises(NotAllowed, match="cannot change"):
        deed(VIC, NOTHING)


@pytest.mark.parametrize("deed", ADMINS.values(), ids=ADMINS)
def test_what_decides_where_keys_are_sent_is_for_administrators(deed: Deed) -> None:
    with pytest.raises(NotAllowed, match="Only administrators"):
        deed(ANA, NOTHING)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data_dir=tmp_path, secret_key="5a" * 32))
    yield parts
    parts.database.close()


def actions(parts: Parts, noun: str, noun_id: str) -> list[str]:
    with parts.database.read() as db:
        return [row.action for row in reversed(audit.entries(db, noun=noun, noun_id=noun_id))]


def test_each_change_of_a_connection_has_its_row_in_the_record(parts: Parts) -> None:
    connection_id, checked = connections.connect(ANA, parts, "http", KEY)
    assert checked.ok is None  # no engine, so nothing was sent
    connections.rename(ANA, parts, connection_id, " CRM ")
    connections.hold(ANA, parts, connection_id, "We move.")
    connections.hold(ANA, parts, connection_id, "Twice is once.")
    assert connections.resume(ANA, parts, connection_id) == 0
    assert connections.resume(ANA, parts, connection_id) == 0
    connections.reconnect(ANA, parts, connection_id, replace(KEY, name="CRM 2"))
    connections.set_limits(ANA, parts, connection_id, {"at_once": 2})
    connections.try_now(ANA, parts, connection_id)
    connections.disconnect(ANA, parts, connection_id)
    connections.delete(ANA, parts, connection_id)
    assert actions(parts, "connection", connection_id) == [
        *("connected", "renamed", "held", "resumed", "reconnected"),
        *("changed the limits", "tried it again", "disconnected", "deleted"),
    ]


def test_a_change_that_cannot_go_on_record_is_not_made(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    connection_id, _ = connections.connect(ANA, parts, "http", KEY)

    def fails(*_given: object, **_more: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", fails)
        for deed in (
            lambda: connections.rename(ANA, parts, connection_id, "CRM"),
            lambda: connections.hold(ANA, parts, connection_id, "We move."),
            lambda: connections.delete(ANA, parts, connection_id),
        ):
            with pytest.raises(ZeroDivisionError):
                deed()
    with parts.database.read() as db:
        row = get_connection(db, connection_id)
    assert (row.name, row.is_held) == ("Our CRM", False)


def test_a_connection_keeps_a_name_that_people_can_read(parts: Parts) -> None:
    connection_id, _ = connections.connect(ANA, parts, "http", KEY)
    for name in ("  ", "x" * 101):
        with pytest.raises(FlowInvalid, match="up to 100 characters"):
            connections.rename(ANA, parts, connection_id, name)
    assert actions(parts, "connection", connection_id) == ["connected"]


def test_a_connector_of_ones_own_is_made_changed_and_removed_with_a_row_each(parts: Parts) -> None:
    admin = replace(ANA, role="admin")
    source = next(one for one in parts.registry.all() if one.key == "slack")
    shelf = parts.registry.shelf_of(source.key)
    assert shelf is not None
    text = (shelf.folder / "connector.yaml").read_text(encoding="utf-8")
    connectors.change(admin, parts, "slack", {"connector.yaml": f"# ours\n{text}"})
    assert (parts.settings.connectors_folder / "slack" / "connector.yaml").is_file()
    connectors.remove(admin, parts, "slack")
    assert parts.registry.find("slack") is not None  # the bundled one again
    assert actions(parts, "connector", "slack") == ["changed", "removed"]
