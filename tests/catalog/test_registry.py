"""All connectors of a server: bundled, installed and one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog.registry import Registry
from app.errors import ConnectorInvalid, NotFound
from tests.catalog.files import ACTION, CONNECTOR, write_shop


def test_operations_are_found_by_their_keys(tmp_path: Path) -> None:
    write_shop(tmp_path)
    registry = Registry([("bundled", tmp_path)])
    assert [one.key for one in registry.all()] == ["shop"]
    assert registry.find_action("shop", "add") is registry.get("shop").actions["add"]
    assert registry.find_trigger("shop", "paid") is not None
    assert registry.find_lookup("shop", "groups") is not None
    for nothing in (registry.find("x"), registry.find_action("shop", "x"), registry.find_trigger("x", "y")):
        assert nothing is None


def test_an_unknown_connector_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write_shop(tmp_path)
    with pytest.raises(NotFound, match="There is 'shop'"):
        Registry([("bundled", tmp_path)]).get("shpo")


def test_a_broken_connector_hides_no_other(tmp_path: Path) -> None:
    write_shop(tmp_path)
    write_shop(tmp_path, key="broken", actions__add=ACTION.replace("idempotent: true", ""))
    registry = Registry([("bundled", tmp_path)])
    assert [one.key for one in registry.all()] == ["shop"]
    assert [fault.file for fault in registry.broken()] == ["broken/actions/add.yaml"]
    assert registry.find("broken") is None
    with pytest.raises(ConnectorInvalid):
        registry.get("broken")


def test_a_list_of_names_loads_nothing(tmp_path: Path) -> None:
    write_shop(tmp_path, actions__add="not: an action")
    registry = Registry([("bundled", tmp_path)])
    assert [(one.key, one.name, one.category) for one in registry.headings()] == [
        ("shop", "Shop", "commerce")
    ]
    shelf = registry._shelves["shop"]
    assert (shelf.connector, shelf.fault) == (None, None)


def test_the_later_folder_wins_and_says_what_it_overrides(tmp_path: Path) -> None:
    write_shop(tmp_path / "bundled")
    write_shop(tmp_path / "yours", connector=CONNECTOR.replace("name: Shop", "name: Our shop"))
    registry = Registry([("bundled", tmp_path / "bundled"), ("yours", tmp_path / "yours")])
    shelf = registry.shelf_of("shop")
    assert shelf is not None
    assert (shelf.source, shelf.overrides) == ("yours", ("bundled",))
    assert registry.get("shop").name == "Our shop"


def test_a_broken_override_is_not_silently_replaced_by_the_bundled_one(tmp_path: Path) -> None:
    write_shop(tmp_path / "bundled")
    write_shop(tmp_path / "yours", connector="key: shop\n")
    registry = Registry([("bundled", tmp_path / "bundled"), ("yours", tmp_path / "yours")])
    assert registry.find("shop") is None
    assert len(registry.broken()) == 1


def test_folders_that_are_not_there_or_no_connectors_are_passed_over(tmp_path: Path) -> None:
    write_shop(tmp_path)
    write_shop(tmp_path, key="_draft")
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.md").write_text("x")
    registry = Registry([("a", tmp_path), ("b", tmp_path / "nowhere")])
    assert registry.keys() == ["shop"]


def test_reloading_sees_changes_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = write_shop(tmp_path)
    write_shop(tmp_path, key="other")
    registry = Registry([("yours", tmp_path)])
    shop, other, before = registry.get("shop"), registry.get("other"), registry.hash_of("shop")
    (folder / "actions/add.yaml").write_text(ACTION.replace("Add customer", "Add a customer"))
    write_shop(tmp_path, key="fresh")
    registry.reload()
    assert registry.get("shop").actions["add"].label == "Add a customer"
    assert registry.get("shop") is not shop
    assert registry.get("other") is other
    assert registry.hash_of("shop") != before
    assert registry.keys() == ["fresh", "other", "shop"]


def test_icon_and_readme_are_files_of_the_folder(tmp_path: Path) -> None:
    folder = write_shop(tmp_path)
    registry = Registry([("yours", tmp_path)])
    assert registry.icon_of("shop") is None
    (folder / "icon.svg").write_text("<svg/>")
    assert registry.icon_of("shop") == folder / "icon.svg"
    assert registry.icon_of("../../etc") is None
