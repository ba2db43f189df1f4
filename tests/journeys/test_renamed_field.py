"""In a browser: the form tool calls a field something else; it is noticed, taken over, and what stopped
goes out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

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
      body:
        - {name: email, mapping: {value: "{{trigger:$.email | lower}}", when_empty: stop}}
        - {name: name, mapping: "{{trigger:$.first_name}}"}
"""


@pytest.fixture
def crm() -> Iterator[Listener]:
    crm = Listener()
    yield crm
    crm.close()


@pytest.fixture
def server(start_product: Callable[..., Product], crm: Listener) -> Product:
    return start_product(allow_targets=crm.place)


def _send(hook: str, lead: dict[str, str]) -> None:
    httpx.post(hook, json=lead, trust_env=False, timeout=60).raise_for_status()


def _until(page: Page, is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < limit, page.locator("main").inner_text()
        page.reload()


def test_a_renamed_field_is_taken_over_and_what_stopped_goes_out(
    visitor: Page, server: Product, crm: Listener, tmp_path: Path
) -> None:
    file = tmp_path / "leads.yaml"
    file.write_text(FLOW.replace("{{ADDRESS}}", crm.url))
    said = server.command("flows", "import", str(file), "--publish", "--on")
    hook = next(word for word in said.split() if "/hooks/" in word)
    _send(hook, {"email": "Ana@example.com", "first_name": "Ana"})
    visitor.goto(server.base_url + "/runs")
    _until(visitor, lambda: len(crm.got) == 1)
    for name in ("Bo", "Cy"):
        _send(hook, {"email_address": f"{name}@example.com", "first_name": name})

    visitor.goto(server.base_url + "/dead-letters")
    _until(visitor, lambda: visitor.get_by_text("Send all 2 again").count() == 1)
    sentence = "the field “email” is no longer there. It looks like it is called “email_address” now."
    expect(visitor.get_by_text(sentence)).to_be_visible()
    visitor.get_by_role("link", name="Use “email_address” instead").click()
    expect(visitor.get_by_role("heading", name="The field “email” is no longer there")).to_be_visible()
    assert not complaints(visitor)
    visitor.get_by_role("button", name="Take it over").click()
    expect(visitor.get_by_text("What version 2 changes")).to_be_visible()
    assert not complaints(visitor)
    visitor.get_by_role("button", name="Publish as version 2").click()
    expect(visitor.get_by_role("button", name="Send 2 runs again with version 2")).to_be_visible()
    assert not complaints(visitor)
    visitor.get_by_role("button", name="Send 2 runs again with version 2").click()
    expect(visitor.get_by_text("2 of 2 sent again: 2 succeeded.")).to_be_visible()
    expect(visitor.get_by_text("No incidents")).to_be_visible()
    assert sorted(lead["email"] for lead in crm.got) == [
        "ana@example.com",
        "bo@example.com",
        "cy@example.com",
    ]
