"""In a browser: a run is watched while it happens, found again, understood and set right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from app.storage.database.db import Database
from app.storage.tables.models import Run
from tests.accessibility import complaints
from tests.fakes.history import History
from tests.product import Product

HTTP = {"kind": "http", "id": "s1", "name": "Tell the CRM", "request": {"url": "https://crm.example"}}
ASK = {"kind": "http", "id": "s4", "name": "Ask the shop", "request": {"url": "https://shop.example"}}
DELAY = {"kind": "delay", "id": "s2", "name": "Wait a year", "amount": "300", "unit": "days"}
CONDITION = {"groups": [[{"left": "{{trigger:$['total']}}", "operator": "greater", "right": "150"}]]}


class Past:
    """Runs that stand as if they had happened; the product serves the same database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.history = History(database)
        self.now = datetime.now(UTC)
        paths = [
            {"id": "p1", "name": "Big order", "conditions": CONDITION, "steps": [HTTP]},
            {"id": "p2", "name": "Everyone else", "steps": [ASK, DELAY]},
        ]
        split = {"kind": "paths", "id": "s3", "name": "By value", "paths": paths}
        self.flow = self.history.flow("New order", [split])

    def stopped(self, label: str = "Ana Silva · order #10482") -> str:
        payload = {"email": "ana@example.com", "lines": [{"title": "Trail shoes", "<script>": "\u202e"}]}
        at = self.now - timedelta(minutes=1)
        run = self.history.run(
            self.flow,
            "dead",
            at,
            payload,
            label=label,
            position="s1",
            error_kind="unavailable",
            sentence="The CRM did not answer.",
            delivery_id=self.history.delivery(self.flow, at),
        )
        self.history.step(run, "s3", at=at, output={"taken": ["p1"], "why": {"p2": "Not needed."}})
        self.history.step(run, "s1", "failed", at, input={"email": "ana@example.com"}, remedy="Try later.")
        self.history.call(run, 1, "s1", status=503, error_kind="unavailable", started_at=at)
        return run

    def waiting(self) -> str:
        """Waits for a year, so that the product leaves it alone."""
        later = self.now + timedelta(days=300)
        run = self.history.run(
            self.flow, "waiting", self.now, {"total": 9}, label="Mara Ito", reason="delay", wake_at=later
        )
        self.history.step(run, "s3", "started", self.now, output={"taken": ["p2"], "why": {}})
        return run

    def change(self, run: str, **values: Any) -> None:
        self._database.write(lambda db: db.execute(update(Run).where(Run.id == run).values(**values)))


@pytest.fixture
def past(server: Product) -> Iterator[Past]:
    database = Database(f"sqlite:///{server.data_dir / 'plumbline.db'}")
    database.start()
    yield Past(database)
    database.close()


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_history_is_fit_for_everybody(
    visitor: Page, server: Product, past: Past, width: int, scheme: Any
) -> None:
    stopped, waiting = past.stopped(), past.waiting()
    refused = past.history.delivery(past.flow, past.now, outcome="refused", reason="Wrong signature.")
    visitor.emulate_media(color_scheme=scheme)
    visitor.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in (
        "/runs",
        f"/runs?flow={past.flow}&needs=1",
        "/runs?q=nothing+like+it",
        f"/runs/{stopped}",
        f"/runs/{waiting}",
        f"/runs/{stopped}/calls/1",
        f"/flows/{past.flow}/deliveries",
        f"/deliveries/{refused}",
        f"/flows/{past.flow}/polls",
    ):
        visitor.goto(server.base_url + path)
        visitor.evaluate("document.querySelectorAll('main details').forEach(d => { d.open = true })")
        if said := complaints(visitor):
            found[path] = said
    assert not found


