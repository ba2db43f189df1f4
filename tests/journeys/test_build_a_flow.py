"""In a browser: from an empty installation to a live flow, by mouse, by keyboard, and with things going
wrong on the way."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.accessibility import complaints
from tests.fakes.listener import Listener
from tests.product import Product

ORDER = {
    "email": "ana.silva@example.com",
    "first_name": "ana",
    "phone": None,
    "total": 184.5,
    "created_at": "2026-11-18T09:24:11Z",
    "line_items": [{"title": "Trail shoes", "price": 129.0}, {"title": "Socks", "price": 27.75}],
    "evil": "<img src=x onerror=alert(1)>",
}
MOST_CLICKS = 12
MOST_KB = 60


@pytest.fixture
def target() -> Iterator[Listener]:
    target = Listener()
    yield target
    target.close()


@pytest.fixture
def server(start_product: Callable[..., Product], target: Listener) -> Product:
    """It may call the target although that is on this machine."""
    return start_product(allow_targets=target.place)


class Hands:
    """Clicks, and counts them."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1


def _post(address: str, document: Any) -> httpx.Response:
    return httpx.post(address, json=document, trust_env=False, timeout=60)


def _leaf(page: Page, name: str) -> Locator:
    return page.locator("#data-tree .pl-leaf").filter(has=page.get_by_text(name, exact=True)).first


def _settled(page: Page) -> None:
    """Everything typed is saved: the page's own timers that were set before have run, in their order
    however slow the machine is, and what they asked is answered."""
    for wait_ms in (900, 50, 50):
        page.evaluate("ms => new Promise(done => setTimeout(done, ms))", wait_ms)
        expect(page.locator(".htmx-request")).to_have_count(0)


def _new_flow(page: Page, server: Product) -> str:
    """A webhook flow with a sample; its id."""
    page.goto(server.base_url + "/flows")
    page.locator("#new-flow").click()
    page.get_by_role("button", name="Webhook").click()
    address = page.locator("#hook-address").input_value()
    assert _post(address, ORDER).status_code == 202
    expect(page.get_by_text("There is a sample")).to_be_visible()
    return page.url.split("/flows/")[1].split("?")[0]


def _add(page: Page, after: str, kind: str) -> None:
    page.locator(after).click()
    page.get_by_role("button", name=kind).first.click()
    expect(page.locator("#panel-form")).to_be_visible()


# --------------------------------------------------------------------------------- the journey


def test_from_nothing_to_a_live_flow_in_twelve_clicks(
    visitor: Page, server: Product, target: Listener
) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    hands = Hands()
    visitor.goto(server.base_url + "/")
    hands.click(visitor.get_by_role("button", name="Create your first flow"))
    hands.click(visitor.get_by_role("button", name="Webhook"))
    hands.click(visitor.get_by_role("button", name="Copy"))
    expect(visitor.locator("#live")).to_have_text("Copied")
    address = visitor.evaluate("navigator.clipboard.readText()")
    assert address == visitor.locator("#hook-address").input_value()
    assert _post(address, ORDER).status_code == 202
    expect(visitor.get_by_text("There is a sample")).to_be_visible()
    hands.click(visitor.locator("#add-flow-trigger"))
    hands.click(visitor.get_by_role("button", name="Web request"))
    expect(visitor.locator("#ed-i-request-url")).to_be_focused()
    visitor.keyboard.type(target.url)
    hands.click(visitor.get_by_label("Fields to send, row 1: name"))
    visitor.keyboard.type("address")
    hands.click(visitor.locator(".pl-named .pl-editor"))
    hands.click(_leaf(visitor, "Email"))
    expect(visitor.locator(".pl-named .pl-preview")).to_have_text("→ ana.silva@example.com")
    hands.click(visitor.locator("#publish"))
    hands.click(visitor.get_by_role("button", name="Publish and switch on"))
    expect(visitor.locator("#flow-state")).to_have_text("Live v1")
    expect(visitor.locator("#switch")).to_have_attribute("aria-checked", "true")
    assert _post(address, ORDER | {"email": "jo@example.com"}).status_code in (200, 202)
    hands.click(visitor.get_by_label("Views of this flow").get_by_role("link", name="Runs"))
    expect(visitor.get_by_role("link", name="jo@example.com")).to_be_visible()
    expect(visitor.locator(".pl-badge", has_text="Success").first).to_be_visible()
    assert target.got == [{"address": "jo@example.com"}]
    assert hands.clicks <= MOST_CLICKS


