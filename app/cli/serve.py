"""`plumbline serve`, and `plumbline worker` and `plumbline scheduler` beside it on PostgreSQL."""

from __future__ import annotations

import click
from sqlalchemy.engine import make_url

from app.cli.demo import with_demo
from app.parts import ALL_ROLES
from app.server.background import run
from app.server.door import door_beside, pays
from app.server.serve import serve as serve_until_stopped
from app.settings import Settings


@click.command()
@click.option("--demo", "has_demo", is_flag=True, help="With make-believe services and flows to watch.")
@click.option("--embedded", "does_all", is_flag=True, help="On PostgreSQL too: without workers beside it.")
def serve(has_demo: bool, does_all: bool) -> None:
    """Serve pages and webhooks, run flows, poll and keep the schedules.

    On PostgreSQL it serves pages and webhooks only; start `plumbline worker` and `plumbline scheduler`
    beside it, or say --embedded.
    """
    settings = Settings.from_env()
    is_sqlite = make_url(settings.database).get_backend_name() == "sqlite"
    roles = ALL_ROLES if is_sqlite or does_all or has_demo else frozenset(("web",))
    with door_beside(is_sqlite and settings.door_process and pays()) as door:
        if not has_demo:
            serve_until_stopped(settings, roles, door=door)
            return
        with with_demo(settings) as settings_with_demo:
            serve_until_stopped(settings_with_demo, roles, door=door)


@click.command()
def worker() -> None:
    """Perform runs; as many of these as you like, on as many machines, on one PostgreSQL."""
    run(Settings.from_env(), "worker")


@click.command()
def scheduler() -> None:
    """Poll, keep schedules and wake what waits, on PostgreSQL; of several, one does and the others stand
    by."""
    run(Settings.from_env(), "scheduler")


commands = [serve, worker, scheduler]
