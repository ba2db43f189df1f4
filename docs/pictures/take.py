"""Takes the pictures of the README from the real product with its demo.

PYTHONPATH=. .venv/bin/python docs/pictures/take.py
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from tests.needs import CHROMIUM_FLAGS, chromium
from tests.product import Product

HERE = Path(__file__).parent
PEOPLE = (
    ("Ana Silva", "ana@example.com", ["TEA-EARL", "CUP-BLUE"], "Porto"),
    ("Jonas Weber", "jonas@example.com", ["TEA-MINT"], "Bremen"),
    ("Mara Lind", "mara@example.com", ["POT-IRON", "TEA-EARL"], "Lund"),
)


class WithDemo(Product):
    words = ("serve", "--demo")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        product = WithDemo(Path(folder))
        product.start()
        try:
            fill(product)
            browser = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 860}, device_scale_factor=1.5)
            product.sign_in(page)
            take(product, page)
        finally:
            product.stop()


def fill(product: Product) -> None:
    """Some orders and leads, good and bad, so that there is something to see."""
    found = re.search(r"The demo shop is open: (\S+)/shop/", product.log)
    assert found, product.log
    with httpx.Client(base_url=found[1], trust_env=False) as demo:
        for name, email, skus, city in PEOPLE:
            demo.post("/shop/orders", data={"name": name, "email": email, "sku": skus, "city": city})
        for email in ("ines@example.com", "not an address"):
            lead = {"name": "Ines Costa", "email": email, "region": "south", "message": "An offer, please"}
            demo.post("/site/form", data=lead)
        demo.post("/crm/contacts/mara%40example.com/change", data={"tier": "gold"})
    until = time.monotonic() + 30
    while time.monotonic() < until:
        runs = json.loads(product.command("runs", "list", "--json"))["runs"]
        if len(runs) >= 6 and all(run["finished_at"] for run in runs):
            return


def take(product: Product, page: Page) -> None:
    flows = json.loads(product.command("flows", "list", "--json"))
    flow_id = next(flow["id"] for flow in flows if flow["name"] == "After the purchase")
    page.goto(f"{product.base_url}/flows/{flow_id}")
    page.locator("a[href*='/steps/s1'], a[href*='s1']").first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / "builder.png")
    page.goto(f"{product.base_url}/runs")
    page.screenshot(path=HERE / "runs.png")
    page.get_by_role("link", name=re.compile("ana@example.com")).first.click()
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / "run.png")


main()
