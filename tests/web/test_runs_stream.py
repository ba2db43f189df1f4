"""The live page of a run: what is pushed, when it ends, and that streams never take all threads."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

from app.web.runs.stream import HEARTBEAT_S, LONGEST_S, MOST_STREAMS, Change, follow, stream
from tests.fakes.clock import FakeClock
from tests.fakes.history import HTTP, History
from tests.web.browser import Browser


def watch(clock: FakeClock, states: list[tuple[str, bool]], last_seen: str = "") -> Iterator[str]:
    """A stream over these states, one after another; the last one stays."""

    def look() -> Change:
        seen, is_open = states.pop(0) if len(states) > 1 else states[0]
        return Change(seen, is_open, lambda: f"<p>\n{seen}\n\n</p>")

    def pause(seconds: float) -> bool:
        clock.advance(seconds)
        return False

    return follow(look, clock, last_seen, pause=pause)


def test_each_change_is_one_message_and_the_end_closes_the_stream() -> None:
    said = list(watch(FakeClock(), [("a", True), ("a", True), ("b", True), ("c", False)]))
    assert said[1:] == [
        "id: a\ndata: <p>\ndata: a\ndata: \ndata: </p>\n\n",
        "id: b\ndata: <p>\ndata: b\ndata: \ndata: </p>\n\n",
        "id: c\ndata: <p>\ndata: c\ndata: \ndata: </p>\n\n",
        "event: done\ndata: done\n\n",
    ]


def test_a_browser_that_comes_back_is_not_told_what_it_saw() -> None:
    assert list(watch(FakeClock(), [("a", True), ("a", False)], "a"))[1:] == ["event: done\ndata: done\n\n"]


def test_a_quiet_stream_says_that_it_is_there_and_ends_after_a_while() -> None:
    clock = FakeClock()
    said = list(watch(clock, [("a", True)]))
    assert said.count(": still here\n\n") >= LONGEST_S // HEARTBEAT_S - 2
    assert LONGEST_S <= clock.monotonic() - 1000 < LONGEST_S + 5
    assert not any("done" in message for message in said)


def test_a_page_that_takes_long_to_make_is_made_less_often() -> None:
    clock = FakeClock()
    slept: list[float] = []

    def look() -> Change:
        clock.advance(2)
        return Change("a", len(slept) < 3, lambda: "")

    def pause(seconds: float) -> bool:
        slept.append(seconds)
        clock.advance(seconds)
        return False

    assert list(follow(look, clock, "a", pause=pause))
    assert slept == [10, 10, 10]


def test_a_browser_that_has_gone_ends_the_stream_at_once() -> None:
    said = list(follow(lambda: Change("a", True, lambda: ""), FakeClock(), "a", pause=lambda seconds: True))
    assert said == ["retry: 2000\n\n"]


def test_only_a_few_streams_are_open_at_once_and_closing_gives_the_place_back(app: Flask) -> None:
    opened = [stream(app, lambda: iter(())) for _ in range(MOST_STREAMS)]
    assert all(opened)
    assert stream(app, lambda: iter(())) is None
    first = opened[0]
    assert first is not None
    first.close()
    assert stream(app, lambda: iter(())) is not None


def test_a_finished_run_gets_its_last_state_and_the_end(browser: Browser, history: History) -> None:
    run = history.run(history.flow("New order", [HTTP]), "succeeded", label="Ana")
    answer = browser.get(f"/runs/{run}/events")
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert '<hx-partial hx-target="#run-live" hx-swap="innerMorph">' in answer.text
    assert answer.text.endswith("event: done\ndata: done\n\n")
    assert "<html" not in answer.text
    answer.close()


def test_when_all_places_are_taken_the_page_asks_by_itself(
    browser: Browser, history: History, app: Flask
) -> None:
    run = history.run(history.flow("New order", [HTTP]), "waiting", reason="delay")
    assert "hx-sse:connect" in browser.get(f"/runs/{run}").text
    kept = [stream(app, lambda: iter(())) for _ in range(MOST_STREAMS)]
    html = browser.get(f"/runs/{run}").text
    assert "hx-sse:connect" not in html
    assert "every 3s" in html
    assert browser.get(f"/runs/{run}/events").status_code == 204
    assert len(kept) == MOST_STREAMS


def test_a_finished_run_is_neither_streamed_nor_asked_for_again(browser: Browser, history: History) -> None:
    run = history.run(history.flow("New order", [HTTP]), "dead")
    html = browser.get(f"/runs/{run}").text
    assert "hx-sse" not in html
    assert "every 3s" not in html
    assert "every 10s" not in html


def test_an_open_page_is_told_that_nothing_changed(browser: Browser, history: History) -> None:
    run = history.run(history.flow("New order", [HTTP]), "waiting", reason="delay")
    seen = browser.get(f"/runs/{run}").text.split("seen=", 1)[1][:16]
    assert browser.part(f"/runs/{run}?seen={seen}").status_code == 204
    history.step(run, "s1", "started")
    assert browser.part(f"/runs/{run}?seen={seen}").status_code == 200
