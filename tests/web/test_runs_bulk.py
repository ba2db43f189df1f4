"""Runs that were ticked in the list are sent again by an order, which outlives the request."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from app.engine.orders import Orders
from app.parts import Parts
from app.storage.history.rows import get_row
from app.storage.tables.models import Flow
from tests.fakes.history import History
from tests.web.browser import Browser, words


def row(parts: Parts, run_id: str) -> Any:
    with parts.database.read() as db:
        return get_row(db, run_id)


def test_selected_runs_are_sent_again_by_an_order_that_outlives_the_request(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    made = [history.run(flow, "dead", position="s1", label=f"Order {n}") for n in range(3)]
    form = {"run": made, "do": "failed", "next": "/runs?state=stopped"}
    address = browser.post("/runs/bulk", form).headers["Location"]
    assert address.startswith("/orders/ord_")
    assert not any(row(parts, run).replayed_as for run in made), "not inside the request"
    assert "Sending 3 runs again" in words(browser.get(address).text)
    in_list = browser.get("/runs")
    assert "Sending 3 runs again : 0 of 3 sent again." in words(in_list.text)
    assert f'href="{address}"' in in_list.text
    assert "Sending" not in browser.get("/runs?flow=flow_another").text
    Orders(parts.database, parts.clock, lambda tickets: None).work()  # of the process that comes after
    assert all(row(parts, run).replayed_as for run in made)
    assert "3 of 3 sent again: 3 under way." in words(browser.get(address).text)


def test_an_order_about_selected_runs_says_how_many_could_not_be_sent_again(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    made = [
        history.run(flow, "dead"),
        history.run(flow, "waiting", reason="delay"),
        history.run(flow, "dead"),
    ]
    browser.post(f"/runs/{made[2]}/settle")
    odd = ["run_nothing", "", "run_\x00", "x" * 5000, "' OR 1=1 --"]
    address = browser.post("/runs/bulk", {"run": [*made, *odd], "do": "whole"}).headers["Location"]
    parts.engine.work_orders()
    shown = words(browser.get(address).text)
    assert "1 run sent again" in shown
    assert (
        "1 of 7 sent again: 1 under way. 6 runs could not be. Somebody had dealt with them already." in shown
    )
    assert row(parts, made[0]).replayed_as
    assert not row(parts, made[2]).replayed_as


def test_an_order_of_a_held_flow_says_that_it_waits(
    browser: Browser, history: History, flow: str, parts: Parts
) -> None:
    parts.database.write(lambda db: db.execute(update(Flow).values(is_held=True)))
    address = browser.post("/runs/bulk", {"run": [history.run(flow, "dead")], "do": "whole"}).headers[
        "Location"
    ]
    parts.engine.work_orders()
    assert "It goes on when somebody releases the flow" in words(browser.get(address).text)
    assert browser.post(f"{address}/stop").headers["Location"] == address
    shown = words(browser.get(address).text)
    assert "Stopped: 1 run" in shown
    assert "released" not in shown


@pytest.mark.parametrize("do", ["failed", "settle", "", "no such thing"])
def test_nothing_or_far_too_much_selected_is_said_and_does_nothing(
    browser: Browser, history: History, flow: str, do: str
) -> None:
    run = history.run(flow, "dead")
    assert browser.post("/runs/bulk", {"do": do}).headers["Location"] == "/runs"
    assert "No run was selected." in browser.get("/runs").text
    answer = browser.post("/runs/bulk", {"run": [run, *(f"run_{n}" for n in range(5000))], "do": do})
    assert answer.status_code == 422
    assert "Select at most 5,000 runs at a time." in answer.text
    assert "Mark as resolved" in browser.get(f"/runs/{run}").text
