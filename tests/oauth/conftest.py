"""An engine with the club's connector, and the club's services faked at the transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.parts import open_parts
from app.settings import Settings
from app.storage.people import passwords, users
from tests.engine.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.migrated import put_file
from tests.oauth.club import register, write_club
from tests.oauth.visit import TOKENS
from tests.web.browser import Browser
from tests.web.pages import pages_over


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    service, clock = FakeService(), FakeClock()
    folder = write_club(tmp_path / "connectors")
    put_file(tmp_path)
    settings = Settings(data_dir=tmp_path, secret_key="5a" * 32, connectors_path=str(folder))
    parts = open_parts(settings, clock=clock, transport=service.transport)
    register(parts.database, parts.vault, clock.now())
    parts.engine.start()
    yield World(parts, service, clock)
    parts.engine.stop(2)
    parts.database.close()


@pytest.fixture
def welcome(world: World) -> World:
    """A club that gives a token and says whose it is."""
    world.service.answers("POST", "/token", TOKENS)
    world.service.answers("GET", "/me", {"name": "Harbour Club"})
    world.service.answers("POST", "/members", {"id": 7})
    return world


@pytest.fixture(scope="session")
def kept_password() -> str:
    return passwords.hash_password("correct horse battery")


@pytest.fixture
def ana(world: World, kept_password: str) -> Browser:
    """Ana, an administrator of this Plumbline, signed in."""
    return person(world, kept_password, "ana@example.com", "Ana Silva", "admin")


@pytest.fixture
def ben(world: World, ana: Browser, kept_password: str) -> Browser:
    """Ben, who may change flows and connections."""
    return person(world, kept_password, "ben@example.com", "Ben Okafor", "editor")


def person(world: World, password: str, email: str, name: str, role: str) -> Browser:
    facts = {"email": email, "name": name, "password_hash": password, "role": role}
    now = world.clock.now()
    world.parts.database.write(lambda db: users.create_user(db, **facts, now=now))
    with world.parts.database.read() as db:
        user = users.find_user(db, email)
    assert user is not None
    browser = Browser(pages_over(world.parts))
    browser.enter(user)
    return browser
