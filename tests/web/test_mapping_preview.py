"""The value under a field: worked out by the engine's own code, from the samples, as it is typed."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.flows.mapping.functions.menu import FUNCTIONS
from app.flows.mapping.template import compile_template
from app.flows.model import Mapping
from app.parts import Parts
from app.storage.flows.flows import set_sample
from app.web.builder.mapping import call_text, preview
from tests.web.browser import Browser
from tests.web.flow_forms import ORDER, REQUEST, make_flow

SCOPE: dict[str, Any] = {"trigger": ORDER, "run": {"id": "run_1", "flow": "Orders", "started_at": ""}}


def _shown(browser: Browser, flow_id: str, value: str, step: str = "s1", **more: str) -> tuple[str, str]:
    """(look, text) of the answer to a field that says `value`."""
    form = {"request.url.value": value, "preview_field": "request.url", "step": step} | more
    answer = browser.post_part(f"/flows/{flow_id}/preview", form)
    assert answer.status_code == 200
    look = re.search(r'data-look="(\w+)"', answer.text)
    text = html.unescape(re.sub(r"<[^>]+>", "", answer.text)).strip()
    return (look[1] if look else "plain"), text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{trigger:$['first_name'] | title}}", "→ Ana"),
        ("{{$.total}} EUR", "→ 184.5 EUR"),
        ('Bought {{$.line_items[*].title | join:" + "}}', "→ Bought Trail shoes + Socks"),
        ('{{$.created_at | date:"%d %b %Y"}}', "→ 18 Nov 2026"),
        ("{{$.line_items}}", '→ [{"title":"Trail shoes","price":129.0},{"title":"Socks","price":27.75}]'),
        ("{{run:$.flow}}", "→ Orders"),
    ],
)
def test_a_field_shows_what_it_will_be(browser: Browser, parts: Parts, template: str, text: str) -> None:
    assert _shown(browser, make_flow(parts, REQUEST), template) == ("value", text)


def test_plain_text_needs_no_preview(browser: Browser, parts: Parts) -> None:
    assert _shown(browser, make_flow(parts, REQUEST), "https://api.example.com") == ("plain", "")


def test_an_empty_value_is_amber_and_names_the_field(browser: Browser, parts: Parts) -> None:
    look, text = _shown(browser, make_flow(parts, REQUEST), "{{$.phone}}", preview_label="Phone")
    assert look == "empty"
    assert text.startswith("Phone is empty")


def test_a_misspelt_name_is_answered_with_the_right_one(browser: Browser, parts: Parts) -> None:
    look, text = _shown(browser, make_flow(parts, REQUEST), "{{$.emial}}")
    assert look == "empty"
    assert "email" in text


def test_the_way_out_of_an_empty_value_is_shown_at_once(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    rule = {"request.url.when_empty": "default", "request.url.default": "unknown"}
    _, text = _shown(browser, flow_id, "{{$.phone}}", **rule)
    assert "→ unknown" in text


@pytest.mark.parametrize(
    "template", ["{{", "{{}}", "{{$.a | nonsense}}", "{{$[?(@.a=~'x')]}}", "{{$.a | date:}}"]
)
def test_a_template_that_cannot_be_read_is_said_in_red(browser: Browser, parts: Parts, template: str) -> None:
    look, text = _shown(browser, make_flow(parts, REQUEST), template)
    assert look == "wrong"
    assert len(text) > 10


def test_without_a_sample_it_says_where_to_get_one(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, {"id": "s2", "kind": "set"}, sample=None)
    look, text = _shown(browser, flow_id, "{{$.email}}")
    assert look == "unknown"
    assert "Send a test event" in text
    look, text = _shown(browser, flow_id, "{{s1:$.id}}", step="s2")
    assert look == "unknown"
    assert "not been tested" in text


def test_inside_a_loop_the_first_item_is_the_sample(browser: Browser, parts: Parts) -> None:
    loop = {"id": "s2", "kind": "for_each", "items": "{{$.line_items}}", "steps": [REQUEST]}
    flow_id = make_flow(parts, loop)
    assert _shown(browser, flow_id, "{{s2:$.item.title}}") == ("value", "→ Trail shoes")


def test_what_an_earlier_step_answered_can_be_mapped(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, {"id": "s2", "kind": "set"})
    parts.database.write(lambda db: set_sample(db, flow_id, {"contact": {"id": 42}}, root="s1"))
    assert _shown(browser, flow_id, "{{s1:$.contact.id}}", step="s2") == ("value", "→ 42")


def test_dates_are_told_in_the_flows_time_zone(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, time_zone="Asia/Tokyo")
    assert _shown(browser, flow_id, '{{$.created_at | date:"%H:%M"}}') == ("value", "→ 18:24")


def test_a_schedule_has_its_data_before_it_ever_fired(browser: Browser, parts: Parts) -> None:
    trigger = {"kind": "schedule", "when": "every day at 07:00"}
    flow_id = make_flow(parts, REQUEST, trigger=trigger, sample=None)
    look, text = _shown(browser, flow_id, "{{$.weekday}}")
    assert look == "value"
    assert text.endswith("day")


def test_hostile_samples_are_text(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, sample={"x": "<script>alert(1)</script>"})
    answer = browser.post_part(
        f"/flows/{flow_id}/preview", {"a.value": "{{$.x}}", "preview_field": "a", "step": "s1"}
    )
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_huge_value_is_cut(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST, sample={"x": "y" * 1_000_000})
    _, text = _shown(browser, flow_id, "{{$.x}}")
    assert len(text) < 500
    assert text.endswith("…")


@pytest.mark.parametrize("name", ["", "nothing", "request", "request.url.value.deeper", "....", "request.0"])
def test_a_field_that_is_not_in_the_form_has_no_preview(browser: Browser, parts: Parts, name: str) -> None:
    flow_id = make_flow(parts, REQUEST)
    form = {"request.url.value": "x", "preview_field": name, "step": "s1"}
    assert browser.post_part(f"/flows/{flow_id}/preview", form).status_code == 200


# ---------------------------------------------------------------------------- menu of functions


def test_the_menu_shows_what_each_function_would_make(browser: Browser, parts: Parts) -> None:
    flow_id = make_flow(parts, REQUEST)
    menu = browser.post_part(
        f"/flows/{flow_id}/functions", {"expression": "trigger:$['first_name'] | title", "step": "s1"}
    ).text
    assert "First name" in menu
    assert 'data-function="title"' in menu
    assert "<output>ANA</output>" in menu
    assert menu.count("data-add-function") == len(FUNCTIONS)


@pytest.mark.parametrize("expression", ["", "}}", "$.a}} {{$.b", "$.a | nonsense", "x" * 10_000, "'"])
def test_a_menu_for_nonsense_says_so(browser: Browser, parts: Parts, expression: str) -> None:
    flow_id = make_flow(parts, REQUEST)
    answer = browser.post_part(f"/flows/{flow_id}/functions", {"expression": expression, "step": "s1"})
    assert answer.status_code == 200
    assert "Remove this value" in answer.text


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_can_be_added_from_the_menu(name: str) -> None:
    function = FUNCTIONS[name]
    template = compile_template("{{$.email | " + call_text(function) + "}}")
    assert [use.name for use in template.references[0].functions] == [name]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from("{}$.[]'\"|:@*?()\\ abemailtrigger_09\n\x00é"), max_size=60))
def test_no_text_breaks_a_preview(text: str) -> None:
    found = preview("Field", Mapping(value=text), SCOPE)
    assert found.look in ("plain", "value", "empty", "unknown", "wrong")
    assert found.look != "wrong" or found.sentences
