"""Forms of the builder and the model: names are paths, and what was shown comes back unchanged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flows.edit import new_step
from app.flows.model import FlowDefinition, HttpStep, ManualTrigger, PathsStep
from app.web.builder.filters import field_id
from app.web.builder.forms import at, change_rows, field_key, merged, nested
from app.web.builder.kinds import interval_words, read_step, shape, shown_data

FLOW = FlowDefinition(name="Orders", trigger=ManualTrigger())
KINDS = ("http", "filter", "paths", "for_each", "delay", "set", "stop", "email")


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """As a form sends it: every leaf by its path, a mark for every list."""
    if isinstance(value, dict):
        return [
            pair
            for key, inner in value.items()
            for pair in _flat(inner, f"{name}.{field_key(key)}" if name else field_key(key))
        ]
    if isinstance(value, list):
        rows = [pair for number, inner in enumerate(value) for pair in _flat(inner, f"{name}.{number}")]
        return [(f"{name}[]", ""), *rows]
    return [] if value is None else [(name, str(value))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_that_is_shown_and_sent_back_is_the_same(kind: str) -> None:
    step = new_step(kind, FLOW)
    shown = {
        key: value for key, value in shown_data(step).items() if key not in ("default_output", "success")
    }
    typed = read_step(step, nested(_flat(shown)))
    assert typed.errors == {}
    assert typed.model == step


def test_what_a_form_does_not_show_stays_as_it_is() -> None:
    step = HttpStep(id="s1", name="Kept", note="Kept too")
    typed = read_step(step, nested([("request.url.value", "https://x.example")]))
    assert typed.model is not None
    assert (typed.model.name, typed.model.note) == ("Kept", "Kept too")


def test_an_empty_list_is_not_a_list_that_was_not_shown() -> None:
    row = {"name": "a", "mapping": "1"}
    step = HttpStep.model_validate({"id": "s1", "request": {"query": [row], "headers": [row]}})
    typed = read_step(step, nested([("request.query[]", "")]))
    assert typed.model is not None
    assert (typed.model.request.query, len(typed.model.request.headers)) == ([], 1)


def test_rows_come_in_the_order_of_their_numbers() -> None:
    pairs = [(f"values.{number}.name", f"n{number}") for number in (10, 9, 2)]
    assert [row["name"] for row in nested(pairs)["values"]] == ["n2", "n9", "n10"]


def test_the_last_value_counts_so_that_a_tick_box_can_be_unticked() -> None:
    assert nested([("on", "0"), ("on", "1")]) == {"on": "1"}
    assert nested([("on", "0")]) == {"on": "0"}


def test_lines_end_as_in_the_model() -> None:
    assert nested([("text", "a\r\nb")]) == {"text": "a\nb"}


@given(st.text(min_size=1, max_size=40))
def test_any_key_of_a_connector_is_one_part_of_a_name(key: str) -> None:
    if key.isdecimal():
        return
    assert nested([(f"input.{field_key(key)}.value", "x")]) == {"input": {key: {"value": "x"}}}


@given(st.lists(st.tuples(st.text(alphabet="ab.[]09%", max_size=12), st.text(max_size=5)), max_size=30))
def test_no_names_break_the_reading_of_a_form(pairs: list[tuple[str, str]]) -> None:
    data = nested(pairs)
    assert isinstance(data, dict)
    typed = read_step(HttpStep(id="s1"), data)
    assert typed.model is not None or typed.errors


@given(st.text(alphabet="abremoveddgroup:.0123[]", max_size=30))
def test_no_change_of_rows_breaks_a_form(change: str) -> None:
    data = {"request": {"query": [{"name": "a", "mapping": {"value": ""}}]}}
    change_rows(data, change)
    assert isinstance(data["request"]["query"], list)


def test_two_names_never_share_an_id() -> None:
    names = ["request.url", "request-url", "request_url", "input.a%2Eb", "input.a.b", "a.0", "a0"]
    assert len({field_id(name) for name in names}) == len(names)
    assert field_id("request.url") == "request-url"


def test_a_field_is_found_by_its_name() -> None:
    data = {"groups": [[{"left": {"value": "x"}}]]}
    assert at(data, "groups.0.0.left.value") == "x"
    assert at(data, "groups.0.1.left") is None
    assert at(data, "groups.x") is None
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


def test_paths_are_matched_by_their_ids_never_by_their_place() -> None:
    step = new_step("paths", FLOW)
    assert isinstance(step, PathsStep)
    typed = read_step(step, nested([("paths.0.id", step.paths[1].id), ("paths.0.name", "All others")]))
    assert typed.model is not None
    assert [path.name for path in typed.model.paths] == ["Path 1", "All others"]


def test_a_form_is_drawn_anew_only_when_its_fields_change() -> None:
    before = HttpStep(id="s1")
    named = before.model_copy(update={"name": "Other"})
    sent = before.model_copy(update={"request": before.request.model_copy(update={"body_kind": "json"})})
    assert shape(before) == shape(named)
    assert shape(before) != shape(sent)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60, "every minute"), (300, "every 5 minutes"), (86400, "every day"), (90, "every 90 seconds")],
)
def test_intervals_are_said_in_words(seconds: int, words: str) -> None:
    assert interval_words(seconds) == words
