"""People who give commands in tests, and the parts of a server as far as a command about rows needs them."""

from __future__ import annotations

from typing import cast

from app.clock import Clock
from app.commands.who import Who
from app.parts import Parts
from app.storage.database.db import Database

ANA = Who(id="usr_ana", name="Ana", role="editor", via="page")
VIC = Who(id="usr_vic", name="Vic", role="viewer", via="page")


class _Rows:
    """No engine, no services: what only writes rows needs no more."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock


def rows_of(database: Database, clock: Clock) -> Parts:
    return cast("Parts", _Rows(database, clock))
