"""Order, pace, repeats and retries of a flow, as its builder says and keeps them."""

from __future__ import annotations

import pytest

from app.parts import Parts
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser, words
from tests.web.flow_forms import REQUEST, make_flow, send, stored

EMAIL = "{{trigger:$['email']}}"


def test_runs_may_go_one_at_a_time_by_a_field_of_the_sample(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts)
    shown = words(browser.get(f"/flows/{flow}?step=trigger").text)
    assert "no: runs go side by side" in shown
    assert "yes, for each Email (ana.silva@example.com)" in shown
    send(browser, parts, flow, "trigger", flow__one_by_one=EMAIL, flow__most_at_once="3")
    draft = stored(parts, flow).draft
    assert (draft.one_by_one.value, draft.most_at_once) == (EMAIL, 3)
    page = browser.get(f"/flows/{flow}?step=trigger").text
    assert "selected>yes, for each Email" in page
    send(browser, parts, flow, "trigger", flow__one_by_one="", flow__most_at_once="")
    draft = stored(parts, flow).draft
    assert (draft.one_by_one.value, draft.most_at_once) == ("", None)


def test_a_line_is_named_in_words_while_there_is_no_sample(browser: Browser, parts: Parts) -> None:
    for value, named in (
        (EMAIL, "Email"),
        ("{{trigger:$.order.customer_id}}", "Customer ID"),
        ("a{{b", "a{{b"),
    ):
        flow = make_flow(parts, sample=None, one_by_one=value)
        shown = words(browser.get(f"/flows/{flow}?step=trigger").text)
        assert f"yes, for each {named}" in shown
        assert "once a sample has come in" in shown


def test_a_form_that_does_not_show_the_pace_leaves_it_alone(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts, one_by_one=EMAIL, most_at_once=5)
    send(browser, parts, flow, "trigger", name="Orders come in")
    draft = stored(parts, flow).draft
    assert (draft.trigger.name, draft.one_by_one.value, draft.most_at_once) == ("Orders come in", EMAIL, 5)


@pytest.mark.parametrize("number", ["0", "1001", "-3", "many", "²", "9" * 5000])
def test_a_number_that_makes_no_sense_gets_its_sentence(browser: Browser, parts: Parts, number: str) -> None:
    flow = make_flow(parts)
    answer = send(browser, parts, flow, "trigger", flow__one_by_one="", flow__most_at_once=number)
    assert answer.status_code == 422
    assert "Write a number from 1 to 1,000" in answer.text
    assert stored(parts, flow).draft.most_at_once is None


def test_a_line_by_a_later_steps_data_keeps_the_flow_from_going_live(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts, REQUEST, one_by_one="{{s1:$.id}}")
    shown = words(browser.get(f"/flows/{flow}/publish").text)
    assert "One at a time uses step 2" in shown


@pytest.mark.parametrize(
    ("by", "value", "kept"),
    [
        ("sender", None, ""),
        ("none", None, "none"),
        ("data", None, "$.id"),
        ("data", "$.order", "$.order"),
        ("header", None, "header:X-Delivery-Id"),
        ("query", "msg", "query:msg"),
    ],
)
def test_how_a_repeat_is_known_is_chosen_in_words(
    browser: Browser, parts: Parts, by: str, value: str | None, kept: str
) -> None:
    flow = make_flow(parts)
    typed = {"repeat_by": by} | ({} if value is None else {"repeat_value": value})
    send(browser, parts, flow, "trigger", **typed)
    assert getattr(stored(parts, flow).draft.trigger, "dedupe") == kept  # noqa: B009
    shown = browser.get(f"/flows/{flow}?step=trigger").text
    assert f'<option value="{by}" selected>' in shown
    assert ('name="repeat_value"' in shown) == (by in ("data", "header", "query"))


def test_a_repeat_by_nothing_in_particular_is_asked_about(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts)
    answer = send(browser, parts, flow, "trigger", repeat_by="header", repeat_value=" ")
    assert answer.status_code == 422
    assert "Say which one" in answer.text


def test_trying_again_is_said_in_plain_words(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts, REQUEST)
    shown = words(browser.get(f"/flows/{flow}?step=s1").text)
    for choice in ("Keep trying for about a day", "Try 3 times quickly, then stop", "Do not try again"):
        assert choice in shown
    send(browser, parts, flow, "steps/s1", retry__preset="quick")
    assert getattr(stored(parts, flow).draft.steps[0], "retry").preset == "quick"  # noqa: B009


def test_numbers_of_ones_own_say_what_they_come_to_and_never_widen(browser: Browser, parts: Parts) -> None:
    flow = make_flow(parts, REQUEST | {"retry": {"preset": "custom", "attempts": 3, "first_wait_s": 60}})
    shown = words(browser.get(f"/flows/{flow}?step=s1").text)
    assert "3 tries, with waits of up to 1 minute, 2 minutes: over after at most 3 minutes." in shown
    answer = send(browser, parts, flow, "steps/s1", retry__preset="custom", retry__attempts="11")
    assert answer.status_code == 422
    assert "at most 10" in answer.text


def test_a_run_that_waits_for_its_turn_names_the_other_and_can_go_ahead(
    browser: Browser, parts: Parts
) -> None:
    history = History(parts.database)
    flow = history.flow("New order", [HTTP])
    first = history.run(flow, "waiting", reason="retry")
    run = history.run(flow, "waiting", reason="turn", waits_for=first, sentence="Waits for an earlier run.")

    def stand(db: object) -> None:
        from app.storage.history.turns import TURN, turn_row

        TURN.execute(db, [turn_row(one, flow, "ada") for one in (first, run)])  # type: ignore[arg-type]

    parts.database.write(stand)
    html = browser.get(f"/runs/{run}").text
    assert f'href="/runs/{first}"' in html
    assert "Go ahead without waiting" in html
    assert "1 later run with the same value waits until this one has ended." in words(
        browser.get(f"/runs/{first}").text
    )
    browser.post(f"/runs/{run}/go-ahead", {})
    assert "Go ahead without waiting" not in browser.get(f"/runs/{run}").text


def test_a_duplicate_leads_to_what_the_first_one_started(browser: Browser, parts: Parts) -> None:
    history = History(parts.database)
    flow = history.flow("New order", [HTTP])
    run = history.run(flow, "succeeded", label="Order 7")
    with parts.database.read() as db:
        event = db.exec_driver_sql("SELECT event_id FROM runs").scalar()
    again = history.delivery(flow, outcome="duplicate", reason=f"A repetition of {event}.")
    assert f'href="/runs?q={event}"' in browser.get(f"/flows/{flow}/deliveries").text
    assert f'href="/runs/{run}"' in browser.get(f"/deliveries/{again}").text


def test_an_action_that_can_is_asked_to_send_together_with_other_runs(browser: Browser, parts: Parts) -> None:
    step = {"kind": "action", "id": "s1", "connector": "hubspot", "action": "create_or_update_contact"}
    other = {"kind": "action", "id": "s2", "connector": "hubspot", "action": "get_contact"}
    flow = make_flow(parts, step, other)
    shown = words(browser.get(f"/flows/{flow}?step=s1&tab=fields").text)
    assert "Up to 100 records go out in one call" in shown
    assert "a run waits up to 2 seconds for others" in shown
    assert "Send together" not in browser.get(f"/flows/{flow}?step=s2&tab=fields").text
    send(browser, parts, flow, "steps/s1", together="1")
    assert getattr(stored(parts, flow).draft.steps[0], "together") is True  # noqa: B009
