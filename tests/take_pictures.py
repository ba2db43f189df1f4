"""Takes the pictures of the documents from the real product with its demo: `python -m tests.take_pictures`.

Beside each picture lies a list of the navigation it shows; tests/web/test_pictures.py compares it with the
pages of today, so that a picture of an earlier navigation is noticed.
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

HERE = Path(__file__).parents[1] / "docs" / "pictures"
SIZE = {"width": 1280, "height": 800}
NAVIGATION = ".pl-nav a > span:not(.pl-nav-count), .pl-tabs a"
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
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            product.sign_in(page)
            take_all(product, page)
        finally:
            product.stop()


def fill(product: Product) -> None:
    """Some orders and leads, good and bad, so that there is something to see."""
    found = re.search(r"The demo shop is open: (\S+)/shop/", product.log)
    assert found, product.log
    with httpx.Client(base_url=found[1], trust_env=False) as demo:
        for name, email, skus, city in PEOPLE:
            demo.post("/shop/orders", data={"name": name, "email": email, "sku": skus, "city": city})
        for email in ("ines@example.com", "not an address", "rui at example.com"):
            lead = {"name": "Ines Costa", "email": email, "region": "south", "message": "An offer, please"}
            demo.post("/site/form", data=lead)
        demo.post("/crm/contacts/mara%40example.com/change", data={"tier": "gold"})
    until = time.monotonic() + 60
    while time.monotonic() < until:
        runs = json.loads(product.command("runs", "list", "--json"))["runs"]
        if len(runs) >= 7 and all(run["finished_at"] for run in runs):
            return


def take_all(product: Product, page: Page) -> None:
    flows = json.loads(product.command("flows", "list", "--json"))
    flow_id = next(flow["id"] for flow in flows if flow["name"] == "After the purchase")
    base = product.base_url
    page.goto(f"{base}/")
    take(page, "home")
    page.goto(f"{base}/flows/{flow_id}")
    page.locator("a[href*='/steps/s1'], a[href*='s1']").first.click()
    take(page, "builder")
    page.emulate_media(color_scheme="dark")
    take(page, "builder-dark")
    page.emulate_media(color_scheme="light")
    page.goto(f"{base}/runs")
    take(page, "runs")
    page.get_by_role("link", name=re.compile("ana@example.com")).first.click()
    take(page, "run")
    page.goto(f"{base}/dead-letters")
    page.locator("main a[href*='/dead-letters/group']").first.click()
    take(page, "incidents")
    page.goto(f"{base}/ledger")
    take(page, "ledger")


def take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    page.screenshot(path=HERE / f"{name}.png")
    labels = [text.strip() for text in page.locator(NAVIGATION).all_inner_texts()]
    (HERE / f"{name}.txt").write_text("\n".join(labels) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
