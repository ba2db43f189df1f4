"""What axe-core finds wrong with a page: rules of WCAG 2.2 A and AA, and good practice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def complaints(page: Page) -> list[str]:
    """`rule: elements (why)`; also when the page is wider than the window."""
    page.wait_for_load_state()
    page.evaluate(_AXE)
    found: list[Any] = page.evaluate("rules => axe.run({runOnly: rules})", _RULES)["violations"]
    said = [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]} ({one['help']})" for one in found]
    wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return said + ([f"{wider} px wider than the window"] if wider > 0 else [])
