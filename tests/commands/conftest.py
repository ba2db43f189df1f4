"""Commands over the intake of `tests/intake`, whose engine notes what it is handed."""

from tests.intake.conftest import clock, server, service

__all__ = ["clock", "server", "service"]
