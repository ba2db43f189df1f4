"""Help in the product: the documents as pages, and the one that fits each page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask

from app.web.help.fitting import PAGES, help_for
from app.web.help.pages import FOLDER, address_of, document_of
from tests.web.browser import Browser

DOCUMENTS = sorted(
    path.relative_to(FOLDER.resolve()).as_posix().removesuffix(".md")
    for path in FOLDER.resolve().rglob("*.md")
)
# What is no page of its own: pictures, files, streams, and parts of pages.
NO_PAGES = {
    "/connectors/<key>/export.zip",
    "/connectors/<key>/files/<path:name>",
    "/connectors/<key>/icon.svg",
    "/flows/<flow_id>/export",
    "/healthz",
    "/runs/<run_id>/event.json",
    "/runs/<run_id>/events",
    "/static/<digest>/<path:name>",
}
FOR_STRANGERS = {"/login", "/setup/<token>"}


def test_every_page_of_the_product_has_a_document_that_fits_it(app: Flask) -> None:
    beginnings = [beginning for beginning, _ in PAGES if beginning != "/"]
    rules = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    pages = rules - NO_PAGES - FOR_STRANGERS - {"/"}
    assert [rule for rule in sorted(pages) if not rule.startswith(tuple(beginnings))] == []
    assert [one for one in beginnings if not any(rule.startswith(one) for rule in rules)] == []


def test_what_is_offered_on_a_page_is_there() -> None:
    assert {name for _, name in PAGES} <= set(DOCUMENTS)
    assert help_for("/flows/<flow_id>/runs") == "/help/guide/when-something-stops"
    assert help_for("/") == "/help"
    assert help_for("") == "/help"


def test_each_page_links_to_its_help(browser: Browser) -> None:
    for path, fits in [
        ("/", "/help"),
        ("/flows", "/help/guide/your-first-flow"),
        ("/ledger", "/help/alerts-and-ledger"),
    ]:
        text = browser.get(path).text
        assert f'href="{fits}" aria-label="Help with this page"' in text
        assert '<a href="/help">' in text


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_a_page_whose_links_lead_somewhere(browser: Browser, name: str) -> None:
    address = "/help" if name == "README" else f"/help/{name}"
    answer = browser.get(address)
    assert answer.status_code == 200
    body = answer.text.split("<article", 1)[1].split("</article>", 1)[0]
    for target in re.findall(r'(?:href|src)="([^"]*)"', body):
        if target.startswith("/help"):
            assert browser.get(target.split("#")[0]).status_code == 200, target
            assert_part_is_there(name, target)
        else:
            assert target.startswith(("https://", "http://", "/connectors/", "#")), target
            assert_part_is_there(name, target)


def assert_part_is_there(name: str, target: str) -> None:
    path, mark, part = target.partition("#")
    if not mark or path.startswith("http"):
        return
    document = document_of(path.removeprefix("/help").strip("/") or ("README" if path else name))
    assert document is not None
    assert f'id="{part}"' in document.body, f"{name} links to {target}"


def test_nothing_outside_of_the_documents_is_served(browser: Browser) -> None:
    for name in (
        "../README",
        "..%2fREADME",
        "deploy/compose",
        "pictures/take.py",
        "nothing",
        "%2e%2e/README",
    ):
        assert browser.get(f"/help/{name}").status_code == 404, name


def test_strangers_sign_in_first(stranger: Browser) -> None:
    assert stranger.get("/help").status_code == 303


def test_links_lead_to_pages_of_the_product() -> None:
    assert address_of("guide/testing", "../limits.md#what-you-see") == "/help/limits#what-you-see"
    assert address_of("services", "../connectors/hubspot/README.md") == "/connectors/hubspot"
    assert address_of("scaling", "../benchmarks/RESULTS.md") == ""
    assert address_of("README", "guide/testing.md") == "/help/guide/testing"
    assert address_of("guide/testing", "../README.md") == "/help"


def test_the_documents_are_files_of_the_package() -> None:
    """The wheel takes along what lies below app/; a symbolic link puts the documents there."""
    assert FOLDER.resolve() == Path(__file__).parents[2] / "docs"
