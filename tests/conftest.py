"""Fixtures every test may use: settings, databases, a browser, the product as a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.settings import Settings
from app.storage.database.db import Database
from tests import migrated, needs, network
from tests.product import Product

PATIENCE_MS = 60_000  # of the browser; a limit, never a duration: a busy machine is slow

# Neither how fast the machine is nor what chance brings decides whether a delivery passes: the same
# examples each time.  PLUMBLINE_LONG=1 looks for new ones.
hypothesis_settings.register_profile(
    "plumbline",
    deadline=None,
    derandomize=needs.GIVEN["LONG"] != "1",
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("plumbline")

network.install()


def pytest_configure(config: pytest.Config) -> None:
    """The settings of a developer's shell do not reach the product."""
    for name in [n for n in os.environ if n.startswith("PLUMBLINE_")]:
        del os.environ[name]


_PRODUCT_FOLDERS = {"faults", "journeys", "oauth", "scaleout", "server", "systems"}
_PRODUCT_FIXTURES = {"start_product", "visitor", "installation", "install", "own_postgres"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a browser or processes of the product: `make test` runs these by themselves.
    Browser tests come last: Playwright's event loop stays in this thread once it has started."""
    for item in items:
        wanted = set(getattr(item, "fixturenames", ()))
        has_own = "web" in item.path.parts  # there `browser` is Flask's test client
        if {"page", "browser_context", "visitor"} & wanted or ("browser" in wanted and not has_own):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.product)
        elif _PRODUCT_FIXTURES & wanted or _PRODUCT_FOLDERS & set(item.path.parts):
            item.add_marker(pytest.mark.product)
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test marked `postgres` that uses `database` runs on SQLite and on PostgreSQL."""
    if "database_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker("postgres"):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _no_network() -> Iterator[None]:
    network.attempts.clear()
    yield
    assert not network.attempts, f"This test tried {'; '.join(network.attempts)}."


# -------------------------------------------------------------------------------- storage


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """An address with `{name}` in the place of the database's name."""
    with needs.postgres() as address:
        yield address


@pytest.fixture
def postgres_url(postgres_server: str, tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL database of the test's own, with all tables and no rows."""
    url = migrated.create_database(postgres_server, f"plumbline_{abs(hash(tmp_path)):x}")
    yield url
    migrated.drop_database(postgres_server, url)


@pytest.fixture
def empty_postgres_url(postgres_server: str, tmp_path: Path) -> Iterator[str]:
    """One without tables."""
    url = migrated.create_database(postgres_server, f"empty_{abs(hash(tmp_path)):x}", migrated=False)
    yield url
    migrated.drop_database(postgres_server, url)


@pytest.fixture
def database(settings: Settings, database_kind: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """Migrated, with its writer running."""
    if database_kind == "postgresql":
        database = Database(request.getfixturevalue("postgres_url"))
    else:
        migrated.put_file(settings.data_dir)
        database = Database(settings.database)
    database.start()
    try:
        yield database
    finally:
        database.close()


# -------------------------------------------------------------------------------- browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = needs.chromium()
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MS)
        browser = playwright.chromium.launch(
            executable_path=executable, args=needs.CHROMIUM_FLAGS, timeout=2 * PATIENCE_MS
        )
        yield browser
        browser.close()


@pytest.fixture
def console_errors() -> list[str]:
    """What the browser complained about; a test that expects a complaint takes it out."""
    return []


@pytest.fixture
def browser_context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        locale="en-GB",
        reduced_motion="reduce",  # or what is measured depends on how far a transition has got
    )
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(browser_context: BrowserContext, console_errors: list[str]) -> Iterator[Page]:
    """A tab.  Errors on its console, content-security violations included, fail the test."""
    browser_context.on("console", lambda message: _complain(message, console_errors))
    browser_context.on("weberror", lambda error: console_errors.append(str(error.error)))
    yield browser_context.new_page()
    assert not console_errors, "The browser's console says: " + " | ".join(console_errors)


def _complain(message: Any, console_errors: list[str]) -> None:
    if message.type == "error" or "Content Security Policy" in message.text:
        console_errors.append(f"{message.text} ({message.location.get('url', '')})")


# ------------------------------------------------------------------------ the whole product


@pytest.fixture
def start_product(tmp_path: Path) -> Iterator[Callable[..., Product]]:
    """Starts the product as a process on a free port: `start_product(allow_targets="…")`."""
    started: list[Product] = []

    def start(**settings: str) -> Product:
        product = Product(tmp_path / f"product{len(started)}", settings)
        started.append(product)
        product.start()
        return product

    yield start
    for product in started:
        product.stop()


@pytest.fixture
def server(start_product: Callable[..., Product]) -> Product:
    return start_product()


@pytest.fixture
def visitor(server: Product, page: Page) -> Page:
    """A tab in which somebody with every right has signed in to `server`."""
    server.sign_in(page)
    return page
