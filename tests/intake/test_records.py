"""Finding the records of a poll, telling them apart, putting them in order."""

from __future__ import annotations

from typing import Any

import pytest
import xmltodict

from app.errors import CallFailed
from app.intake.polls.records import furthest, oldest_first, overlapping, record_key, records_in

RSS = """<rss version="2.0"><channel><title>News</title>
<item><title>Two</title><guid isPermaLink="false">g2</guid></item>
<item><title>One</title><guid>g1</guid></item>
</channel></rss>"""
ATOM = '<feed><entry><id>urn:1</id><link href="https://a.example/1"/><updated>2026-03-02T10:00:00Z</updated></entry></feed>'


def test_a_feed_gives_its_entries_without_being_told_where_they_are() -> None:
    records = records_in(xmltodict.parse(RSS), "$[*]")
    assert [record["title"] for record in records] == ["Two", "One"]
    assert [record_key(record, "") for record in records] == ["g2", "g1"]


def test_a_feed_of_one_entry_or_none_is_a_list_too() -> None:
    assert len(records_in(xmltodict.parse(ATOM), "$[*]")) == 1
    assert len(records_in(xmltodict.parse(ATOM), "$.feed.entry[*]")) == 1
    assert records_in(xmltodict.parse("<rss><channel><title>x</title></channel></rss>"), "$[*]") == []
    assert records_in({"rss": {"channel": None}}, "$.rss.channel.item[*]") == []


def test_an_empty_xml_list_is_no_failure_but_a_missing_json_list_is() -> None:
    assert records_in({"orders": None}, "$.orders.order[*]", is_xml=True) == []
    with pytest.raises(CallFailed, match=r"nothing at \$\.rows\[\*\]"):
        records_in({"data": []}, "$.rows[*]")


@pytest.mark.parametrize(
    ("document", "items", "found"),
    [
        ([1, 2], "$[*]", [1, 2]),
        ([], "$[*]", []),
        ({"data": [1]}, "$[*]", [1]),
        ({"data": [1]}, "$.data", [1]),
        ({"data": [1]}, "$.data[*]", [1]),
        ({"data": {"id": 7}}, "$.data[*]", [{"id": 7}]),
        ({"a": [{"b": [1]}, {"b": [2, 3]}]}, "$.a[*].b[*]", [1, 2, 3]),
        ({"data": None}, "$.data[*]", []),
    ],
)
def test_records_are_found_by_their_path(document: Any, items: str, found: list[Any]) -> None:
    assert records_in(document, items) == found


@pytest.mark.parametrize("document", [{}, "text", 7, None, {"data": [1], "items": [2]}, {"error": "no"}])
def test_an_answer_without_a_list_is_said_to_have_none(document: Any) -> None:
    with pytest.raises(CallFailed, match="not a list"):
        records_in(document, "$[*]")


def test_a_path_that_cannot_be_read_is_a_failure_not_a_crash() -> None:
    with pytest.raises(CallFailed):
        records_in({"a": 1}, "$.a[?(@.b =~ '(a+)+$')]")


def test_a_record_without_id_is_known_by_all_it_says() -> None:
    one, same, other = {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1, "b": 3}
    assert record_key(one, "") == record_key(same, "")
    assert record_key(one, "") != record_key(other, "")
    assert record_key({"id": 7, "seen": 1}, "") == record_key({"id": 7, "seen": 2}, "")
    assert record_key({"x": {"y": "k"}}, "$.x.y") == "k"
    assert record_key({"id": 7}, "$.x.y") == record_key({"id": 7}, "$.x.y")
    assert len(record_key({"id": "x" * 5000}, "")) < 100


def keyed(records: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(str(at), record) for at, record in enumerate(records)]


def order(records: list[dict[str, Any]], cursor: str = "") -> list[Any]:
    return [record["n"] for _, record in oldest_first(keyed(records), cursor)]


def test_the_oldest_comes_first_where_records_say_when() -> None:
    newest_first = [
        {"n": 3, "created_at": "2026-03-02T11:00:00Z"},
        {"n": 2, "created_at": "2026-03-02T10:00:00+00:00"},
        {"n": 1, "created_at": "2026-03-02T10:00:00Z"},
    ]
    assert order(newest_first) == [1, 2, 3]
    assert order(newest_first[::-1]) == [1, 2, 3]
    assert order([{"n": 2, "v": 10}, {"n": 1, "v": 9}], "$.v") == [1, 2]
    assert order([{"n": 1}, {"n": 2, "date": "2026-03-02"}]) == [1, 2]
    assert order([]) == []


def test_the_cursor_never_goes_back() -> None:
    assert furthest([{"at": "2026-03-02T10:00:00Z"}, {"at": "2026-03-01T00:00:00Z"}], "$.at", None) == (
        "2026-03-02T10:00:00Z"
    )
    assert furthest([{"at": 9}, {"at": 10}], "$.at", 11) == 11
    assert furthest([{"at": "9"}, {"at": "10"}], "$.at", None) == "10"
    assert furthest([{"at": None}, {"at": ""}, {}], "$.at", "x") == "x"
    assert furthest([{"at": "b"}, {"at": "a"}], "$.at", None) == "b"


def test_moments_are_compared_as_moments_however_a_service_writes_them() -> None:
    start = "2026-11-20T08:00:00Z"
    mails = ["Fri, 20 Nov 2026 09:00:00 +0000", "Thu, 19 Nov 2026 09:00:00 +0000"]
    assert furthest([{"at": at} for at in mails], "$.at", start) == mails[0]
    assert furthest([{"at": "2026-11-20 09:00:00"}], "$.at", start) == "2026-11-20 09:00:00"
    assert furthest([{"at": "2026-11-20T10:00:00+09:00"}], "$.at", start) == start


@pytest.mark.parametrize(
    ("cursor", "earlier"),
    [
        ("2026-03-02T10:00:00Z", "2026-03-02T09:55:00Z"),
        ("2026-03-02T10:00:00.123Z", "2026-03-02T09:55:00.123Z"),
        ("2026-03-02T10:00:00+02:00", "2026-03-02T09:55:00+02:00"),
        ("2026-03-02 10:00:00", "2026-03-02 09:55:00"),
        ("2026-03-02", "2026-03-01"),
        (1772445600, 1772445300),
        (1772445600000, 1772445300000),
        ("1772445600", "1772445300"),
        (1042, 1042),
        ("abc", "abc"),
        (None, None),
    ],
)
def test_a_moment_is_set_back_in_the_form_the_service_uses(cursor: Any, earlier: Any) -> None:
    assert overlapping(cursor, 300) == earlier