def _walk_to(page: Page, what: Locator, most: int = 60) -> None:
    """Presses Tab until it has the focus."""
    for _ in range(most):
        if what.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"The keyboard does not reach {what}")


def _press(page: Page, what: Locator) -> None:
    _walk_to(page, what)
    page.keyboard.press("Enter")


def test_the_same_with_the_keyboard_alone(visitor: Page, server: Product, target: Listener) -> None:
    visitor.goto(server.base_url + "/flows")
    _press(visitor, visitor.locator("#new-flow"))
    expect(visitor.get_by_text("What starts this flow?")).to_be_visible()
    _press(visitor, visitor.get_by_role("button", name="Webhook"))
    address = visitor.locator("#hook-address").input_value()
    _post(address, ORDER)
    expect(visitor.get_by_text("There is a sample")).to_be_visible()
    visitor.locator("#panel").press("Escape")
    expect(visitor.locator("#step-trigger")).to_be_focused()
    visitor.keyboard.press("ArrowDown")
    expect(visitor.locator("#add-flow-trigger")).to_be_focused()
    visitor.keyboard.press("Enter")
    expect(visitor.locator("#picker-search")).to_be_focused()
    visitor.keyboard.type("web request")
    expect(visitor.locator(".pl-pick-button")).to_have_count(1)
    _press(visitor, visitor.locator(".pl-pick-button"))
    expect(visitor.locator("#ed-i-request-url")).to_be_focused()
    visitor.keyboard.type(target.url)
    _walk_to(visitor, visitor.get_by_label("Fields to send, row 1: name"))
    visitor.keyboard.type("address")
    visitor.keyboard.press("Tab")
    _walk_to(visitor, visitor.locator("#data-search"))
    visitor.keyboard.type("silva")
    visitor.keyboard.press("ArrowDown")
    expect(_leaf(visitor, "Email")).to_be_focused()
    visitor.keyboard.press("Enter")
    expect(visitor.locator(".pl-named .pl-editor")).to_be_focused()
    _settled(visitor)
    _press(visitor, visitor.locator("#publish"))
    expect(visitor.get_by_role("heading", name="Publish as version 1")).to_be_visible()
    _press(visitor, visitor.locator("#publish-now"))
    expect(visitor.locator("#flow-state")).to_have_text("Live v1")
    _post(address, ORDER)
    visitor.goto(server.base_url + "/runs")
    expect(visitor.locator(".pl-badge", has_text="Success").first).to_be_visible()
    assert target.got == [{"address": "ana.silva@example.com"}]


# -------------------------------------------------------------------------------- fields, pills


def _request_step(page: Page, server: Product) -> Locator:
    """The value of the first field to send."""
    _new_flow(page, server)
    _add(page, "#add-flow-trigger", "Web request")
    page.get_by_label("Fields to send, row 1: name").fill("note")
    return page.locator(".pl-named .pl-editor")


def _holds(page: Page, template: str | re.Pattern[str]) -> None:
    """What the first field to send is filled with."""
    expect(page.locator("textarea[name='request.body.0.mapping.value']")).to_have_value(template)


