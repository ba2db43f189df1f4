"""The history as lists and in detail, read from a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from app.cli.run_json import run_as_json
from app.errors import NotFound
from app.storage.database.db import Database
from app.storage.history import runs
from app.storage.history.counts import hours, speed, state_counts, waits_for_people
from app.storage.history.deliveries import deliveries_page, events_of, find_delivery, outcome_counts
from app.storage.history.detail import MOST_STEPS, get_head, step_marks
from app.storage.history.rows import get_row, runs_of_event, same_cause, settle, unsettle
from app.storage.history.runs import get_run, runs_page
from app.storage.tables.models import Base
from tests.fakes.history import HTTP, NOON, History


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


@pytest.fixture
def flow(history: History) -> str:
    return history.flow("New order", [HTTP])


class Fresh:
    """A reader that always sees the last commit."""

    def __init__(self, db: Connection) -> None:
        self._connection = db

    def execute(self, query: Any) -> Any:
        self._connection.rollback()
        return self._connection.execute(query)


@pytest.fixture
def db(database: Database) -> Iterator[Any]:
    with database.read() as db:
        yield Fresh(db)


def ids(found: runs.RunsPage) -> list[str]:
    return [row.id for row in found.rows]


# -------------------------------------------------------------------------------------- paging


def test_runs_come_newest_first_and_page_by_page_without_gaps(history: History, flow: str, db: Any) -> None:
    made = [history.run(flow, at=NOON + timedelta(seconds=n)) for n in range(7)]
    first = runs_page(db, limit=3)
    second = runs_page(db, limit=3, before=first.next_before)
    third = runs_page(db, limit=3, before=second.next_before)
    assert ids(first) + ids(second) + ids(third) == made[::-1]
    assert third.next_before is None


def test_a_page_that_is_exactly_full_promises_no_further_one(history: History, flow: str, db: Any) -> None:
    for n in range(3):
        history.run(flow, at=NOON + timedelta(seconds=n))
    assert runs_page(db, limit=3).next_before is None


def test_several_states_are_merged_in_the_order_of_time(history: History, flow: str, db: Any) -> None:
    states = ["failed", "dead", "succeeded", "failed", "waiting", "dead"]
    made = [history.run(flow, state, NOON + timedelta(seconds=n)) for n, state in enumerate(states)]
    expected = [made[5], made[3], made[1], made[0]]
    paged, before = [], None
    while True:
        found = runs_page(db, states=("failed", "dead"), limit=1, before=before)
        paged += ids(found)
        before = found.next_before
        if before is None:
            break
    assert paged == expected


@pytest.mark.parametrize("state", runs.STATES)
def test_every_state_of_one_flow_is_found_among_those_of_others(
    history: History, flow: str, db: Any, state: str
) -> None:
    other = history.flow("Another", [HTTP])
    wanted = history.run(flow, state)
    for noise in runs.STATES:
        history.run(other, noise)
    history.run(flow, "failed" if state != "failed" else "dead")
    assert ids(runs_page(db, flow_id=flow, states=(state,))) == [wanted]


def test_times_narrow_the_list_to_runs_made_between_them(history: History, flow: str, db: Any) -> None:
    made = [history.run(flow, at=NOON + timedelta(minutes=n)) for n in range(5)]
    found = runs_page(db, since=NOON + timedelta(minutes=1), until=NOON + timedelta(minutes=3))
    assert ids(found) == [made[2], made[1]]


def test_a_state_nobody_knows_finds_nothing_instead_of_everything(
    history: History, flow: str, db: Any
) -> None:
    history.run(flow)
    assert ids(runs_page(db, states=("exploded",))) == []


@settings(deadline=None)
@given(
    before=st.text(max_size=40),
    text=st.text(max_size=300),
    flow_id=st.text(max_size=20),
    limit=st.integers(-5, 10_000),
)
def test_no_filter_a_stranger_types_breaks_the_list(
    before: str, text: str, flow_id: str, limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = _shared(tmp_path_factory)
    with database.read() as db:
        found = runs_page(db, before=before, text=text, flow_id=flow_id.replace("\x00", ""), limit=limit)
    assert len(found.rows) <= 200


_kept: list[Database] = []


def _shared(factory: pytest.TempPathFactory) -> Database:
    """One database for all examples of a property."""
    if not _kept:
        database = Database(f"sqlite:///{factory.mktemp('history') / 'plumbline.db'}")
        database.start()
        database.write(Base.metadata.create_all)
        history = History(database)
        made = history.flow("New order", [HTTP])
        history.run(made, label="Ana Silva · order #10482")
        _kept.append(database)
    return _kept[0]


@pytest.fixture(scope="module", autouse=True)
def _close_shared() -> Iterator[None]:
    yield
    while _kept:
        _kept.pop().close()


# --------------------------------------------------------------------------------------- search


def test_a_word_of_the_label_finds_the_run_in_capitals_or_not(history: History, flow: str, db: Any) -> None:
    wanted = history.run(flow, label="Ana Silva · order #10482")
    history.run(flow, label="João Pires · order #10481")
    for words in ("10482", "ana sil", "SILVA", "  Ana  "):
        assert ids(runs_page(db, text=words)) == [wanted], words


def test_letters_with_accents_are_found_in_both_forms(history: History, flow: str, db: Any) -> None:
    wanted = history.run(flow, label="João Pires")
    for words in ("João", "joão pires", "JOÃO"):
        assert ids(runs_page(db, text=words)) == [wanted], words


def test_signs_that_mean_something_to_a_database_mean_themselves(
    history: History, flow: str, db: Any
) -> None:
    wanted = history.run(flow, label="100% wool_sock /a")
    history.run(flow, label="1000 woolXsock")
    for words in ("0%", "wool_", "/a", "100% wool_sock /a"):
        assert ids(runs_page(db, text=words)) == [wanted], words


def test_the_id_of_a_run_finds_it_and_that_of_an_event_finds_replays_too(
    history: History, flow: str, db: Any
) -> None:
    run = history.run(flow, "dead")
    history.run(flow)
    event = get_row(db, run).event_id
    again = history.run(flow, at=NOON + timedelta(days=3), event_id=event, replay_of=run)
    third = history.run(flow, at=NOON + timedelta(days=9), event_id=event, replay_of=again)
    assert ids(runs_page(db, text=run)) == [run]
    assert ids(runs_page(db, text=event)) == [third, again, run]
    assert [row.id for row in runs_of_event(db, event)] == [third, again, run]


def test_a_search_says_how_far_back_it_looked_and_goes_on_from_there(
    history: History, flow: str, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SEARCH_ROWS", 10)
    wanted = history.run(flow, at=NOON, label="the needle")
    for n in range(1, 26):
        history.run(flow, at=NOON + timedelta(minutes=n), label="hay")
    first = runs_page(db, text="needle")
    assert first.rows == []
    assert first.more_to_search
    assert first.searched_back_to == NOON + timedelta(minutes=16)
    found, looks = first, 1
    while found.more_to_search:
        found = runs_page(db, text="needle", before=found.next_before)
        looks += 1
    assert ids(found) == [wanted]
    assert looks == 3


def test_a_bounded_search_over_several_states_never_skips_a_run(
    history: History, flow: str, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SEARCH_ROWS", 8)
    wanted = []
    for n in range(40):
        state = "failed" if n % 5 == 0 else "dead"
        run = history.run(flow, state, NOON + timedelta(minutes=n), label="needle" if n % 3 == 0 else "hay")
        wanted += [run] if n % 3 == 0 else []
    collected: list[str] = []
    before = None
    for _ in range(60):
        found = runs_page(db, states=("failed", "dead"), text="needle", before=before, limit=2)
        collected += ids(found)
        before = found.next_before
        if before is None:
            break
    assert collected == wanted[::-1]


# -------------------------------------------------------------------------------- needs a person


def test_what_needs_a_person_is_failures_nobody_dealt_with_and_runs_that_are_held(
    history: History, flow: str, database: Database, db: Any
) -> None:
    failed = history.run(flow, "dead", NOON)
    replayed = history.run(flow, "failed", NOON + timedelta(seconds=1))
    history.run(flow, "succeeded", NOON + timedelta(seconds=2), replay_of=replayed)
    history.run(flow, "dead", NOON + timedelta(seconds=3), source="test")
    settled = history.run(flow, "dead", NOON + timedelta(seconds=4))
    history.run(flow, "waiting", NOON + timedelta(seconds=5), reason="delay")
    unknown = history.run(flow, "waiting", NOON + timedelta(seconds=6), reason="unknown")
    database.write(lambda db: settle(db, [settled], now=NOON))
    found = runs_page(db, needs_person=True)
    assert ids(found) == [unknown, failed]
    assert all(row.needs_person for row in found.rows)
    assert waits_for_people(db) == waits_for_people(db, flow_id=flow) == 2


def test_settling_counts_only_what_was_not_settled_and_can_be_taken_back(
    history: History, flow: str, database: Database, db: Any
) -> None:
    failed, fine = history.run(flow, "dead"), history.run(flow, "succeeded")
    assert database.write(lambda db: settle(db, [failed, fine], now=NOON)) == 1
    assert database.write(lambda db: settle(db, [failed], now=NOON)) == 0
    assert not get_row(db, failed).needs_person
    database.write(lambda db: unsettle(db, failed))
    assert get_row(db, failed).needs_person


def test_runs_that_stopped_for_the_same_cause_are_found_together(
    history: History, flow: str, db: Any
) -> None:
    cause: dict[str, Any] = {"position": "s1", "error_kind": "invalid_payload"}
    first, second = history.run(flow, "dead", **cause), history.run(flow, "dead", **cause)
    history.run(flow, "dead", position="s1", error_kind="gone")
    history.run(flow, "dead", position="s2", error_kind="invalid_payload")
    history.run(flow, "dead", source="test", **cause)
    assert same_cause(db, get_row(db, first)) == [second]


# --------------------------------------------------------------------------------------- numbers


def test_counts_add_up_over_all_states(history: History, flow: str, db: Any) -> None:
    for n, state in enumerate(runs.STATES):
        for _ in range(n + 1):
            history.run(flow, state)
    history.run(flow, "succeeded", NOON - timedelta(days=3))
    counts = state_counts(db, since=NOON - timedelta(days=1), flow_id=flow)
    assert counts == {state: n + 1 for n, state in enumerate(runs.STATES)}


def test_hours_are_full_ones_and_end_with_the_current(history: History, flow: str, db: Any) -> None:
    history.run(flow, at=NOON + timedelta(minutes=59))
    history.run(flow, "dead", NOON + timedelta(minutes=1))
    history.run(flow, at=NOON - timedelta(minutes=1))
    for narrowed in (None, flow):
        found = hours(db, until=NOON + timedelta(minutes=59), number=3, flow_id=narrowed)
        assert [(hour.total, hour.failed) for hour in found] == [(0, 0), (1, 0), (2, 1)]
        assert found[-1].begins == NOON


def test_speed_is_measured_from_the_event_to_the_first_call_and_leaves_replays_out(
    history: History, flow: str, db: Any
) -> None:
    assert speed(db) is None
    run = history.run(flow)
    history.call(run, started_at=NOON + timedelta(seconds=2))
    again = history.run(flow, replay_of=run)
    history.call(again, started_at=NOON + timedelta(hours=5))
    found = speed(db)
    assert found is not None
    assert (found.p95, found.runs) == (timedelta(seconds=2), 1)


# ---------------------------------------------------------------------------------------- detail


def test_a_run_is_read_with_its_event_delivery_steps_and_calls_in_order(
    history: History, flow: str, db: Any
) -> None:
    delivery = history.delivery(flow)
    run = history.run(flow, "dead", payload={"email": "ana@example.com"}, delivery_id=delivery)
    history.step(run, "s2", "failed", NOON + timedelta(seconds=1), input={"a": 1}, findings=[{"field": "A"}])
    history.step(run, "s1", at=NOON)
    history.call(run, 2, "s2", attempt=1)
    history.call(run, 3, "s2", attempt=2)
    history.call(run, 1, "s1")
    detail = get_run(db, run)
    assert detail.run.version_number == 1
    assert detail.run.flow_name == "New order"
    assert [step.step_key for step in detail.steps] == ["s1", "s2"]
    assert [call.attempt for call in detail.calls["s2"]] == [1, 2]
    assert detail.delivery is not None
    assert detail.delivery.id == delivery
    assert detail.event is not None
    assert orjson.loads(detail.event.payload) == {"email": "ana@example.com"}
    assert detail.trigger_to_first_call == timedelta(milliseconds=250)
    assert [mark.has_findings for mark in step_marks(db, run)] == [False, True]


def test_a_run_that_is_not_there_is_a_sentence(db: Any) -> None:
    with pytest.raises(NotFound, match="not in the history"):
        get_run(db, "run_nothing")


def test_a_run_whose_event_and_version_are_gone_is_still_read(history: History, flow: str, db: Any) -> None:
    run = history.run(flow, event_id="evt_gone", version_id="ver_gone")
    head = get_head(db, run)
    assert head.event is None
    assert head.definition is None
    assert head.run.version_number is None


def test_json_for_programs_holds_everything_and_can_be_written(history: History, flow: str, db: Any) -> None:
    run = history.run(flow, "dead", payload={"n": 1})
    history.step(run, "s1", "failed", sentence="No.")
    history.call(run, answer_body=b"\xff\xfe", request_body=b"<a/>")
    document = orjson.loads(orjson.dumps(run_as_json(get_run(db, run))))
    assert document["id"] == run
    assert document["needs_person"] is True
    assert document["event"]["payload"] == {"n": 1}
    call = document["steps"][0]["calls"][0]
    assert call["request_body"] == "<a/>"
    assert call["answer_body"] == {"base64": "//4="}
    assert document["trigger_to_first_call_ms"] == 250


def test_json_of_calls_whose_step_has_no_record_keeps_them(history: History, flow: str, db: Any) -> None:
    run = history.run(flow)
    history.call(run, 1, "s9")
    assert [call["number"] for call in run_as_json(get_run(db, run))["other_calls"]] == [1]


def test_the_marks_of_a_loop_over_thousands_are_read_at_once_and_bounded(
    history: History, flow: str, db: Any
) -> None:
    run = history.run(flow)
    history.steps(run, [f"s5[{n}].s6" for n in range(5000)])
    assert len(step_marks(db, run)) == 5000 < MOST_STEPS


# ------------------------------------------------------------------------------------ deliveries


def test_deliveries_are_listed_by_outcome_with_the_reason(history: History, flow: str, db: Any) -> None:
    fine = history.delivery(flow, NOON)
    wrong = history.delivery(flow, NOON + timedelta(seconds=1), outcome="refused", reason="Wrong secret.")
    twice = history.delivery(flow, NOON + timedelta(seconds=2), outcome="duplicate")
    history.delivery(history.flow("Another", [HTTP]))
    assert [row.id for row in deliveries_page(db, flow).rows] == [twice, wrong, fine]
    refused = deliveries_page(db, flow, outcome="refused").rows
    assert [(row.id, row.reason) for row in refused] == [(wrong, "Wrong secret.")]
    counts = outcome_counts(db, flow, since=NOON - timedelta(hours=1))
    assert counts == {"accepted": 1, "duplicate": 1, "refused": 1}


def test_deliveries_page_without_gaps(history: History, flow: str, db: Any) -> None:
    made = [history.delivery(flow, NOON + timedelta(seconds=n)) for n in range(5)]
    first = deliveries_page(db, flow, limit=3)
    second = deliveries_page(db, flow, limit=3, before=first.next_before)
    assert [row.id for row in first.rows + second.rows] == made[::-1]
    assert second.next_before is None


def test_a_delivery_leads_to_the_events_it_brought(history: History, flow: str, db: Any) -> None:
    delivery = history.delivery(flow)
    history.run(flow, label="first", delivery_id=delivery)
    history.run(flow, label="second", delivery_id=delivery)
    history.run(flow, label="another")
    found = events_of(db, find_delivery(db, delivery))
    assert [label for _, label in found] == ["first", "second"]
