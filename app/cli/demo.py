"""`plumbline demo` and `plumbline demo-load`: the make-believe services, and flows that use them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click
import httpx

from app.cli.opened import opened_parts
from app.errors import SettingInvalid, Unavailable
from app.settings import Settings
from seed_data.load import load_demo
from seed_data.services.process import RunningServices, end_with

FIRST_PORT = 8090
_LAST_PORT = 8099
_START_S = 20.0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=FIRST_PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the services keep their things; else they forget them at the end.",
)
@click.option("--parent", type=int, hidden=True, help="End when this process has ended.")
def demo(host: str, port: int, file: Path | None, parent: int | None) -> None:
    """Run the make-believe services: a shop, a website, a CRM, an e-mail tool and a chat."""
    try:
        running = RunningServices(host, port, file)
    except (OSError, SystemExit) as reason:
        raise SettingInvalid(
            f"The address {host}:{port} cannot be used.",
            remedy="Stop what listens there, or choose another port with --port.",
        ) from reason
    if parent is not None:
        end_with(parent)
    signal.signal(signal.SIGTERM, _as_interrupt)
    click.echo(f"The demo services are open: {running.address}")
    with contextlib.suppress(KeyboardInterrupt):
        running.serve()


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
    port = urlsplit(settings.demo_url).port if settings.demo_url else None
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host  # noqa: S104
    port = port or _free_port(settings.host)
    address = f"{host}:{port}"
    wanted = replace(settings, demo_url=f"http://{address}", allow_targets=(*settings.allow_targets, address))
    services = _start(settings, port)
    try:
        _wait_for(wanted.demo_url, services)
        _load(wanted)
        click.echo(f"The demo shop is open: {wanted.demo_url}/shop/")
        yield wanted
    finally:
        _stop(services)


def _load(settings: Settings) -> None:
    with opened_parts(settings) as parts:
        try:
            load_demo(parts)
        except Unavailable as reason:
            click.echo(f"{reason.sentence} The demo's flows may not be told of orders.", err=True)


def _free_port(host: str) -> int:
    for port in range(FIRST_PORT, _LAST_PORT + 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                return port
    raise SettingInvalid(
        f"No port from {FIRST_PORT} to {_LAST_PORT} is free for the demo services.",
        remedy="Set PLUMBLINE_DEMO_URL, such as http://127.0.0.1:9090.",
    )


def _start(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    file = settings.data_dir / "demo.db"
    words = ["demo", "--host", settings.host, "--port", str(port), "--file", str(file)]
    return subprocess.Popen(  # noqa: S603 -- our own words, no shell
        [sys.executable, "-m", "app", *words, "--parent", str(os.getpid())],
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C ends Plumbline first, which then ends them
    )


def _wait_for(address: str, services: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and services.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{address}/health", trust_env=False, timeout=2).is_success:
                return
        time.sleep(0.05)
    raise SettingInvalid(f"The demo services do not start at {address}.")


def _stop(services: subprocess.Popen[bytes]) -> None:
    services.terminate()
    try:
        services.wait(5)
    except subprocess.TimeoutExpired:
        services.kill()
        services.wait()


commands = [demo, demo_load]