def test_pills_are_typed_stepped_over_removed_and_brought_back(visitor: Page, server: Product) -> None:
    field = _request_step(visitor, server)
    field.click()
    visitor.keyboard.type("Bought {{trigger:$['line_items'][*]['title'] | join:\", \"}} on ")
    _leaf(visitor, "Created at").click()
    whole = "Bought {{trigger:$['line_items'][*]['title'] | join:\", \"}} on {{trigger:$['created_at']}}"
    _holds(visitor, whole)
    expect(field.locator(".pl-pill")).to_have_count(2)
    expect(field.get_by_role("button", name="Title (each) · join (from step 1)")).to_be_visible()
    visitor.keyboard.press("Backspace")
    _holds(visitor, re.compile(re.escape(" on ") + "$"))
    visitor.keyboard.press("Control+z")
    _holds(visitor, whole)
    visitor.keyboard.press("End")
    visitor.keyboard.press("ArrowLeft")
    expect(field.locator(".pl-pill").last).to_be_focused()
    visitor.keyboard.press("ArrowLeft")
    visitor.keyboard.type("the ")
    _holds(visitor, re.compile(re.escape(" on the {{trigger:$['created_at']}}") + "$"))


def test_pasted_pages_become_text_and_copied_pills_stay_pills(visitor: Page, server: Product) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    field = _request_step(visitor, server)
    field.click()
    field.evaluate(
        """node => {
          const clipboardData = new DataTransfer();
          clipboardData.setData('text/html', '<img src=x onerror=alert(1)><b>bold</b> {{$.email}}');
          clipboardData.setData('text/plain', 'bold {{$.email}}');
          node.dispatchEvent(new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true}));
        }"""
    )
    _holds(visitor, "bold {{$.email}}")
    expect(field.locator("img, b")).to_have_count(0)
    visitor.keyboard.press("Control+a")
    visitor.keyboard.press("Control+x")
    _holds(visitor, "")
    visitor.keyboard.press("Control+v")
    visitor.keyboard.press("Control+v")
    _holds(visitor, "bold {{$.email}}bold {{$.email}}")


def test_the_menu_of_a_pill_shows_what_each_function_would_make(visitor: Page, server: Product) -> None:
    field = _request_step(visitor, server)
    field.click()
    _leaf(visitor, "Created at").click()
    pill = field.locator(".pl-pill")
    pill.press("Enter")
    menu = visitor.locator("#pill-menu")
    expect(menu).to_be_visible()
    expect(visitor.locator("#function-search")).to_be_focused()
    visitor.keyboard.type("date as")
    menu.locator(".pl-function-list li:not([hidden]) button").first.click()
    expect(menu.locator(".pl-functions > .pl-preview")).to_contain_text("18 Nov 2026")
    menu.locator("[data-arg]").first.fill("%Y")
    expect(menu.locator(".pl-functions > .pl-preview")).to_have_text("→ 2026")
    visitor.keyboard.press("Escape")
    expect(menu).not_to_be_visible()
    expect(pill).to_be_focused()
    expect(visitor.locator(".pl-named .pl-preview")).to_have_text("→ 2026")
    assert not complaints(visitor)


def test_an_empty_value_is_said_at_once_with_a_way_out(visitor: Page, server: Product) -> None:
    field = _request_step(visitor, server)
    field.click()
    _leaf(visitor, "Phone").click()
    row = visitor.locator(".pl-named")
    expect(row.locator(".pl-pv-empty")).to_contain_text("note is empty")
    row.get_by_label("If there is nothing").select_option("default")
    row.get_by_label("used when there is nothing").fill("unknown")
    expect(row.locator(".pl-preview")).to_contain_text("unknown")


def test_what_is_typed_while_it_is_saved_is_not_lost(visitor: Page, server: Product) -> None:
    field = _request_step(visitor, server)
    field.click()
    for word in ("one ", "two ", "three ", "four "):
        visitor.keyboard.type(word)
        visitor.wait_for_timeout(350)
    visitor.locator("#step-trigger").click()
    expect(visitor.locator("#hook-address")).to_be_visible()
    visitor.locator("#step-s1").click()
    expect(visitor.locator(".pl-named .pl-editor")).to_have_text("one two three four ")
    expect(visitor.locator("#refused")).to_be_empty()


