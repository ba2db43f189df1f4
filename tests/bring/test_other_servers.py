"""Operations that live at another address than the rest: usable, named, and the only other place for keys."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.calls.connections.book import hosts_of
from app.catalog.load import load_connector
from app.catalog.registry import Registry
from app.cli.import_api import import_openapi
from app.errors import CallFailed
from app.imports.apis.draft import Draft
from app.imports.apis.folder import write_connector
from app.imports.apis.given import Given, draft_from
from tests.connectors.samples import connection_for
from tests.connectors.wire import on_the_wire

PRO = "https://pro.weather.example/data/2.5"
LISTED = {"200": {"description": "ok"}}


def document(**paths: Any) -> dict[str, Any]:
    return {
        "openapi": "3.0.3",
        "info": {"title": "Weather", "version": "1"},
        "servers": [{"url": "https://api.weather.example/data/2.5"}],
        "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{"key": []}],
        "paths": {f"/{name}": item for name, item in paths.items()},
    }


def read(**paths: Any) -> Draft:
    root = document(now={"get": {"operationId": "now", "responses": LISTED}}, **paths)
    return draft_from(Given(json.dumps(root).encode(), "weather.json", "2026-11-21"))


def elsewhere(url: str = PRO) -> dict[str, Any]:
    return {"get": {"operationId": "hourly", "responses": LISTED}, "servers": [{"url": url}]}


def test_an_operation_at_another_address_is_usable_and_its_address_shown() -> None:
    draft = read(hourly=elsewhere())
    assert [one.key for one in draft.usable] == ["now", "hourly"]
    assert draft.head["api"]["base_url"] == "https://api.weather.example/data/2.5"
    assert draft.head["api"]["also_at"] == [PRO]
    assert draft.head["check"]["request"]["path"] == "/now", "the connection is tried at its own address"


def test_it_is_called_there_with_the_key_and_the_others_are_not(tmp_path: Path) -> None:
    write_connector(read(hourly=elsewhere()), tmp_path)
    connector = load_connector(tmp_path / "weather")
    connection = connection_for(connector)
    sent = {
        key: on_the_wire(connector, action.requests[0], {}, connection)
        for key, action in connector.actions.items()
    }
    assert {key: one.url for key, one in sent.items()} == {
        "now": "https://api.weather.example/data/2.5/now",
        "hourly": f"{PRO}/hourly",
    }
    assert all("authorization" in {name.lower() for name, _ in one.headers} for one in sent.values())


def test_the_key_goes_to_the_named_addresses_alone(tmp_path: Path) -> None:
    write_connector(read(hourly=elsewhere()), tmp_path)
    connector = load_connector(tmp_path / "weather")
    assert hosts_of(connector, {}) == ("api.weather.example", "pro.weather.example")
    named = replace(connection_for(connector), hosts=("api.weather.example",))
    with pytest.raises(CallFailed, match=r"pro\.weather\.example"):
        on_the_wire(connector, connector.actions["hourly"].requests[0], {}, named)


def test_who_leaves_it_out_sends_no_key_there(tmp_path: Path) -> None:
    write_connector(read(hourly=elsewhere()), tmp_path, only=["now"])
    connector = load_connector(tmp_path / "weather")
    assert (connector.api.also_at, hosts_of(connector, {})) == ((), ("api.weather.example",))


@pytest.mark.parametrize(
    "url",
    [
        "http://pro.weather.example",
        "https://{region}.weather.example",
        "https://pro.weather.example?x=1",
        "https://ana:word@pro.weather.example",
        "https://pro.weather.example/${connection.token}",
        "https://pro.weather.example/\n",
    ],
)
def test_an_address_that_is_not_fixed_and_safe_is_refused_with_its_name(url: str) -> None:
    draft = read(hourly=elsewhere(url))
    [refused] = draft.refused
    assert refused.reason.startswith("It lives at another address, ")
    assert "also_at" not in draft.head["api"]


def test_at_most_ten_other_addresses_are_taken() -> None:
    others = {f"p{n}": elsewhere(f"https://h{n}.weather.example") for n in range(12)}
    draft = read(**others)
    assert len(draft.head["api"]["also_at"]) == 10
    assert len(draft.refused) == 2


def test_a_connector_names_each_other_address_at_its_head(tmp_path: Path) -> None:
    write_connector(read(hourly=elsewhere()), tmp_path)
    head = tmp_path / "weather" / "connector.yaml"
    head.write_text(head.read_text().replace(PRO, "https://other.weather.example"))
    registry = Registry([("mine", tmp_path)])
    assert registry.find("weather") is None
    assert f"'{PRO}' is none of api.also_at" in str(registry.broken()[0])


def test_the_command_names_the_address_the_keys_go_to(tmp_path: Path) -> None:
    file = tmp_path / "weather.json"
    file.write_text(json.dumps(document(hourly=elsewhere(), now={"get": {"responses": LISTED}})))
    runner = CliRunner()
    said = runner.invoke(import_openapi, [str(file), "--dry-run"]).output
    assert f"also at {PRO}: the keys of a connection go there too." in said
    told = runner.invoke(import_openapi, [str(file), "--dry-run", "--json"]).output
    assert json.loads(told)["also_at"] == [PRO]
