"""What a visitor meets after `make run`: an order in the shop, and the run that comes of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.product import Product, free_port

PATIENCE_S = 120  # a limit, never a duration: a busy machine is slow
ORDER = {"name": "Ana Silva", "email": "ana@example.com", "sku": "TEA-EARL"}


class WithDemo(Product):
    words = ("serve", "--demo")
    demo_url = ""

    def start(self) -> None:
        super().start()
        found = re.search(r"The demo shop is open: (http://\S+?)/shop/", self.log)
        assert found, self.log
        self.demo_url = found[1]

    def runs(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.command("runs", "list", "--json"))["runs"]
        return found


@pytest.fixture
def product(tmp_path: Path) -> Iterator[WithDemo]:
    product = WithDemo(tmp_path / "product")
    product.start()
    yield product
    product.stop()


def services(product: WithDemo) -> httpx.Client:
    return httpx.Client(base_url=product.demo_url, trust_env=False, timeout=60)


def wait_for(product: WithDemo, state: str, count: int) -> list[dict[str, str]]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found = [run for run in product.runs() if run["state"] == state]
        if len(found) >= count:
            return found
    raise AssertionError(f"{product.runs()}\n{product.log}")


def try_now_until_it_is_done(product: WithDemo, run_id: str) -> None:
    """The next try may lie minutes away; the button on the run's page does not wait for it.  There is
    none while a try is under way, nor after one that went well by itself."""
    until = time.monotonic() + PATIENCE_S
    with product.signed_in() as client:
        while "Success" not in (state := run_state(shown := client.get(f"/runs/{run_id}").text)):
            assert time.monotonic() < until, f"{state}\n{product.log}"
            if button := re.search(r'action="(/[^"]+/try-now)".*?value="([^"]+)"', shown, re.DOTALL):
                pressed = client.post(button[1], data={"csrf_token": button[2]})
                assert pressed.status_code == 303, pressed.text
            time.sleep(0.1)  # looking from outside, at another process


def run_state(shown: str) -> str:
    found = re.search(r'id="run-state"[^>]*>(.*?)</h1>', shown, re.DOTALL)
    assert found, shown
    return found[1]


def test_an_order_arrives_in_the_crm_and_the_visitor_watches_it(product: WithDemo, page: Page) -> None:
    product.sign_in(page)
    shop = page.context.new_page()
    shop.goto(product.demo_url)
    shop.get_by_role("button", name="Place order").click()
    expect(shop.get_by_role("status")).to_contain_text("Plumbline was told")
    wait_for(product, "succeeded", 1)
    page.goto(f"{product.base_url}/runs")
    page.get_by_role("link", name=re.compile("ana@example.com")).first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ana@example.com")
    expect(page.locator("main")).to_contain_text("Write the purchase into the CRM")
    for service, text in (("crm", "Earl Grey"), ("mail", "Spring discount"), ("mail", "After the purchase")):
        shop.goto(f"{product.demo_url}/{service}/")
        expect(shop.locator("main")).to_contain_text(text)


def test_a_webhook_sent_twice_changes_nothing_twice(product: WithDemo) -> None:
    with services(product) as demo:
        demo.post("/shop/orders", data=ORDER)
        (run,) = wait_for(product, "succeeded", 1)
        (number,) = re.findall(r"/shop/deliveries/(\d+)/again", demo.get("/shop/").text)
        demo.post(f"/shop/deliveries/{number}/again")
        until = time.monotonic() + PATIENCE_S
        while "delivered" not in demo.get("/shop/").text:
            assert time.monotonic() < until
            time.sleep(0.1)  # looking from outside, at another process
        calls = demo.get("/crm/").text.count("PUT /crm/api/contacts")
    assert [one["id"] for one in product.runs()] == [run["id"]]
    assert calls == 1


def test_a_service_that_is_down_costs_nothing(product: WithDemo) -> None:
    with services(product) as demo:
        demo.post("/switch/crm", data={"mode": "error"})
        demo.post("/shop/orders", data=ORDER)
        (waiting,) = wait_for(product, "waiting", 1)
        assert "503" in waiting["sentence"] or "maintained" in waiting["sentence"]
        demo.post("/switch/crm", data={"mode": "fine"})
        try_now_until_it_is_done(product, waiting["id"])
        (done,) = wait_for(product, "succeeded", 1)
        assert done["id"] == waiting["id"]
        assert "Earl Grey" in demo.get("/crm/").text


def test_a_bad_address_is_said_before_anything_is_sent(product: WithDemo) -> None:
    with services(product) as demo:
        demo.post("/site/form", data={"name": "Bad", "email": "nobody", "region": "north", "message": "Hi"})
        (run,) = wait_for(product, "dead", 1)
        assert "nobody" in run["sentence"]
        assert "Nothing yet" in demo.get("/mail/").text


def test_orders_of_the_time_when_plumbline_was_down_come_later(product: WithDemo) -> None:
    port = str(httpx.URL(product.demo_url).port)
    product.stop()
    apart = subprocess.Popen(
        [sys.executable, "-m", "app", "demo", "--port", port, "--file", str(product.data_dir / "demo.db")],
        env=product.environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        with services(product) as demo:
            _wait_until_open(demo)
            demo.post("/shop/orders", data=ORDER)
            assert "waiting" in demo.get("/shop/").text
    finally:
        apart.send_signal(signal.SIGTERM)
        assert apart.wait(PATIENCE_S) == 0
    product.start()
    (run,) = wait_for(product, "succeeded", 1)
    assert run["label"].startswith("ana@example.com")


def test_a_second_start_is_refused_and_leaves_the_first_alone(product: WithDemo) -> None:
    said = product.command("serve", "--demo", expect=2, port=str(free_port()))
    assert "already serves this data folder" in said
    with services(product) as demo:
        demo.post("/shop/orders", data=ORDER)
        wait_for(product, "succeeded", 1)


def test_the_services_end_with_plumbline_even_when_it_is_killed(product: WithDemo) -> None:
    os.kill(product.pid, signal.SIGKILL)
    until = time.monotonic() + 90
    with services(product) as demo:
        while time.monotonic() < until:
            try:
                demo.get("/health")
            except httpx.TransportError:
                return
    raise AssertionError("the demo services go on without Plumbline")


def _wait_until_open(demo: httpx.Client) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            demo.get("/health")
            return
    raise AssertionError("the demo services do not open")