def test_a_run_is_watched_live_and_what_was_opened_stays_open(
    visitor: Page, server: Product, past: Past
) -> None:
    run = past.waiting()
    past.history.step(run, "s4", at=past.now)
    past.history.call(run, 1, "s4")
    visitor.goto(f"{server.base_url}/runs/{run}")
    delay, call = visitor.locator("#step-s2"), visitor.locator("#call-1")
    expect(delay.get_by_text("Not reached yet")).to_be_visible()
    call.locator("summary").first.click()
    past.history.step(run, "s2", "started", past.now)
    expect(delay.get_by_text("Waiting")).to_be_visible()
    past.change(run, state="succeeded", reason="", finished_at=past.now + timedelta(seconds=3))
    expect(visitor.locator("#run-state")).to_have_text("Success")
    assert call.get_attribute("open") is not None


def test_the_list_shows_new_runs_without_disturbing(visitor: Page, server: Product, past: Past) -> None:
    past.stopped()
    past.stopped("João Pires · order #10483")
    visitor.goto(f"{server.base_url}/runs")
    box = visitor.locator(".pl-pick").last
    box.check()
    expect(visitor.locator("#bulk")).to_be_visible()
    visitor.get_by_label("Search in names").focus()
    past.history.run(past.flow, "succeeded", datetime.now(UTC), label="Somebody new")
    expect(visitor.get_by_text("Somebody new")).to_be_visible()  # it asks every 5 s
    expect(box).to_be_checked()
    expect(visitor.get_by_label("Search in names")).to_be_focused()


def test_a_run_is_found_by_typing_and_the_address_can_be_shared(
    visitor: Page, server: Product, past: Past
) -> None:
    past.stopped()
    past.stopped("João Pires · order #10483")
    visitor.goto(f"{server.base_url}/runs")
    visitor.get_by_label("Search in names").fill("10483")
    expect(visitor.locator(".pl-run")).to_have_count(1)
    visitor.get_by_label("State").select_option("Stopped")
    expect(visitor).to_have_url(f"{server.base_url}/runs?state=stopped&q=10483")
    visitor.reload()
    expect(visitor.locator(".pl-run")).to_have_count(1)
    expect(visitor.get_by_label("Search in names")).to_have_value("10483")
    visitor.go_back()
    visitor.wait_for_url("**/runs?q=10483")


def test_with_the_keyboard_alone_a_failure_is_understood_and_put_aside(
    visitor: Page, server: Product, past: Past
) -> None:
    run = past.stopped()
    visitor.goto(f"{server.base_url}/runs?needs=1")
    visitor.get_by_role("link", name="Ana Silva").focus()
    visitor.keyboard.press("Enter")
    visitor.wait_for_url(f"**/runs/{run}")
    expect(visitor.locator(".pl-cause-sentence")).to_have_text("The CRM did not answer.")
    visitor.get_by_placeholder("Find a field or a value").focus()
    visitor.keyboard.type("trail")
    expect(visitor.locator("#payload .pl-event-leaf:visible")).to_have_count(1)
    visitor.get_by_role("button", name="Mark as resolved").focus()
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("Marked as resolved")).to_be_visible()
    visitor.goto(f"{server.base_url}/runs?needs=1")
    expect(visitor.get_by_text("Nothing needs you")).to_be_visible()


def test_without_javascript_the_list_is_narrowed_and_a_round_is_opened(
    browser: Browser, server: Product, past: Past, page: Page
) -> None:
    past.stopped()
    server.sign_in(page)
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    tab = context.new_page()
    tab.goto(f"{server.base_url}/runs")
    tab.locator("#q").fill("nobody")
    tab.get_by_role("button", name="Show", exact=True).click()
    expect(tab.get_by_text("No run matches")).to_be_visible()
    loop = {"kind": "for_each", "id": "s5", "name": "Each", "items": "{{trigger:$[*]}}", "steps": [HTTP]}
    run = past.history.run(past.history.flow("Scores", [loop]), "succeeded", past.now)
    past.history.steps(run, ["s5", "s5[0].s1", "s5[1].s1"])
    tab.goto(f"{server.base_url}/runs/{run}")
    tab.get_by_role("link", name="Open item 2").click()
    expect(tab.get_by_role("heading", name="Tell the CRM")).to_be_visible()
    context.close()
