"""A whole server over an empty database, with somebody signed in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.people import passwords, users
from tests.fakes.history import HTTP, NEXT, History
from tests.fakes.service import FakeService
from tests.migrated import put_file
from tests.web.browser import Browser
from tests.web.pages import pages_over

EMAIL, PASSWORD = "ana@example.com", "correct horse battery"


@pytest.fixture(scope="session")
def kept_password() -> str:
    """Hashing takes its time on purpose; once is enough for all tests."""
    return passwords.hash_password(PASSWORD)


@pytest.fixture
def service() -> FakeService:
    """The world outside: a test says what it answers."""
    return FakeService()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, secret_key="5a" * 32)


@pytest.fixture
def empty(settings: Settings, service: FakeService) -> Iterator[Parts]:
    """As after the very first start: nobody has an account."""
    put_file(settings.data_dir)
    parts = open_parts(settings, transport=service.transport)
    yield parts
    parts.engine.stop(1)
    parts.database.close()


@pytest.fixture
def parts(empty: Parts, kept_password: str) -> Parts:
    now = empty.clock.now()
    empty.database.write(
        lambda db: users.create_user(
            db, email=EMAIL, name="Ana Silva", password_hash=kept_password, role="admin", now=now
        )
    )
    return empty


@pytest.fixture
def app(parts: Parts) -> Flask:
    return pages_over(parts)


def signed_in(app: Flask, parts: Parts, email: str) -> Browser:
    with parts.database.read() as db:
        user = users.find_user(db, email)
    assert user is not None
    browser = Browser(app)
    browser.enter(user)
    return browser


@pytest.fixture
def stranger(app: Flask) -> Browser:
    return Browser(app)


@pytest.fixture
def browser(app: Flask, parts: Parts) -> Browser:
    """Ana, an administrator, signed in."""
    return signed_in(app, parts, EMAIL)


@pytest.fixture
def editor(app: Flask, parts: Parts, kept_password: str) -> Browser:
    """Ed, who may change flows and connections, not people and settings."""
    now = parts.clock.now()
    parts.database.write(
        lambda db: users.create_user(
            db, email="ed@example.com", name="Ed", password_hash=kept_password, role="editor", now=now
        )
    )
    return signed_in(app, parts, "ed@example.com")


@pytest.fixture
def viewer(app: Flask, parts: Parts, kept_password: str) -> Browser:
    """Eva, who may look and change nothing."""
    now = parts.clock.now()
    parts.database.write(
        lambda db: users.create_user(
            db, email="eva@example.com", name="Eva", password_hash=kept_password, role="viewer", now=now
        )
    )
    return signed_in(app, parts, "eva@example.com")


@pytest.fixture
def history(parts: Parts) -> History:
    """Writes runs as if they had happened."""
    return History(parts.database)


@pytest.fixture
def flow(history: History) -> str:
    """A flow of two web requests."""
    return history.flow("New order", [HTTP, NEXT])
