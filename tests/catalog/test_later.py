"""What a connector may say of calls that are done later or together, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog.load import load_connector
from app.errors import ConnectorInvalid
from tests.catalog.files import ACTION, write_shop

CHECK = "later: {check: {at: 'header:Location', done: {$.state: done}}}\n"
BATCH = """\
batch:
  max: 100
  request: {method: POST, path: /customers/batch, body: {rows: "${records}"}}
  record: {customer: "${fields}"}
  match: ${input.email}
"""


def load(folder: Path, more: str, **changes: str) -> object:
    text = ACTION + more
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return load_connector(write_shop(folder, actions__add=text))


def refused(folder: Path, more: str, **changes: str) -> str:
    with pytest.raises(ConnectorInvalid) as reason:
        load(folder, more, **changes)
    return str(reason.value)


@pytest.mark.parametrize("more", [CHECK, BATCH])
def test_what_fits_is_taken(tmp_path: Path, more: str) -> None:
    assert load(tmp_path, more)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("later: {}\n", "either check or callback"),
        ("later: {check: {done: {$.a: b}}}\n", "either at"),
        ("later: {check: {at: $.url}}\n", "done or pending"),
        ("later: {status: [], check: {at: $.url, pending: [202]}}\n", "at least one status"),
        ("later: {check: {request: {method: POST, path: /x}, pending: [202]}}\n", "one GET"),
        ("later: {callback: {}}\n", "nobody can call it"),
        ("later: {check: {at: somewhere, pending: [202]}}\n", "at"),
        (BATCH.replace("max: 100", "max: 1"), "max"),
        (BATCH.replace('"${records}"', "1"), "does not use ${records}"),
        (BATCH.replace("/customers/batch", "'/customers/${fields | path}'"), "only its body can hold"),
        (BATCH.replace("${input.email}", "${input.emial}"), "no input 'emial'"),
        (BATCH + CHECK, "cannot go out in batches as well"),
        (BATCH + "  within: 2h\n", "one hour at most"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(tmp_path: Path, more: str, sentence: str) -> None:
    assert sentence in refused(tmp_path, more)


def test_only_what_may_be_done_twice_goes_out_in_batches(tmp_path: Path) -> None:
    assert "idempotent" in refused(tmp_path, BATCH, **{"idempotent: true": "idempotent: false"})


def test_the_callback_address_is_known_only_where_there_is_a_callback(tmp_path: Path) -> None:
    body = {'key: "${connection.token}"': "tell: '${callback}'"}
    assert "'callback' is not known in this place" in refused(tmp_path, "", **body)
    assert load(tmp_path, "later: {callback: {at_most: 2h}}\n", **body)
