"""Every page in light and dark, wide and on a phone: readable for all, nothing cut off, no complaint of
the browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import needs
from tests.accessibility import complaints
from tests.product import Product

PAGES = (
    "/",
    "/flows",
    "/runs",
    "/dead-letters",
    "/dead-letters/discarded",
    "/connections",
    "/connections/new",
    "/connections/new?connector=http",
    "/connections/new?connector=hubspot",
    "/connectors",
    "/connectors/hubspot",
    "/account",
    "/settings/history",
    "/settings/alerts",
    "/alerts",
    "/ledger",
    "/health",
    "/standstill",
)


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_are_fit_for_everybody(visitor: Page, server: Product, theme: str, width: int) -> None:
    cookie = {"name": "plumbline_theme", "value": theme, "url": server.base_url}
    visitor.context.add_cookies([cookie])  # type: ignore[list-item]
    visitor.set_viewport_size({"width": width, "height": 900})
    found = {}
    for path in PAGES:
        visitor.goto(server.base_url + path)
        if said := complaints(visitor):
            found[path] = said
    assert not found


def test_the_look_of_the_system_is_followed_until_one_is_chosen(visitor: Page, server: Product) -> None:
    backgrounds = []
    for scheme in ("light", "dark"):
        visitor.emulate_media(color_scheme=scheme)
        visitor.goto(server.base_url + "/account")
        backgrounds.append(visitor.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]
    visitor.get_by_label(re.compile("Your account")).click()
    visitor.get_by_role("button", name="Light").click()
    expect(visitor.locator("html")).to_have_class("light")
    assert visitor.evaluate("getComputedStyle(document.body).backgroundColor") == backgrounds[0]


def test_moments_are_shown_in_the_readers_zone(browser: Browser, server: Product, page: Page) -> None:
    server.sign_in(page)
    context = browser.new_context(timezone_id="Asia/Tokyo", storage_state=page.context.storage_state())
    tab = context.new_page()
    tab.goto(server.base_url + "/account")
    there = tab.locator("time").first
    shown = there.text_content()
    tab.reload()
    assert tab.locator("html").get_attribute("data-zone") == "Asia/Tokyo"
    assert tab.locator("time").first.text_content() == shown
    assert "JST" in (tab.locator("time").first.get_attribute("title") or "")
    context.close()


def test_without_javascript_one_can_sign_in_connect_and_sign_out(browser: Browser, server: Product) -> None:
    assert needs.chromium()
    context = browser.new_context(java_script_enabled=False, viewport={"width": 420, "height": 900})
    page = context.new_page()
    server.sign_in(page)
    page.goto(server.base_url + "/connections/new?connector=http")
    page.get_by_label("Host").fill("api.example.com")
    page.get_by_label("Token").fill("tok_1234567890abcd")
    page.get_by_role("button", name="Save and test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Web request")
    page.locator("summary[aria-label^='Your account']").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    context.close()


def test_with_the_keyboard_alone_one_reaches_the_content_and_the_menu(visitor: Page, server: Product) -> None:
    visitor.goto(server.base_url + "/connections")
    visitor.keyboard.press("Tab")
    expect(visitor.locator(":focus")).to_have_text("Skip to the content")
    visitor.keyboard.press("Enter")
    visitor.keyboard.press("Tab")
    expect(visitor.locator(":focus")).to_have_text("New connection")
    menu = visitor.locator(".pl-user > summary")
    menu.focus()
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Sign out")).to_be_visible()
    visitor.keyboard.press("Tab")
    visitor.keyboard.press("Escape")
    expect(visitor.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()


def test_an_error_leaves_the_page_standing_and_is_said_aloud(
    visitor: Page, server: Product, console_errors: list[str]
) -> None:
    visitor.goto(server.base_url + "/connections")
    visitor.evaluate("htmx.ajax('GET', '/nothing-here', {target: '#main'})")
    expect(visitor.locator("#toasts [data-toast]")).to_contain_text("This address leads nowhere")
    expect(visitor.get_by_role("heading", level=1)).to_have_text("Connections")
    visitor.get_by_role("button", name="Close this message").click()
    expect(visitor.locator("#toasts [data-toast]")).to_have_count(0)
    console_errors[:] = [said for said in console_errors if "404" not in said]
