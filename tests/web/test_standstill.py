"""After a restore each page says that everything is held, and one button lets it go on."""

from __future__ import annotations

import re

import pytest

from app.errors import Unavailable
from app.parts import Parts
from app.storage.flows.flows import get_flow, set_held
from app.storage.flows.standstill import hold_everything
from app.storage.tables.models import Run
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words


@pytest.fixture
def held(parts: Parts) -> list[str]:
    """Two flows, one of which a person held before, and a run of the other."""
    history, now = History(parts.database), parts.clock.now()
    flows = [history.flow("Orders", [HTTP]), history.flow("Leads", [HTTP])]
    history.run(flows[0], "queued", now)
    parts.database.write(lambda db: set_held(db, flows[1], True, now=now))
    parts.database.write(lambda db: hold_everything(db, now=now, backup_of=now))
    return flows


def _is_held(parts: Parts, flow_id: str) -> bool:
    with parts.database.read() as db:
        return get_flow(db, flow_id).is_held


def _state(parts: Parts) -> str:
    with parts.database.read() as db:
        return str(db.execute(Run.__table__.select()).one().state)


def test_every_page_says_so_and_leads_to_the_flows(browser: Browser, held: list[str]) -> None:
    for path in ("/", "/runs", "/account"):
        shown = browser.get(path).text
        assert "A backup was restored: 1 flow is held, 1 run waits." in words(shown)
        assert 'href="/standstill"' in shown
    listed = words(browser.get("/standstill").text)
    assert "Orders" in listed
    assert "Leads" not in re.sub(r"\s+", " ", listed)


def test_one_button_releases_all_but_what_a_person_held(
    browser: Browser, held: list[str], parts: Parts
) -> None:
    assert browser.post("/standstill/release").status_code == 303
    assert not _is_held(parts, held[0])
    assert _is_held(parts, held[1])
    assert _state(parts) == "queued"
    assert "A backup was restored" not in browser.get("/").text
    assert "Everything goes on as usual" in browser.get("/standstill").text


def test_a_flow_can_be_released_alone(browser: Browser, held: list[str], parts: Parts) -> None:
    browser.post(f"/standstill/flows/{held[0]}")
    assert not _is_held(parts, held[0])
    parts.database.write(lambda db: set_held(db, held[0], True, now=parts.clock.now()))
    assert "Nothing is held" in browser.get("/standstill").text  # by hand is another matter


def test_a_disk_that_is_almost_full_is_said_on_every_page(browser: Browser, parts: Parts) -> None:
    parts.space.wanted = 2**60
    parts.space._looked_until = None
    for path in ("/", "/flows"):
        assert "The disk is almost full" in words(browser.get(path).text)


def test_a_database_that_cannot_be_written_is_said_on_every_page(browser: Browser, parts: Parts) -> None:
    parts.database.writer._trouble = (Unavailable("The disk is full. Nothing was accepted."), 0.0)
    shown = words(browser.get("/runs").text)
    assert "Nothing can be written to the database now. The disk is full." in shown