# ----------------------------------------------------------------------------- canvas, forms


def test_a_moved_step_keeps_the_focus_and_says_where_it_is(visitor: Page, server: Product) -> None:
    _new_flow(visitor, server)
    _add(visitor, "#add-flow-trigger", "Delay")
    _add(visitor, "#add-flow-s1", "Set values")
    visitor.locator("#step-s2").focus()
    visitor.keyboard.press("Alt+ArrowUp")
    expect(visitor.locator("#live")).to_have_text("Now step 2")
    expect(visitor.locator("#step-s2")).to_be_focused()
    expect(visitor.locator(".pl-step .pl-eyebrow")).to_have_text(
        ["1 · Webhook", "2 · Set values", "3 · Delay"]
    )
    visitor.locator("#menu-s2 summary").click()
    visitor.locator("#menu-s2").get_by_role("button", name="Move down").click()
    expect(visitor.locator("#live")).to_have_text("Now step 3")
    expect(visitor.locator("#step-s2")).to_be_focused()


def test_back_and_reload_show_the_step_that_was_open(visitor: Page, server: Product) -> None:
    _new_flow(visitor, server)
    _add(visitor, "#add-flow-trigger", "Delay")
    visitor.locator("#step-trigger").click()
    expect(visitor.locator("#hook-address")).to_be_visible()
    visitor.go_back()
    expect(visitor.get_by_text("Waiting costs nothing")).to_be_visible()
    expect(visitor.locator("#step-s1")).to_have_attribute("aria-current", "step")
    visitor.reload()
    expect(visitor.get_by_text("Waiting costs nothing")).to_be_visible()


def test_a_wrong_value_is_said_at_its_field_and_stays(
    visitor: Page, server: Product, console_errors: list[str]
) -> None:
    _request_step(visitor, server)
    visitor.get_by_text("Time and answer").click()
    seconds = visitor.get_by_label("Wait at most (seconds)")
    seconds.fill("soon")
    expect(visitor.locator("#e-request-timeout_s")).to_have_text("Write a number. “soon” is none.")
    expect(seconds).to_have_attribute("aria-invalid", "true")
    expect(seconds).to_have_value("soon")
    seconds.fill("20")
    expect(visitor.locator("#e-request-timeout_s")).to_be_empty()
    expect(seconds).not_to_have_attribute("aria-invalid", "true")
    _take_out(console_errors, "422")


def test_two_windows_are_told_apart(visitor: Page, server: Product, console_errors: list[str]) -> None:
    _request_step(visitor, server)
    _settled(visitor)
    other = visitor.context.new_page()
    other.goto(visitor.url)
    other.get_by_label("Fields to send, row 1: name").fill("elsewhere")
    _settled(other)
    visitor.get_by_label("Fields to send, row 1: name").fill("here")
    expect(visitor.locator("#refused")).to_contain_text("changed in another window")
    visitor.get_by_role("link", name="Load the page again").click()
    expect(visitor.get_by_label("Fields to send, row 1: name")).to_have_value("elsewhere")
    _take_out(console_errors, "409")


def _take_out(console_errors: list[str], status: str) -> None:
    """The browser reports every answer that is no success; this one was expected."""
    assert console_errors
    console_errors[:] = [said for said in console_errors if status not in said]


def test_a_problem_leads_to_its_field(visitor: Page, server: Product) -> None:
    _new_flow(visitor, server)
    _add(visitor, "#add-flow-trigger", "Email")
    visitor.locator("#step-trigger").click()
    expect(visitor.locator("#hook-address")).to_be_visible()
    visitor.locator("#publish").click()
    expect(visitor.get_by_role("heading", name="Not ready to publish yet")).to_be_visible()
    visitor.locator(".pl-checklist li", has_text="Subject").get_by_role("link").click()
    expect(visitor.locator("#ed-i-subject")).to_be_focused()


