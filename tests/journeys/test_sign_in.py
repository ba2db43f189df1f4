"""In a browser: an account is connected by a sign-in at its service, lost there, and signed in again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from playwright.sync_api import Page, expect

from tests.accessibility import complaints
from tests.faults.flows import flow_file
from tests.oauth.club import CLIENT_SECRET, step
from tests.oauth.provider import Provider
from tests.oauth.test_provider import write_club_at
from tests.product import Product

PATIENCE_MS = 60_000


class Place:
    """Plumbline, and the club's provider that sends people back to it."""

    def __init__(self, folder: Path) -> None:
        self.settings = {"log_level": "info"}
        self.product = Product(folder / "product", self.settings)
        self.provider = Provider(folder, f"{self.product.base_url}/sign-in/club/callback")
        connectors = write_club_at(folder / "connectors", self.provider)
        self.settings |= {"connectors_path": str(connectors), "allow_targets": self.provider.place}
        self.product.start()

    def install(self, connection_id: str) -> str:
        """A flow that adds a member; the address of its hook."""
        known = {connection_id: {"connector": "club", "name": "Club · harbour"}}
        file = self.product.folder / "flow.json"
        file.write_bytes(flow_file("New members", [step(connection_id)], connections=known))
        printed = self.product.command("flows", "import", str(file), "--publish", "--on", "--json")
        return str(orjson.loads(printed)[0]["hook_url"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.product.stop()
    place.provider.close()


@pytest.fixture
def server(place: Place) -> Product:
    return place.product


@pytest.fixture
def ana(visitor: Page, server: Product, console_errors: list[str]) -> Iterator[Page]:
    """Signed in to Plumbline.  The provider's pages want fonts from elsewhere, and a picture it has not;
    only what Plumbline's own pages complain of counts."""
    visitor.context.route(re.compile("^https://"), lambda route: route.fulfill(status=200, body=""))
    yield visitor
    console_errors[:] = [one for one in console_errors if server.base_url in one]


def _sign_in_there(page: Page) -> None:
    """On the pages of the provider: who one is, and that one allows it."""
    page.locator("input[name=login]").fill("harbour", timeout=PATIENCE_MS)
    page.locator("input[name=password]").fill("any")
    page.locator("button[type=submit]").click()
    _allow_there(page)


def _allow_there(page: Page) -> None:
    page.locator("input[name=prompt][value=consent]").wait_for(state="attached", timeout=PATIENCE_MS)
    page.locator("button[type=submit]").click()


def _send(address: str, email: str) -> None:
    assert httpx.post(address, json={"email": email}, trust_env=False, timeout=60).status_code == 202


def _run_reaches(page: Page, server: Product, state: str) -> None:
    """The newest run of the list."""
    for _ in range(300):
        page.goto(server.base_url + "/runs")
        if page.locator("main .pl-badge", has_text=state).count():
            return
        page.wait_for_timeout(200)
    raise AssertionError(f"No run is {state}: {page.locator('main').inner_text()}\n{server.log[-3000:]}")


def test_a_connection_is_made_lost_and_mended_and_its_run_goes_through(
    ana: Page, server: Product, place: Place
) -> None:
    page = ana
    page.goto(server.base_url + "/connections/new?connector=club")
    page.get_by_role("link", name="Register it").click()
    expect(page.get_by_label("Client ID")).to_be_visible()
    assert not complaints(page)
    page.get_by_label("Client ID").fill("plumbline-app")
    page.get_by_label("Client secret").fill(CLIENT_SECRET)
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Sign in with Club").click()
    _sign_in_there(page)
    expect(page.get_by_role("heading", name="Club · harbour")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Club accepts this connection")).to_be_visible()
    assert not complaints(page)
    address = page.url

    hook = place.install(address.rpartition("/")[2])
    _send(hook, "ann@example.com")
    _run_reaches(page, server, "Success")
    place.provider.take_access_away()
    _send(hook, "bob@example.com")
    _run_reaches(page, server, "Held")
    expect(page.get_by_text("Waits for the connection “Club · harbour”").first).to_be_visible()
    assert place.provider.members == [{"email": "ann@example.com"}]

    page.goto(address)
    expect(page.get_by_role("heading", name="Fix it")).to_be_visible()
    sentence = re.compile("Club no longer accepts this sign-in|does not accept the credentials")
    expect(page.get_by_text(sentence).first).to_be_visible()
    page.get_by_role("button", name="Sign in again").click()
    _allow_there(page)
    expect(page.get_by_text("1 run that waited goes on now.")).to_be_visible(timeout=PATIENCE_MS)
    for _ in range(300):
        if len(place.provider.members) == 2:
            break
        page.wait_for_timeout(200)
    assert place.provider.members == [{"email": "ann@example.com"}, {"email": "bob@example.com"}]


def test_its_pages_are_fit_for_everybody(
    visitor: Page, server: Product, place: Place, console_errors: list[str]
) -> None:
    for theme, width in (("light", 1280), ("dark", 420)):
        cookie = {"name": "plumbline_theme", "value": theme, "url": server.base_url}
        visitor.context.add_cookies([cookie])  # type: ignore[list-item]
        visitor.set_viewport_size({"width": width, "height": 900})
        for path in (
            "/connections/new?connector=club",
            "/sign-in/club/app",
            "/sign-in/club/callback?state=made-up",
            "/connections/new?connector=club&auth=key",
        ):
            visitor.goto(server.base_url + path)
            assert not complaints(visitor), (path, theme, width)
    console_errors[:] = [one for one in console_errors if "400 (Bad Request)" not in one]
