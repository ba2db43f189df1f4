"""The states of app/states.py are those of the tables, of the partial indexes and of the pages."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from sqlalchemy import Text

from app.states import ConnectionState, DeliveryOutcome, NoReason, RunState, StepState, WaitReason
from app.storage.history.rows import NEEDS_PERSON_REASONS
from app.storage.tables import models
from app.storage.tables.base import Base
from app.web.frame import words

_TEXT = re.compile(r"'([a-z_]+)'")


def _conditions() -> list[tuple[str, str]]:
    """The name and the condition of each partial index, as SQLite and as PostgreSQL read it."""
    found = []
    for table in Base.metadata.tables.values():
        for index in table.indexes:
            for dialect in ("sqlite", "postgresql"):
                where: Any = index.dialect_options[dialect]["where"]
                if where is not None:
                    found.append((f"{table.name}.{index.name}", str(where)))
    return found


def _named_after(column: str, condition: str) -> set[str]:
    """The texts that a condition compares a column with."""
    compared = re.findall(rf"\b{column}\b(?: \|\| '')? (?:=|<>|IN|NOT IN) (\([^)]*\)|'[a-z_]+')", condition)
    return {text for part in compared for text in _TEXT.findall(part)}


def test_partial_indexes_name_states_that_exist() -> None:
    runs = [condition for name, condition in _conditions() if name.startswith("runs.")]
    deliveries = [condition for name, condition in _conditions() if name.startswith("deliveries.")]
    assert len(runs) > 10
    for condition in runs:
        assert _named_after("state", condition) <= set(get_args(RunState))
        assert _named_after("reason", condition) <= set(get_args(WaitReason))
    for condition in deliveries:
        assert _named_after("outcome", condition) <= set(get_args(DeliveryOutcome))


def test_the_index_of_held_runs_holds_those_that_need_a_person() -> None:
    assert _named_after("reason", models.HELD) == set(NEEDS_PERSON_REASONS)
    assert _named_after("state", models.UNSETTLED) == {"failed", "dead"}


def test_open_and_final_states_are_all_there_are() -> None:
    assert (*models.OPEN_STATES, *models.FINAL_STATES) == get_args(RunState)


def test_pages_have_a_word_for_each_state() -> None:
    assert set(words._RUN_WORDS) == set(get_args(RunState))
    assert set(words._WAITING_WORDS) == set(get_args(WaitReason))
    named = words._RUN_WORDS | words._OTHER_WORDS
    for states in (StepState, DeliveryOutcome, ConnectionState):
        assert set(get_args(states)) <= set(named)


@pytest.mark.parametrize("word", sorted({*words._RUN_WORDS, *words._WAITING_WORDS}))
def test_each_word_has_a_look(word: str) -> None:
    shown = words._RUN_WORDS.get(word) or words.state_word("waiting", word)
    assert shown in words.STATE_LOOKS


def test_columns_of_states_are_plain_text() -> None:
    for column in (models.Run.state, models.Run.reason, models.StepRecord.state, models.Delivery.outcome):
        assert type(column.type) is Text
        assert not column.property.columns[0].nullable


def test_a_run_that_does_not_wait_has_no_reason() -> None:
    assert get_args(NoReason) == (models.Run.__table__.c.reason.default.arg,)