# ---------------------------------------------------------------------------- for everybody


def _whole_flow(page: Page, server: Product) -> str:
    """Every kind of step once, in paths and loops."""
    flow_id = _new_flow(page, server)
    _add(page, "#add-flow-trigger", "Web request")
    page.keyboard.type("https://api.example.com/contacts")
    page.get_by_label("Fields to send, row 1: name").fill("note")
    page.locator(".pl-named .pl-editor").click()
    _leaf(page, "Title (each)").click()
    for after, kind in (
        ("#add-flow-s1", "Paths"),
        ("#add-p1-first", "Email"),
        ("#add-p2-first", "Delay"),
        ("#add-flow-s2", "For each"),
        ("#add-s5-first", "Set values"),
        ("#add-flow-s5", "Filter"),
        ("#add-flow-s7", "Stop"),
    ):
        _add(page, after, kind)
    _settled(page)
    return flow_id


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_the_builder_is_fit_for_everybody(visitor: Page, server: Product, theme: str, width: int) -> None:
    flow = f"/flows/{_whole_flow(visitor, server)}"
    cookie = {"name": "plumbline_theme", "value": theme, "url": server.base_url}
    visitor.context.add_cookies([cookie])  # type: ignore[list-item]
    visitor.set_viewport_size({"width": width, "height": 900})
    steps = [f"{flow}?step={step}" for step in ("trigger", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8")]
    others = [
        "?choose=trigger",
        "?add=s1",
        "?step=trigger&tab=test",
        "?step=s1&tab=test",
        "/publish",
        "/versions",
    ]
    found = {}
    for path in ["/flows", "/flows/import", *steps, *(flow + rest for rest in others)]:
        visitor.goto(server.base_url + path)
        visitor.evaluate(
            "document.querySelectorAll('main details:not(.pl-menu)').forEach(d => { d.open = true })"
        )
        visitor.evaluate("window.scrollTo(0, 0)")
        if said := complaints(visitor):
            found[path] = said
    assert not found


def test_without_javascript_a_flow_can_still_be_built(server: Product, page: Page, browser: Any) -> None:
    server.add_user()
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(server.base_url + "/login")
    tab.locator("input[type=email]").fill("ada@example.com")
    tab.locator("input[type=password]").fill("a long enough password")
    tab.locator("form[method=post] button[type=submit]").first.click()
    tab.goto(server.base_url + "/flows")
    tab.locator("#new-flow").click()
    tab.get_by_role("button", name="Webhook").click()
    tab.locator("#add-flow-trigger").click()
    tab.get_by_role("button", name="Web request").click()
    tab.locator("textarea[name='request.url.value']").fill("https://api.example.com/{{$.email}}")
    tab.get_by_role("button", name="Save", exact=True).last.click()
    expect(tab.locator("textarea[name='request.url.value']")).to_have_value(
        "https://api.example.com/{{$.email}}"
    )
    tab.locator("#publish").click()
    tab.get_by_role("button", name="Publish and switch on").click()
    expect(tab.locator("#flow-state")).to_have_text("Live v1")
    context.close()


def test_the_editor_is_light(visitor: Page, server: Product) -> None:
    """All its scripts and styles, as they go over the wire."""
    flow_id = _new_flow(visitor, server)
    answers: list[Any] = []
    fresh = visitor.context.new_page()
    fresh.on("response", lambda answer: answers.append(answer))
    fresh.goto(f"{server.base_url}/flows/{flow_id}")  # until all of them are loaded
    asked = [one for one in answers if one.url.split("?")[0].endswith((".js", ".css"))]
    sizes = {one.url: len(gzip.compress(one.body(), 9)) for one in asked}
    assert len(sizes) >= 5
    assert sum(sizes.values()) <= MOST_KB * 1024, sizes
