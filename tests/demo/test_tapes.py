"""The recorded exchanges of the demo's connectors are what the services answer today."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.catalog.workbench.check import check_all
from tests.connectors.player import DEMO
from tests.demo.record import DELIVERIES, TAPES, Wanted, record, record_deliveries, timeless


@pytest.mark.parametrize("wanted", TAPES, ids=lambda wanted: f"{wanted.connector}/{wanted.name}")
def test_recording_again_gives_the_same(wanted: Wanted) -> None:
    kept = json.loads(wanted.file.read_text(encoding="utf-8"))
    assert _comparable(record(wanted)) == _comparable(kept)


def _comparable(tape: dict[str, Any]) -> Any:
    """The key of a whole record says when it was changed."""
    if tape["operation"] == "triggers/updated_contact":
        del tape["expect"]["keys"]
    return timeless(tape)


def test_no_tape_is_left_over() -> None:
    wanted = {one.file for one in TAPES}
    for delivery in DELIVERIES:
        names = record_deliveries(delivery)
        wanted |= {DEMO / delivery.connector / "cassettes" / f"{name}.json" for name in names}
    assert set(DEMO.glob("*/cassettes/*.json")) == wanted


def test_the_demo_connectors_are_as_good_as_bundled_ones_have_to_be() -> None:
    report = check_all([DEMO])
    assert {one.key: one.problems for one in report.connectors if one.problems} == {}
    assert {one.level for one in report.connectors} == {"tested"}
