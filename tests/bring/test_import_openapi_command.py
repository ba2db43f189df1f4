"""`plumbline connectors import-openapi`: what a person at a terminal sees, and what then loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.catalog.registry import Registry
from app.cli import commands

SHOP: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Lemon Shop API", "version": "2"},
    "servers": [{"url": "https://api.lemon.example/v2"}],
    "security": [{"key": []}],
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}},
    "paths": {
        "/orders": {
            "get": {"summary": "List orders", "responses": {"200": {"description": "ok"}}},
            "post": {
                "operationId": "createOrder",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["email"],
                                "properties": {
                                    "email": {"type": "string", "format": "email"},
                                    "address": {"type": "object", "properties": {"city": {"type": "string"}}},
                                },
                            }
                        }
                    },
                },
            },
            "head": {"summary": "Is anything there"},
        }
    },
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(SHOP))
    return file


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(commands, ["connectors", "import-openapi", *map(str, words)])


def test_a_document_becomes_a_connector_that_loads(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    said = json.loads(run(shop, "--json", "--folder", folder).stdout)
    assert (said["operations"], said["imported"]) == (3, 2)
    assert [one["operation"] for one in said["refused"]] == ["HEAD /orders"]
    connector = Registry([("yours", folder)]).get("lemon_shop")
    assert set(connector.actions) == {"list_orders", "create_order"} or "create_order" in connector.actions
    fields = {field.key: field for field in connector.actions["create_order"].input}
    assert fields["email"].required
    assert fields["email"].type == "email"
    assert fields["address_city"].label == "Address: City"
    assert connector.actions["create_order"].requests[0].body == {
        "email": "${input.email}",
        "address": {"city": "${input.address_city}"},
    }
    assert connector.auth[0].type == "api_key"


def test_a_dry_run_writes_nothing(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    said = json.loads(run(shop, "--json", "--dry-run", "--folder", folder).stdout)
    assert said["imported"] == 2
    assert not folder.exists()


def test_only_the_named_operations_are_taken(shop: Path, tmp_path: Path) -> None:
    said = json.loads(run(shop, "--json", "--folder", tmp_path / "c", "--only", "POST /orders").stdout)
    assert [one["operation"] for one in said["actions"]] == ["POST /orders"]
    unknown = run(shop, "--folder", tmp_path / "d", "--only", "nothing")
    assert unknown.exit_code == 2
    assert "nothing" in unknown.output


def test_a_connector_is_not_overwritten_unless_one_says_so(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    assert run(shop, "--folder", folder).exit_code == 0
    again = run(shop, "--folder", folder)
    assert again.exit_code == 2
    assert "already" in again.output
    assert run(shop, "--folder", folder, "--replace").exit_code == 0
    assert [one.name for one in folder.iterdir()] == ["lemon_shop"]


def test_a_file_that_is_no_document_is_refused_with_file_and_reason(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Dear Ana,\nthe meeting is at nine.")
    said = run(file, "--json", "--folder", tmp_path / "connectors")
    assert said.exit_code == 2
    assert "notes.txt" in said.output
    assert not (tmp_path / "connectors").exists()
