"""Runs and dead letters by command: who may not is refused before anything else, and no change without a row
in the record of who did what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from app.commands import letters, runs
from app.commands.who import Who
from app.errors import NotAllowed
from app.parts import Parts, open_parts
from app.settings import Settings
from app.storage.history.rows import get_row
from app.storage.people import audit
from tests.fakes.clock import START
from tests.fakes.history import HTTP, History
from tests.fakes.people import ANA, VIC

Deed = Callable[[Who, Parts], Any]

DEEDS: dict[str, Deed] = {
    "replay": lambda who, parts: runs.replay(who, parts, "run_1"),
    "edit_and_replay": lambda who, parts: runs.edit_and_replay(
        who, parts, "run_1", "{}", mode="whole", version="same"
    ),
    "replay_alike": lambda who, parts: runs.replay_alike(who, parts, "run_1"),
    "decide_unknown": lambda who, parts: runs.decide_unknown(who, parts, "run_1", was_sent=True),
    "settle": lambda who, parts: runs.settle(who, parts, ["run_1"]),
    "reopen": lambda who, parts: runs.reopen(who, parts, "run_1"),
    "go_ahead": lambda who, parts: runs.go_ahead(who, parts, "run_1"),
    "try_now": lambda who, parts: runs.try_now(who, parts, "run_1"),
    "cancel": lambda who, parts: runs.cancel(who, parts, "run_1"),
    "cancel_waiting": lambda who, parts: runs.cancel_waiting(who, parts, {}),
    "replay_group": lambda who, parts: letters.replay_group(who, parts, "flow|s1||"),
    "settle_group": lambda who, parts: letters.settle_group(who, parts, "flow|s1||", reason="Old"),
    "replay_chosen": lambda who, parts: letters.replay_chosen(who, parts, ["run_1"]),
    "settle_chosen": lambda who, parts: letters.settle_chosen(who, parts, ["run_1"], reason="Old"),
    "stop_order": lambda who, parts: letters.stop_order(who, parts, "ord_1"),
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_who_may_only_look_is_refused_before_anything_is_read(deed: Deed) -> None:
    with pytest.raises(NotAllowed, match="cannot change"):
        deed(VIC, cast("Parts", object()))


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    parts = open_parts(Settings(data_dir=tmp_path, secret_key="5a" * 32))
    yield parts
    parts.database.close()


@pytest.mark.parametrize("name", ["replay", "settle", "reopen", "cancel"])
def test_a_change_and_its_row_in_the_record_are_one(
    parts: Parts, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(parts.database)
    flow = history.flow("Leads", [HTTP])
    state = "waiting" if name == "cancel" else "dead"
    run_id = history.run(flow, state, START, sentence="No.")
    if name == "reopen":
        runs.settle(ANA, parts, [run_id])

    def rows() -> list[tuple[object, ...]]:
        with parts.database.read() as db:
            run = get_row(db, run_id)
            return [(run.state, run.settled_at, run.replayed_as), *((row.action,) for row in entries(db))]

    def entries(db: Any) -> list[audit.AuditRow]:
        return audit.entries(db, noun="run", noun_id=run_id)

    before = rows()
    deed = {
        "replay": lambda: runs.replay(ANA, parts, run_id),
        "settle": lambda: runs.settle(ANA, parts, [run_id]),
        "reopen": lambda: runs.reopen(ANA, parts, run_id),
        "cancel": lambda: runs.cancel(ANA, parts, run_id),
    }[name]
    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", _fails)
        with pytest.raises(ZeroDivisionError):
            deed()
    assert rows() == before
    deed()
    after = rows()
    assert len(after) == len(before) + 1
    assert after[0] != before[0]


def _fails(*_given: object, **_more: object) -> None:
    raise ZeroDivisionError
