"""`plumbline serve`."""

from __future__ import annotations

import click

from app.server import serve as serve_until_stopped
from app.settings import Settings


@click.command()
def serve() -> None:
    """Serve pages and webhooks, run flows, poll and keep the schedules: all in this process."""
    serve_until_stopped(Settings.from_env())


commands = [serve]
