"""The health page says what the command says, and only to administrators."""

from __future__ import annotations

from app.changes import DoorEnded
from app.parts import Parts
from tests.web.browser import Browser, words


def test_what_is_wrong_comes_first_with_what_to_do(browser: Browser, parts: Parts) -> None:
    (parts.settings.data_dir / "secret.key").write_text("5a" * 32)
    (parts.settings.data_dir / "secret.key").chmod(0o644)
    shown = words(browser.get("/health").text)
    assert "Other users of this machine can read" in shown
    assert "chmod 600" in shown
    assert shown.index("Other users of this machine can read") < shown.index("The database file is whole.")


def test_deliveries_that_come_in_more_slowly_are_explained(browser: Browser, parts: Parts) -> None:
    assert "takes deliveries ended" not in words(browser.get("/health").text)
    parts.changes.tell(DoorEnded(parts.clock.now()))
    shown = words(browser.get("/health").text)
    assert "takes deliveries ended" in shown
    assert "Start Plumbline again" in shown


def test_an_editor_does_not_see_the_server(editor: Browser) -> None:
    assert editor.get("/health").status_code == 403
    saved = editor.post("/settings/history", {"well_days": "1", "failed_days": "90", "most_runs": ""})
    assert saved.status_code == 403
