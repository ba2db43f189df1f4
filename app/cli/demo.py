"""`plumbline demo` and `plumbline demo-load`: the make-believe services, and flows that use them."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click

from app.cli.demo_process import DemoProcess
from app.cli.opened import opened_parts
from app.errors import SettingInvalid, Unavailable
from app.settings import Settings
from app.storage.database.folder_lock import refuse_second
from seed_data.load import load_demo
from seed_data.services.process import RunningServices, end_with

FIRST_PORT, LAST_PORT = 8090, 8099
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 -- what a person set for the server itself


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"The port to listen on; else the first free one from {FIRST_PORT} to {LAST_PORT}.",
)
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the services keep their things; else they forget them at the end.",
)
@click.option("--parent", type=int, hidden=True, help="End when this process has ended.")
def demo(host: str, port: int | None, file: Path | None, parent: int | None) -> None:
    """Run the make-believe services: a shop, a website, a CRM, an email tool and a chat."""
    running = _open(host, port, file)
    if parent is not None:
        end_with(parent)
    signal.signal(signal.SIGTERM, _as_interrupt)
    moved = port is None and not running.address.endswith(f":{FIRST_PORT}")
    taken = f" (port {FIRST_PORT} is taken)" if moved else ""
    click.echo(f"The demo services are open: {running.address}{taken}")
    with contextlib.suppress(KeyboardInterrupt):
        running.serve()


def _open(host: str, port: int | None, file: Path | None) -> RunningServices:
    try:
        if port is None:
            return RunningServices(host, FIRST_PORT, file, last_port=LAST_PORT)
        return RunningServices(host, port, file)
    except OSError as reason:
        tried = f"ports {FIRST_PORT} to {LAST_PORT} of {host}" if port is None else f"address {host}:{port}"
        raise SettingInvalid(
            f"The {tried} cannot be used ({reason.strerror}).",
            remedy="Stop what listens there, or choose another port with --port.",
        ) from reason


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@click.command("demo-load")
def demo_load() -> None:
    """Add the demo's connections and flows; its services have to run (PLUMBLINE_DEMO_URL)."""
    settings = Settings.from_env()
    if not settings.demo_url:
        raise SettingInvalid(
            "PLUMBLINE_DEMO_URL is not set.",
            remedy=f"Start `plumbline demo`, then set it to http://127.0.0.1:{FIRST_PORT}.",
        )
    with opened_parts(settings) as parts:
        count = len(load_demo(parts))
    click.echo(f"The demo is loaded: {count} flows, reporting from {settings.demo_url}.")


# ------------------------------------------------------------------------ beside the server


@contextmanager
def with_demo(settings: Settings) -> Iterator[Settings]:
    """Starts the services as a process beside this one, loads the demo, and stops them at the end.
    The settings that come out let calls reach the services, and nothing else that is private."""
    refuse_second(settings)  # whose connections would be pointed elsewhere
    port = urlsplit(settings.demo_url).port if settings.demo_url else None
    services = DemoProcess(_listen_on(settings.host), port, settings.data_dir / "demo.db")
    try:
        wanted = _reaching(settings, services.port)
        with opened_parts(wanted) as parts:
            try:
                load_demo(parts)
            except Unavailable as reason:
                click.echo(f"{reason.sentence} The demo's flows may not be told of orders.", err=True)
        click.echo(f"The demo shop is open: {wanted.demo_url}/shop/")
        yield wanted
    finally:
        services.stop()


def _listen_on(host: str) -> str:
    """An IPv4 address: the demo's connectors take no other in the address of their services."""
    if host in _EVERYWHERE:
        return _EVERYWHERE[0]
    return "127.0.0.1" if ":" in host or host == "localhost" else host


def _reaching(settings: Settings, port: int) -> Settings:
    listens_on = _listen_on(settings.host)
    address = f"{'127.0.0.1' if listens_on in _EVERYWHERE else listens_on}:{port}"
    return replace(settings, demo_url=f"http://{address}", allow_targets=(*settings.allow_targets, address))


commands = [demo, demo_load]
