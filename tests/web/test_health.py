"""The health page says what the command says, and only to administrators."""

from __future__ import annotations

from flask import Flask

from app.parts import Parts
from app.storage import users
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD
from tests.web.test_runs import words


def test_what_is_wrong_comes_first_with_what_to_do(browser: Browser, parts: Parts) -> None:
    (parts.settings.data_dir / "secret.key").write_text("5a" * 32)
    (parts.settings.data_dir / "secret.key").chmod(0o644)
    shown = words(browser.get("/health").text)
    assert "Other users of this machine can read" in shown
    assert "chmod 600" in shown
    assert shown.index("Other users of this machine can read") < shown.index("The database file is whole.")


def test_an_editor_does_not_see_the_server(app: Flask, parts: Parts, kept_password: str) -> None:
    now = parts.clock.now()
    parts.database.write(
        lambda c: users.create_user(
            c, email="ed@example.com", name="Ed", password_hash=kept_password, role="editor", now=now
        )
    )
    editor = Browser(app)
    editor.sign_in("ed@example.com", PASSWORD)
    assert editor.get("/health").status_code == 403
    saved = editor.post("/settings/history", {"well_days": "1", "failed_days": "90", "most_runs": ""})
    assert saved.status_code == 403
