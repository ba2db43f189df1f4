"""In a browser: leads that a service refused are found by their cause, fixed, and sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.accessibility import complaints
from tests.fakes.listener import Listener
from tests.product import Product

FLOW = """
name: Leads
trigger: {kind: webhook}
steps:
  - id: s1
    kind: http
    name: Tell the CRM
    request:
      method: POST
      url: "{{ADDRESS}}"
      body_kind: json
      body: [{name: email, mapping: "{{trigger:$.email}}"}]
"""


class Crm(Listener):
    """Takes only addresses that look like one, until somebody tells it to take all."""

    takes_all = False

    def answer(self, document: Any) -> tuple[int, Any]:
        if self.takes_all or document["email"].endswith(".com"):
            return 200, {"id": 1}
        return 422, {"message": "no such domain"}


@pytest.fixture
def crm() -> Iterator[Crm]:
    crm = Crm()
    yield crm
    crm.close()


@pytest.fixture
def server(start_product: Callable[..., Product], crm: Crm) -> Product:
    return start_product(allow_targets=crm.place)


def _reload_until_counted(page: Page, number: str) -> None:
    limit = time.monotonic() + 120
    while page.locator("nav .pl-nav-count").all_inner_texts() != [number]:
        assert time.monotonic() < limit, page.locator("nav").first.inner_text()
        page.reload()


def test_a_failed_lead_is_found_mended_and_sent_again(
    visitor: Page, server: Product, crm: Crm, tmp_path: Path, console_errors: list[str]
) -> None:
    file = tmp_path / "leads.yaml"
    file.write_text(FLOW.replace("{{ADDRESS}}", crm.url))
    said = server.command("flows", "import", str(file), "--publish", "--on")
    hook = next(word for word in said.split() if "/hooks/" in word)
    for name in ("ana", "bo", "cy"):
        httpx.post(hook, json={"email": f"{name}@example"}, trust_env=False, timeout=60).raise_for_status()

    visitor.goto(server.base_url)
    _reload_until_counted(visitor, "3")
    visitor.get_by_role("link", name="Incidents").click()
    expect(visitor.get_by_text("Send all 3 again")).to_be_visible()
    assert not complaints(visitor)
    visitor.get_by_role("link", name="Not accepted · 127.0.0.1 422").click()
    expect(visitor.locator(".pl-run")).to_have_count(3)
    assert not complaints(visitor)

    visitor.get_by_role("link", name="Edit").first.click()
    data = visitor.get_by_label("What came in, as JSON")
    data.fill('{"email": }')
    visitor.get_by_role("button", name="Send again").click()
    expect(visitor.get_by_text("This is not valid JSON")).to_be_visible()
    console_errors[:] = [said for said in console_errors if "status of 422" not in said]
    assert not complaints(visitor)
    data.fill('{"email": "cy@example.com"}')
    visitor.get_by_role("button", name="Send again").click()
    expect(visitor.get_by_text("with edited data")).to_be_visible()
    expect(visitor.locator("#run-state")).to_have_text("Success")
    assert not complaints(visitor)

    crm.takes_all = True  # somebody fixed it there
    visitor.get_by_role("link", name="Incidents").click()
    visitor.get_by_text("Send all 2 again").click()
    visitor.get_by_role("button", name="Send 2 runs again").click()
    expect(visitor.get_by_text("2 of 2 sent again: 2 succeeded.")).to_be_visible()
    expect(visitor.get_by_text("No incidents")).to_be_visible()
    visitor.reload()
    expect(visitor.locator("nav .pl-nav-count")).to_have_count(0)
    assert sorted(lead["email"] for lead in crm.got[3:]) == ["ana@example", "bo@example", "cy@example.com"]
