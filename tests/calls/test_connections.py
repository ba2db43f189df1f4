"""The book of connections: facts with opened secrets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.calls.connections.book import ConnectionBook, hosts_of, read_host, seal_secrets
from app.calls.connections.builtin import BUILT_IN
from app.catalog.registry import Registry
from app.errors import ConnectionBroken, NotFound
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.tables.models import Connection

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def vault() -> Vault:
    return Vault(b"k" * 32)


@pytest.fixture
def book(database: Database, vault: Vault, tmp_path: Path) -> ConnectionBook:
    return ConnectionBook(database, vault, Registry([]))


def keep(database: Database, sealed: bytes | None, **facts: Any) -> str:
    row = {
        "id": "con_1",
        "connector": "http",
        "name": "Shop",
        "auth": "bearer",
        "public": {"host": "https://Shop.example.com/v1"},
        "secrets": sealed,
        "state": "ok",
        "state_sentence": "",
        "definition_hash": "",
        "created_at": NOW,
        "updated_at": NOW,
        **facts,
    }
    database.write(lambda db: db.execute(insert(Connection), row))
    return str(row["id"])


def test_a_connection_is_given_with_its_secrets_and_its_host(
    database: Database, vault: Vault, book: ConnectionBook
) -> None:
    keep(database, seal_secrets(vault, "con_1", {"token": "abc-12345"}))
    facts = book.get("con_1")
    assert (facts.name, facts.secrets, facts.hosts) == ("Shop", {"token": "abc-12345"}, ("shop.example.com",))
    assert facts.auth is not None
    assert facts.auth.key == "bearer"
    assert "abc-12345" not in repr(facts)
    assert book.get("con_1") is facts


def test_a_change_is_seen_after_it_was_announced(
    database: Database, vault: Vault, book: ConnectionBook
) -> None:
    keep(database, seal_secrets(vault, "con_1", {"token": "abc-12345"}))
    book.get("con_1")
    database.write(
        lambda db: db.execute(update(Connection).values(state="broken", state_sentence="Expired."))
    )
    book.forget("con_1")
    assert (book.get("con_1").state, book.get("con_1").state_sentence) == ("broken", "Expired.")


def test_an_unknown_connection_is_told(book: ConnectionBook) -> None:
    with pytest.raises(NotFound) as failed:
        book.get("con_none")
    assert "is not there any more" in failed.value.sentence


def test_a_connection_whose_connector_is_gone_is_broken(database: Database, book: ConnectionBook) -> None:
    keep(database, None, connector="gone")
    with pytest.raises(ConnectionBroken) as failed:
        book.get("con_1")
    assert "“gone”" in failed.value.sentence


def test_secrets_moved_from_another_row_do_not_open(
    database: Database, vault: Vault, book: ConnectionBook
) -> None:
    keep(database, seal_secrets(vault, "con_2", {"token": "abc-12345"}))
    with pytest.raises(ConnectionBroken) as failed:
        book.get("con_1")
    assert "cannot be opened" in failed.value.sentence


def test_secrets_of_another_master_key_do_not_open(database: Database, book: ConnectionBook) -> None:
    keep(database, seal_secrets(Vault(b"x" * 32), "con_1", {"token": "abc-12345"}))
    with pytest.raises(ConnectionBroken):
        book.get("con_1")


@pytest.mark.parametrize(
    ("entered", "host"),
    [
        ("api.example.com", "api.example.com"),
        (" API.Example.com. ", "api.example.com"),
        ("https://api.example.com/v1?x", "api.example.com"),
        ("https://api.example.com:443", "api.example.com"),
        ("https://api.example.com:8443/", "api.example.com:8443"),
        ("http://api.example.com", "http://api.example.com"),
        ("http://127.0.0.1:8090/x", "http://127.0.0.1:8090"),
        ("127.0.0.1:8090", "127.0.0.1:8090"),
        ("https://user@api.example.com", "api.example.com"),
        ("[::1]:8090", "[::1]:8090"),
        ("", ""),
        ("   ", ""),
    ],
)
def test_a_host_is_understood_however_it_is_entered(entered: str, host: str) -> None:
    assert read_host(entered) == host


def test_a_connection_of_ones_own_may_have_several_hosts() -> None:
    hosts = hosts_of(BUILT_IN["http"], {"host": "a.example, https://b.example/x c.example:8443"})
    assert hosts == ("a.example", "b.example", "c.example:8443")
    assert hosts_of(BUILT_IN["http"], {}) == ()
