"""The page of a run that waits for its next try has a button that tries now."""

from __future__ import annotations

import pytest

from app.parts import Parts
from app.storage.history.rows import get_row
from app.storage.tables.models import User
from tests.fakes.history import History
from tests.web.browser import Browser

HTTP = {"kind": "http", "id": "s1", "request": {"url": "https://crm.example"}}
BUTTON = "Try now"


def waiting(parts: Parts, reason: str, **more: str) -> str:
    history = History(parts.database)
    sentence = "crm.example answered 503. Attempt 5 follows by itself."
    facts = {"reason": reason, "position": "s1", "sentence": sentence, **more}
    return history.run(history.flow("New order", [HTTP]), "waiting", **facts)


def state(parts: Parts, run_id: str) -> tuple[str, str]:
    with parts.database.read() as db:
        run = get_row(db, run_id)
    return run.state, run.reason


def test_the_button_queues_the_run_and_says_so(browser: Browser, parts: Parts) -> None:
    run = waiting(parts, "retry")
    assert f'action="/runs/{run}/try-now"' in browser.get(f"/runs/{run}").text
    assert browser.post(f"/runs/{run}/try-now").headers["Location"] == f"/runs/{run}"
    html = browser.get(f"/runs/{run}").text
    assert "It is tried now." in html
    assert BUTTON not in html
    assert state(parts, run) == ("queued", "")


def test_pressed_too_late_it_says_that_the_run_goes_on_already(browser: Browser, parts: Parts) -> None:
    run = waiting(parts, "retry")
    browser.post(f"/runs/{run}/try-now")
    browser.get(f"/runs/{run}")
    browser.post(f"/runs/{run}/try-now")
    assert "no longer waits for its next try" in browser.get(f"/runs/{run}").text


def test_a_run_whose_service_is_left_alone_tries_the_connection(browser: Browser, parts: Parts) -> None:
    run = waiting(parts, "away", waits_for="con_1")
    html = browser.get(f"/runs/{run}").text
    assert 'action="/connections/con_1/try-now"' in html
    assert BUTTON in html


@pytest.mark.parametrize("reason", ["delay", "rate_limit", "held_flow", "unknown", "turn"])
def test_what_waits_for_something_else_has_no_such_button(
    browser: Browser, parts: Parts, reason: str
) -> None:
    assert BUTTON not in browser.get(f"/runs/{waiting(parts, reason)}").text


def test_who_may_only_look_does_not_try(browser: Browser, parts: Parts) -> None:
    run = waiting(parts, "retry")
    viewer = User.__table__.update().values(role="viewer")  # type: ignore[attr-defined]
    parts.database.write(lambda db: db.execute(viewer))
    assert BUTTON not in browser.get(f"/runs/{run}").text
    assert browser.post(f"/runs/{run}/try-now").status_code == 403
    assert state(parts, run) == ("waiting", "retry")
