"""An engine with the club's connector, and the club's services faked at the transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.parts import open_parts
from app.settings import Settings
from tests.engine.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.oauth.club import register, write_club


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    service, clock = FakeService(), FakeClock()
    folder = write_club(tmp_path / "connectors")
    settings = Settings(data_dir=tmp_path, secret_key="5a" * 32, connectors_path=str(folder))
    parts = open_parts(settings, clock=clock, transport=service.transport)
    register(parts.database, parts.vault, clock.now())
    parts.engine.start()
    yield World(parts, service, clock)
    parts.engine.stop(2)
    parts.database.close()
