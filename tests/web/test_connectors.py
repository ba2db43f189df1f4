"""Connectors: what each one can do, how fresh it is, and which cannot be used and why."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from app.parts import Parts
from app.storage.connections import connections as store
from app.web.connectors.index import monogram, span, warning_of
from app.web.frame.markdown import only_elsewhere, render
from tests.web.browser import Browser

CONNECTOR = """
key: post_office
name: Post <office>
category: other
description: Letters and parcels.
owner: marketing-ops
docs: https://post.example/docs
api: {base_url: "https://api.post.example", version: "7", checked: "2026-11-01"}
auth:
  - {key: token, type: bearer, label: Token, fields: [{key: token, label: Token, secret: true}]}
"""
ACTION = """
key: send_letter
label: Send a letter
description: Prints and posts a letter.
docs: https://post.example/docs/letters
idempotent: true
input: [{key: to, label: Recipient, required: true}]
requests: [{method: POST, path: /letters, body: {to: "${input.to}"}}]
"""
README = """# Post office

Needs a **franking** licence, see [the guide](https://post.example/guide).

## Limits
- one `letter` at a time
- <script>alert(1)</script> and [no](javascript:alert(1))

```
curl https://api.post.example
```
"""


@pytest.fixture
def folder(parts: Parts) -> Path:
    """Somebody's own connector, put there while the server runs."""
    folder = parts.settings.connectors_folder / "post_office"
    (folder / "actions").mkdir(parents=True)
    (folder / "connector.yaml").write_text(CONNECTOR)
    (folder / "actions" / "send_letter.yaml").write_text(ACTION)
    (folder / "README.md").write_text(README)
    return folder


def test_every_connector_is_listed_with_what_it_can_do(browser: Browser, parts: Parts) -> None:
    page = browser.get("/connectors").text
    for connector in parts.registry.all():
        assert f'href="/connectors/{connector.key}"' in page


def test_ones_own_connector_is_there_after_reading_again(browser: Browser, folder: Path) -> None:
    assert "post_office" not in browser.get("/connectors").text
    assert browser.post("/connectors/reload").location == "/connectors"
    page = browser.get("/connectors").text
    assert "Post &lt;office&gt;" in page
    assert "0 triggers · 1 action" in page
    assert "Yours" in page


def test_a_broken_connector_names_file_and_reason_and_hides_no_other(
    browser: Browser, parts: Parts, folder: Path
) -> None:
    (folder / "actions" / "send_letter.yaml").write_text(ACTION.replace("label:", "lable:"))
    browser.post("/connectors/reload")
    page = browser.get("/connectors").text
    assert "post_office/actions/send_letter.yaml" in page
    assert "lable" in page
    assert all(f"/connectors/{one.key}" in page for one in parts.registry.all())


def test_the_page_of_a_connector_shows_actions_facts_and_readme(browser: Browser, folder: Path) -> None:
    browser.post("/connectors/reload")
    page = browser.get("/connectors/post_office").text
    assert "Send a letter" in page
    assert "Takes Recipient*" in page
    assert "Safe to repeat" in page
    assert "01 Nov 2026" in page
    assert "<strong>franking</strong>" in page
    assert 'href="https://post.example/guide"' in page
    assert 'href="/connections/new?connector=post_office"' in page


def test_a_readme_brings_no_markup_of_its_own(browser: Browser, folder: Path) -> None:
    browser.post("/connectors/reload")
    page = browser.get("/connectors/post_office").text
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    assert "&lt;script&gt;alert(1)" in page


def test_an_unknown_connector_is_a_sentence(browser: Browser) -> None:
    answer = browser.get("/connectors/hubspott")
    assert answer.status_code == 404
    assert "There is no connector called" in answer.text


def test_a_picture_can_run_and_load_nothing(browser: Browser, folder: Path) -> None:
    (folder / "icon.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    )
    browser.post("/connectors/reload")
    answer = browser.get("/connectors/post_office/icon.svg")
    assert answer.mimetype == "image/svg+xml"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    again = browser.get("/connectors/post_office/icon.svg", **{"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_without_a_picture_the_initials_stand_in(browser: Browser) -> None:
    assert ">PO<" in browser.get("/connectors/post_office/icon.svg").text
    assert ">ZI<" in monogram("zip")
    assert monogram("zip") == monogram("zip")


def test_a_hostile_key_stays_inside_the_picture(browser: Browser) -> None:
    answer = browser.get("/connectors/%3Cscript%3E/icon.svg")
    assert "<script" not in answer.text


def test_the_age_of_a_connector_is_a_warning_in_time(parts: Parts) -> None:
    connector = parts.registry.get("hubspot")
    today = connector.api.checked
    until = today + timedelta(days=89)
    soon = connector.model_copy(update={"api": connector.api.model_copy(update={"supported_until": until})})
    assert "supports this version of its interface until" in warning_of(soon, today)
    assert "no longer supports" in warning_of(soon, until + timedelta(days=1))
    fresh = connector.model_copy(update={"api": connector.api.model_copy(update={"supported_until": None})})
    assert warning_of(fresh, today) == ""
    assert "Nobody has compared it" in warning_of(fresh, today + timedelta(days=400))
    assert isinstance(today, date)


def test_its_connections_are_linked_from_its_page(browser: Browser, parts: Parts) -> None:
    now = parts.clock.now()
    connection_id = parts.database.write(
        lambda db: store.create_connection(
            db, connector="hubspot", name="EU", auth="t", public={}, sealed=None, owner_id=None, now=now
        )
    )
    assert f'href="/connections/{connection_id}"' in browser.get("/connectors/hubspot").text
    assert "1 connection" in browser.get("/connectors").text


def test_a_readme_becomes_paragraphs_lists_and_code() -> None:
    found = render("# Title\nOne\ntwo\n\n- a\n  more\n- b\n\n```\nx < y\n", only_elsewhere)
    assert found.title == "Title"
    assert found.body == (
        "<p>One\ntwo</p>\n<ul>\n<li>a\nmore</li>\n<li>b</li>\n</ul>\n"
        '<pre tabindex="0"><code>x &lt; y\n</code></pre>\n'
    )


def test_a_stranger_s_text_brings_neither_markup_nor_pictures_nor_links_within_the_product() -> None:
    for text in (
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "![x](https://elsewhere.example/pixel.png)",
        "[out](/logout)",
        '<img src=x onerror="alert(1)">',
        "| <b>x</b> |\n|---|\n| <img src=x> |",
    ):
        body = render(text, only_elsewhere).body
        assert not any(mark in body for mark in ("<script", "<img", "<a ", "<b>")), text
    link = render("[x](https://elsewhere.example/)", only_elsewhere).body
    assert link == (
        '<p><a href="https://elsewhere.example/" rel="noopener noreferrer" target="_blank">x</a></p>\n'
    )


def test_unfinished_marks_stay_as_they_are() -> None:
    assert render("a `b and **c", only_elsewhere).body == "<p>a `b and **c</p>\n"
    assert render("", only_elsewhere).body == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "a second"),
        (10, "10 seconds"),
        (60, "a minute"),
        (300, "5 minutes"),
        (3600, "an hour"),
        (86400, "a day"),
    ],
)
def test_windows_are_said_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_quality_of_a_connector_and_what_it_lacks_are_shown(browser: Browser, folder: Path) -> None:
    browser.post("/connectors/reload")
    assert ">Draft<" in browser.get("/connectors").text
    page = browser.get("/connectors/post_office").text
    assert "What it lacks for the next level" in page
    assert "connector.yaml has no check" in page
    assert "nothing: written from documentation" in page


def test_the_list_says_which_version_and_until_when_it_is_supported(browser: Browser, folder: Path) -> None:
    text = CONNECTOR.replace('checked: "2026-11-01"', 'checked: "2026-11-01", supported_until: "2031-05-07"')
    (folder / "connector.yaml").write_text(text)
    browser.post("/connectors/reload")
    page = " ".join(browser.get("/connectors").text.split())
    assert "Version 7, supported until 07 May 2031" in page
