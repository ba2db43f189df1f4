"""The ground the other tests stand on."""

from __future__ import annotations

import socket

import pytest
from playwright.sync_api import Page
from sqlalchemy import text

from app.storage.database.db import Database
from tests import network


@pytest.mark.postgres
def test_a_marked_test_meets_both_databases(database: Database, database_kind: str) -> None:
    with database.read() as db:
        assert db.dialect.name == database_kind
        assert db.scalar(text("SELECT count(*) FROM runs")) == 0


def test_the_network_is_out_of_reach() -> None:
    with pytest.raises(OSError, match="may not leave"):
        socket.create_connection(("93.184.215.14", 80), timeout=1)
    with pytest.raises(OSError, match="may not leave"):
        socket.create_connection(("www.plumbline-check.com", 80), timeout=1)
    assert len(network.attempts) == 2
    network.attempts.clear()


def test_a_page_that_breaks_its_own_rules_is_noticed(page: Page, console_errors: list[str]) -> None:
    page.set_content(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'self'\"><b style='color:red'>"
    )
    page.evaluate("console.error('broken')")
    assert any("Content Security Policy" in line for line in console_errors)
    assert any("broken" in line for line in console_errors)
    console_errors.clear()
