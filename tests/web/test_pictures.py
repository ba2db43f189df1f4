"""Pictures of the documents show the navigation of today; `python -m tests.take_pictures` takes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.parts import Parts
from tests.web.browser import Browser, words
from tests.web.flow_forms import make_flow

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
LABEL = re.compile(r'<span(?! class="pl-nav-count)[^>]*>([^<]+)</span>')
PLACES = {"home": "/", "runs": "/runs", "incidents": "/dead-letters", "ledger": "/ledger"}


def navigation(html: str) -> list[str]:
    """The labels of the navigation and of the tabs below it, as a reader sees them."""
    found = re.search(r'<nav class="pl-nav".*?</nav>', html, re.DOTALL)
    assert found is not None
    tabs = re.search(r'<nav class="pl-tabs".*?</nav>', html, re.DOTALL)
    links = re.findall(r"<a [^>]*>(.*?)</a>", tabs[0], re.DOTALL) if tabs else []
    return [*LABEL.findall(found[0]), *(words(link).strip() for link in links)]


def saved(name: str) -> list[str]:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", PLACES)
def test_a_picture_shows_the_navigation_of_today(browser: Browser, name: str) -> None:
    assert saved(name) == navigation(browser.get(PLACES[name]).text)


def test_the_picture_of_the_builder_shows_the_views_of_today(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts)
    labels = navigation(browser.get(f"/flows/{flow_id}").text)
    assert set(labels) <= set(saved("builder"))


def test_each_picture_has_its_list() -> None:
    assert {path.stem for path in FOLDER.glob("*.png")} == {path.stem for path in FOLDER.glob("*.txt")}
