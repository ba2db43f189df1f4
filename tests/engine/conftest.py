"""An engine over a real database, with the services it calls faked at the transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.parts import open_parts
from app.settings import Settings
from tests.engine.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.migrated import put_file


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    service, clock = FakeService(), FakeClock()
    put_file(tmp_path)
    settings = Settings(data_dir=tmp_path, secret_key="5a" * 32)
    parts = open_parts(settings, clock=clock, transport=service.transport)
    parts.engine.start()
    yield World(parts, service, clock)
    parts.engine.stop(2)
    parts.database.close()
