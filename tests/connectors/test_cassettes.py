"""Every recorded exchange of every connector that comes with Plumbline, played through the product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from app.catalog.format.definition import Connector, PollTrigger
from app.catalog.workbench.cassettes import Cassette, read_cassette
from app.errors import CallFailed, DeliveryRefused
from app.intake.deliveries.inbound import Accepted
from tests.connectors.player import (
    DEMO,
    FOLDER,
    REGISTRY,
    Tape,
    play_action,
    play_check,
    play_delivery,
    play_lookup,
    play_poll,
    run,
)

FILES = sorted([*FOLDER.glob("*/cassettes/*.json"), *DEMO.glob("*/cassettes/*.json")])


def connector_of(file: Path) -> Connector:
    return REGISTRY.get(file.parent.parent.name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.parent.name}/{file.stem}")
def test_a_recorded_exchange_leads_to_what_it_says(file: Path) -> None:
    connector, cassette = connector_of(file), read_cassette(file, file.name)
    if cassette.delivery is not None:
        check_delivery(connector, cassette)
        return
    tape = Tape(cassette.exchange)
    if cassette.expect.error is not None:
        with pytest.raises(CallFailed) as caught:
            run(play(connector, cassette, tape))
        assert caught.value.kind == cassette.expect.error
        assert cassette.expect.message in caught.value.sentence
        if cassette.expect.wait_s is not None:
            assert caught.value.wait_s == cassette.expect.wait_s
    else:
        check_result(cassette, run(play(connector, cassette, tape)))
    assert tape.differences == []
    assert tape.is_over, "the recorded exchange goes on, but nothing more was sent"


def play(connector: Connector, cassette: Cassette, tape: Tape) -> Any:
    kind, _, key = cassette.operation.partition("/")
    if kind == "triggers":
        assert isinstance(connector.triggers[key], PollTrigger)
        return play_poll(connector, cassette, tape)
    players = {"check": play_check, "actions": play_action, "lookups": play_lookup}
    return players[kind](connector, cassette, tape)


def check_result(cassette: Cassette, result: Any) -> None:
    wanted = cassette.expect
    kind = cassette.operation.partition("/")[0]
    if kind == "actions":
        assert "output" in wanted.model_fields_set
        assert result == wanted.output
    elif kind == "check":
        assert result == wanted.account
    elif kind == "triggers":
        assert result.cursor == wanted.cursor
        assert wanted.keys is None or list(result.records) == wanted.keys
        assert wanted.keys is not None or len(result.records) > 1
    elif wanted.options is not None:
        found = [[one.value, one.label, one.note] for one in result.options]
        assert found == [[*one, ""][:3] for one in wanted.options]
    else:
        fields = [
            {"key": one.key, "label": one.label, "type": one.type, "choices": [list(c) for c in one.choices]}
            for one in result.fields
        ]
        assert fields == wanted.fields


def check_delivery(connector: Connector, cassette: Cassette) -> None:
    wanted = cassette.expect
    if wanted.refused:
        with pytest.raises(DeliveryRefused) as caught:
            play_delivery(connector, cassette)
        assert caught.value.status == 401
        return
    result = play_delivery(connector, cassette)
    if wanted.answer is not None:
        assert isinstance(result, Accepted)
        assert (result.status, (result.reply or b"").decode()) == (200, wanted.answer)
        return
    assert isinstance(result, list)
    if wanted.keys is not None:
        assert [one.dedupe_key for one in result] == wanted.keys
    if wanted.output is not None:
        assert [orjson.loads(orjson.dumps(read_payload(one.payload))) for one in result] == [wanted.output]


def read_payload(payload: Any) -> Any:
    return orjson.loads(payload) if isinstance(payload, bytes | str) else payload
