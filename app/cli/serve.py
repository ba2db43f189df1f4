"""`plumbline serve`."""

from __future__ import annotations

import click

from app.cli.demo import with_demo
from app.server import serve as serve_until_stopped
from app.settings import Settings


@click.command()
@click.option("--demo", "has_demo", is_flag=True, help="With make-believe services and flows to watch.")
def serve(has_demo: bool) -> None:
    """Serve pages and webhooks, run flows, poll and keep the schedules: all in this process."""
    settings = Settings.from_env()
    if not has_demo:
        serve_until_stopped(settings)
        return
    with with_demo(settings) as settings_with_demo:
        serve_until_stopped(settings_with_demo)


commands = [serve]
