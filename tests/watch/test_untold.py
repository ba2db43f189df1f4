"""A flow that hears nothing from its service is an alert that says which, why, and what can be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.storage.tables.models import Subscription
from tests.fakes.history import NOON
from tests.intake.letters import install
from tests.watch.conftest import House

pytestmark = pytest.mark.postgres
WHY = {"error_kind": "permission_missing", "sentence": "Letters: hooks need the plan Pro."}


def told(house: House, **values: Any) -> str:
    """The flow of a service, which was told with this outcome."""
    flow_id = house.flow("Readers").flow_id
    usual = {
        "id": "sub_1",
        "flow_id": flow_id,
        "connection_id": "con_letters",
        "trigger": {"kind": "connector", "connector": "letters", "trigger": "new_reader"},
        "hook_id": "hook_1",
        "place": "0" * 64,
        "created_at": NOON,
    }
    house.insert(Subscription, **{**usual, **values})
    return flow_id


def change(house: House, **values: Any) -> None:
    house.database.write(lambda db: db.execute(update(Subscription).values(**values)))


def test_a_refusal_names_flow_service_and_reason_and_ends_with_it(house: House) -> None:
    install(house.folder / "connectors")
    house.registry.reload()
    later = NOON + timedelta(hours=6)
    flow_id = told(house, state="refused", remedy="Choose another plan.", next_at=later, **WHY)
    [alert] = house.look()
    assert alert.sentence == (
        "“Readers” hears nothing from Letters: Letters: hooks need the plan Pro. Choose another plan. "
        "It goes on trying."
    )
    assert (alert.remedy, alert.remedy_url) == ("See why", f"/flows/{flow_id}/subscription")
    change(house, state="live", sentence="", error_kind="", since=NOON)
    assert house.look(seconds=30) == []


def test_one_that_was_told_before_hears_nothing_any_more(house: House) -> None:
    told(house, state="refused", since=NOON - timedelta(days=9), **WHY)
    [alert] = house.look()
    assert alert.sentence.startswith("“Readers” hears nothing from its service any more: Letters: hooks need")


def test_one_that_a_person_has_to_decide_about_is_said(house: House) -> None:
    told(house, state="unsure", sentence="The last call was interrupted.")
    [alert] = house.look()
    assert alert.sentence == (
        "Nobody knows whether its service sends to “Readers”: The last call was interrupted."
    )


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("asked", "“Readers” hears nothing from its service: "),
        ("making", "“Readers” hears nothing from its service: "),
        ("live", "Whether its service still sends to “Readers” cannot be found out: "),
    ],
)
def test_a_service_that_cannot_be_asked_is_said_after_three_times(
    house: House, state: str, words: str
) -> None:
    told(house, state=state, tries=2, **WHY)
    assert house.look() == []
    change(house, tries=3)
    [alert] = house.look(seconds=30)
    assert alert.sentence.startswith(words)


def test_what_ended_and_could_not_be_renewed_is_said(house: House) -> None:
    ended = NOON - timedelta(hours=3)
    told(house, state="live", since=NOON - timedelta(days=9), expires_at=ended, tries=4, **WHY)
    [alert] = house.look()
    assert "hears nothing from its service any more, as what was agreed ended " in alert.sentence


def test_what_a_service_dropped_is_said_although_it_was_made_again(house: House) -> None:
    dropped = "Letters no longer knew where to send (02 Mar 2026 09:00 UTC), and Plumbline told it again."
    flow_id = told(house, state="live", since=NOON, sentence=dropped, vendor_id="h2")
    [alert] = house.look()
    assert alert.sentence == f"“Readers” may lack something: {dropped}"
    assert (alert.remedy, alert.remedy_url) == ("See what came in", f"/flows/{flow_id}/ledger")
    change(house, sentence="")  # the next look at the service found it
    assert house.look(seconds=30) == []


@pytest.mark.parametrize("state", ["by_hand", "leaving", "left", "gone"])
def test_what_somebody_looks_after_or_what_ended_is_no_alert(house: House, state: str) -> None:
    told(house, state=state, tries=9, **WHY)
    assert house.look() == []
