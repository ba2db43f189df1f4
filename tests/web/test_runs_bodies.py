"""Bodies and texts of strangers on the page: whole, readable, bounded, and harmless to copy."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.storage.history.detail import CallRow
from app.web.runs.bodies import MOST_NODES, SHOWN_CHARS, Node, one_line, show, show_document, tree, visible
from app.web.runs.calls import as_curl, quoted
from app.web.runs.words import took
from tests.fakes.history import NOON

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


@given(DOCUMENTS)
def test_indenting_json_changes_nothing_but_white_space(document: Any) -> None:
    body = json.dumps(document)
    shown = show(body.encode(), "application/json", most=10**6)
    assert json.loads(shown.text) == document


@given(st.binary(max_size=300), st.sampled_from(["", "application/json", "text/xml", "text/html", "x/y"]))
def test_any_bytes_can_be_shown_and_hide_nothing(body: bytes, content_type: str) -> None:
    shown = show(body, content_type)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", shown.text)


def test_numbers_and_doubled_keys_stay_as_they_came() -> None:
    text = show(b'{"amount":1.10,"id":12345678901234567890123,"id":2}', "application/json").text
    assert "1.10" in text
    assert "12345678901234567890123" in text
    assert text.count('"id"') == 2


def test_a_document_cut_in_the_middle_is_still_indented_and_says_so() -> None:
    body = json.dumps({"rows": [{"n": n} for n in range(9000)]}).encode()
    shown = show(body[:50_000], "application/json", size=len(body))
    assert shown.text.startswith('{\n  "rows": [\n')
    assert "more were cut" in shown.note
    assert len(shown.text) < SHOWN_CHARS * 8


def test_a_body_cut_inside_a_letter_is_text_and_not_binary() -> None:
    body = "é".encode() * 100
    assert show(body[:-1], "text/plain", size=500).kind == "text"


def test_xml_is_indented_and_a_form_is_a_list_of_fields() -> None:
    xml = show(b"<a><b>1</b><c/><d><e>2</e></d></a>", "text/xml").text
    assert xml == "<a>\n  <b>1</b>\n  <c/>\n  <d>\n    <e>2</e>\n  </d>\n</a>"
    form = show(b"email=ana%40example.com&note=", "application/x-www-form-urlencoded").text
    assert form == "email = ana@example.com\nnote = \n"


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"<a>" * 100_000, b'"' * 100_000, b"{" * 9 + b"}" * 100_000]
)
def test_hostile_nesting_is_bounded(body: bytes) -> None:
    assert len(show(body).text) < 1_500_000
    assert tree(body) is None


def test_bytes_that_are_no_text_are_shown_as_numbers() -> None:
    shown = show(b"\xff\xd8\xff" * 5000, "image/jpeg")
    assert shown.kind == "binary"
    assert shown.size == "14.6 KB"
    assert len(shown.text) < 1000


def test_marks_that_turn_text_around_are_written_out() -> None:
    assert visible("a\u202eb\x00c\r\nd") == "a⟨U+202E⟩b⟨U+0000⟩c\nd"
    assert one_line("a\n\n b\u2066" * 100, 20) == "a b⟨U+2066⟩a b⟨U+20…"


def test_a_steps_document_is_shown_whatever_is_in_it() -> None:
    assert show_document({"a": "\ud800"}).text.startswith("{")


# ------------------------------------------------------------------------------------- the tree


def leaves(node: Node) -> int:
    return 1 + sum(leaves(child) for child in node.children)


def test_a_tree_is_bounded_and_says_what_it_left_out() -> None:
    found = tree(json.dumps({"rows": list(range(5000)), "after": 1}).encode())
    assert found is not None
    assert leaves(found) <= MOST_NODES + 2
    assert found.children[0].left_out > 4000
    assert found.left_out == 1


@given(st.binary(max_size=200))
def test_no_payload_breaks_the_tree(payload: bytes) -> None:
    found = tree(payload)
    assert found is None or leaves(found) >= 1


# ----------------------------------------------------------------------------------------- curl


def call(**values: Any) -> CallRow:
    row: dict[str, Any] = {
        "made_for": "run_1",
        "number": 1,
        "step_key": "s1",
        "attempt": 1,
        "connection_id": None,
        "idempotency_key": None,
        "method": "POST",
        "url": "https://api.example/a?b={{secret:key}}",
        "request_headers": [["Authorization", "Bearer {{secret:token}}"], ["Content-Length", "5"]],
        "request_body": b'it\'s {"a": 1}',
        "status": 200,
        "answer_headers": [],
        "answer_body": b"",
        "answer_size": 0,
        "started_at": NOON,
        "duration_ms": 1,
        "waited_ms": 0,
        "error_kind": None,
        "sentence": "",
    }
    return CallRow(**row | values)


def test_a_call_becomes_a_command_with_placeholders_for_secrets() -> None:
    command = as_curl(call())
    assert "{{secret:key}}" in command
    assert "Content-Length" not in command
    assert as_curl(call(method="SMTP", url="smtp://mail.example:25")) == ""


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60))
def test_a_shell_reads_every_word_back_as_it_was(text: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(text)}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8"},
    )
    assert done.stdout.decode() == text


def test_a_paste_cannot_be_ended_by_what_is_pasted() -> None:
    command = as_curl(call(request_body=b"\x1b[201~\nrm -rf ~\n", url="https://x.example/\x03"))
    assert "\x1b" not in command
    assert "\x03" not in command


def test_a_header_cannot_name_a_file() -> None:
    assert "@/etc" not in as_curl(call(request_headers=[["@/etc/passwd", "x"]]))


# ---------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0004, "0 ms"),
        (0.34, "340 ms"),
        (1.24, "1.2 s"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (90_000 * 3, "3 days 3 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert took(timedelta(seconds=seconds)) == text
