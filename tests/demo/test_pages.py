"""The pages of the make-believe services in a browser: fit for everybody, and alive."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from seed_data.services.process import NAMES, RunningServices
from tests.accessibility import complaints
from tests.demo.conftest import CRM


@pytest.fixture
def running() -> Iterator[RunningServices]:
    running = RunningServices("127.0.0.1", 0)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def outside(running: RunningServices) -> Iterator[httpx.Client]:
    """Whoever else uses the services meanwhile."""
    with httpx.Client(base_url=running.address, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_can_be_read_and_used_by_everybody(
    running: RunningServices, outside: httpx.Client, page: Page, scheme: str, width: int
) -> None:
    outside.post("/shop/orders", data={"name": "Ana", "email": "ana@example.com", "sku": "TEA-EARL"})
    outside.put("/crm/api/contacts/ana@example.com", json={"first_name": "Ana"}, headers=CRM)
    outside.post("/switch/mail", data={"mode": "error"})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    for name in NAMES:
        page.goto(f"{running.address}/{name}/")
        assert complaints(page) == [], name


def test_what_arrives_is_shown_without_a_click(
    running: RunningServices, outside: httpx.Client, page: Page
) -> None:
    page.goto(f"{running.address}/crm/")
    outside.put("/crm/api/contacts/zoe@example.com", json={"first_name": "Zoe"}, headers=CRM)
    expect(page.locator("#contacts")).to_contain_text("zoe@example.com")
    expect(page.locator("#calls")).to_contain_text("PUT /crm/api/contacts/zoe@example.com")


def test_what_somebody_is_choosing_is_not_taken_from_under_their_hands(
    running: RunningServices, outside: httpx.Client, page: Page
) -> None:
    page.goto(f"{running.address}/crm/")
    stage = page.get_by_label("Stage of ken@example.com")
    stage.select_option("mql")
    stage.focus()
    outside.put("/crm/api/contacts/zoe@example.com", json={"first_name": "Zoe"}, headers=CRM)
    expect(page.locator("#calls")).to_contain_text("zoe@example.com")
    expect(stage).to_have_value("mql")
    page.get_by_label("Save ken@example.com").click()
    expect(page.get_by_role("status")).to_contain_text("ken@example.com is saved")
    expect(page.get_by_label("Stage of ken@example.com")).to_have_value("mql")
