"""What bodies are taken, and how a hostile one is refused."""

from __future__ import annotations

import string
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DeliveryRefused
from app.intake.deliveries.bodies import Document, read_body
from app.intake.deliveries.bodies_slow import MOST_DEPTH

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def refusal(body: bytes, content_type: str = JSON, **more: str) -> DeliveryRefused:
    with pytest.raises(DeliveryRefused) as refused:
        read_body(body, content_type, **more)
    return refused.value


def test_a_json_body_is_kept_byte_for_byte() -> None:
    body = b'{ "email": "lena@example.com",\n "total": 10.50 }'
    document = read_body(body, JSON)
    assert document.raw is body
    assert document.value == {"email": "lena@example.com", "total": 10.5}


@pytest.mark.parametrize("kind", ["application/vnd.api+json; charset=utf-8", "text/json", "TEXT/PLAIN", ""])
def test_json_is_known_by_its_look_or_its_many_names(kind: str) -> None:
    assert read_body(b'{"a": 1}', kind).value == {"a": 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": -Infinity}', "not valid JSON"),
        (b'{"a": 1e999}', "too large"),
        (b"1" * 5000, "too large"),
        (b'{"a": "\x00"}', "not valid JSON"),
        (b'{"a": 1}}', "not valid JSON"),
        (b'{"a" 1}', "line 1 column 6"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
    ],
)
def test_what_is_not_json_is_refused_with_the_reason(body: bytes, words: str) -> None:
    reason = refusal(body)
    assert reason.status == 400
    assert words in reason.sentence


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_is_taken_to_its_limit_and_no_deeper(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    read_body(opening * (MOST_DEPTH - 1) + b"[]" + closing * (MOST_DEPTH - 1), JSON)
    for depth in (MOST_DEPTH, 1000, 100_000):
        reason = refusal(opening * depth + b"[]" + closing * depth)
        assert f"deeper than {MOST_DEPTH}" in reason.sentence


def test_brackets_inside_texts_are_no_nesting() -> None:
    body = orjson.dumps({"text": '[[[[{{{{\\"[' * 100, "more": [[]] * 80})
    assert read_body(body, JSON).raw is body


def test_a_million_keys_are_refused_in_moments() -> None:
    body = orjson.dumps({f"k{number}": 1 for number in range(1_000_000)})
    began = time.process_time()
    reason = refusal(body)
    assert reason.status == 413
    assert "200,000" in reason.sentence
    assert time.process_time() - began < 10


def test_an_id_too_long_for_a_number_keeps_all_its_digits() -> None:
    value = read_body(b'{"id": 123456789012345678901234567890, "n": 18446744073709551615}', JSON).value
    assert value == {"id": "123456789012345678901234567890", "n": 18446744073709551615}


def test_a_number_of_thousands_of_digits_inside_a_fraction_is_no_trap() -> None:
    assert read_body(b"[0." + b"1" * 5000 + b"]", JSON).value == [pytest.approx(0.1111111111)]


def test_half_an_emoji_becomes_the_replacement_character() -> None:
    document = read_body(rb'{"name": "Lena \ud83d", "ok": "\ud83d\ude00"}', JSON)
    assert document.value == {"name": "Lena �", "ok": "😀"}
    assert orjson.loads(document.raw) == document.value


def test_a_nul_that_is_escaped_is_kept_as_it_is() -> None:
    assert read_body(rb'{"a": "x\u0000y"}', JSON).value == {"a": "x\0y"}


def test_other_character_sets_are_understood_when_named() -> None:
    assert read_body('{"a": "é"}'.encode("latin-1"), f"{JSON}; charset=iso-8859-1").value == {"a": "é"}
    assert read_body('\ufeff{"a": "é"}'.encode(), JSON).value == {"a": "é"}
    assert read_body('{"a": "é"}'.encode("utf-16"), JSON).value == {"a": "é"}
    assert refusal(b"{}", f"{JSON}; charset=klingon").status == 415
    assert refusal(b"{}", f"{JSON}; charset=hex").status == 415


@pytest.mark.parametrize(
    ("form", "document"),
    [
        ("name=Lena+Moreau&tag=a&tag=b&empty=", {"name": "Lena Moreau", "tag": ["a", "b"], "empty": ""}),
        (
            "type=subscribe&data[email]=x%40y.z&data[merges][FNAME]=Ana",
            {
                "type": "subscribe",
                "data": {"email": "x@y.z", "merges": {"FNAME": "Ana"}},
            },
        ),
        ("ids[]=1&ids[]=2&ids[]=3&one[]=1", {"ids": ["1", "2", "3"], "one": "1"}),
        ("a=1&a[b]=2", {"a": "1", "a[b]": "2"}),
        ("a[b]=2&a=1", {"a": [{"b": "2"}, "1"]}),
        ("a[][b]=1&[x]=2&a]b[=3", {"a[][b]": "1", "[x]": "2", "a]b[": "3"}),
        ("a%00b=%ff", {"a\0b": "\ufffd"}),
        ("x" + "[a]" * 100 + "=1", {"x" + "[a]" * 100: "1"}),
    ],
)
def test_a_form_gives_texts_lists_and_objects(form: str, document: dict[str, object]) -> None:
    assert read_body(form.encode(), FORM).value == document


def test_a_form_of_too_many_fields_is_refused() -> None:
    assert refusal(b"&".join(b"a%d=1" % number for number in range(20_000)), FORM).status == 413


def test_an_empty_body_means_the_query_or_nothing() -> None:
    assert read_body(b"", JSON, query="email=a%40b.c").value == {"email": "a@b.c"}
    assert read_body(b"", JSON).value == {}


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def test_multipart_gives_its_fields_and_of_a_file_what_it_is() -> None:
    body = multipart(
        b'Content-Disposition: form-data; name="email"\r\n\r\na@b.c',
        b'Content-Disposition: form-data; name="cv"; filename="cv.pdf"\r\n'
        b"Content-Type: application/pdf\r\n\r\n%PDF",
    )
    value = read_body(body, "multipart/form-data; boundary=b").value
    assert value == {
        "email": "a@b.c",
        "cv": {"filename": "cv.pdf", "content_type": "application/pdf", "size": 4},
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"garbage", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data; name=", "multipart/form-data; boundary=b"),
        (multipart(b"\r\n"), "multipart/form-data"),
        (b"\x00" * 100, "multipart/form-data; boundary=b"),
    ],
)
def test_a_broken_multipart_body_is_refused(body: bytes, kind: str) -> None:
    assert "multipart" in refusal(body, kind).sentence


def test_xml_becomes_a_document() -> None:
    value = read_body(b'<order id="7"><email>a@b.c</email><sku>A</sku><sku>B</sku></order>', "text/xml").value
    assert value == {"order": {"@id": "7", "email": "a@b.c", "sku": ["A", "B"]}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "entities"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "entities"),
        (b"<a>" * 1000 + b"</a>" * 1000, "nested"),
        (b"<a><b></a>", "cannot be read"),
        (b"<a/>" + b"<b/>", "cannot be read"),
        (b"<a>" + b"<b/>" * 300_000 + b"</a>", "200,000"),
        (b"", ""),
    ],
)
def test_hostile_xml_is_refused(body: bytes, words: str) -> None:
    if body:
        assert words in refusal(body, "application/xml").sentence


def test_text_is_kept_as_text_and_binary_is_refused() -> None:
    assert read_body(b"hello", "text/plain").value == {"text": "hello"}
    assert read_body(b"{not json", "text/plain").value == {"text": "{not json"}
    for kind in ("image/png", "application/octet-stream", "application/zip", "x" * 500):
        assert refusal(b"\x89PNG", kind).status == 415
    assert refusal(b"{}", JSON, encoding="gzip").status == 415


@given(
    st.binary(max_size=300),
    st.sampled_from(
        [JSON, FORM, "text/xml", "", "text/plain", "multipart/form-data; boundary=b", "image/png"]
    ),
)
def test_any_bytes_are_read_or_refused_but_never_break_it(body: bytes, kind: str) -> None:
    try:
        outcome: Document | DeliveryRefused = read_body(body, kind)
    except DeliveryRefused as reason:
        outcome = reason
    if isinstance(outcome, Document):
        orjson.loads(outcome.raw)
    else:
        assert 400 <= outcome.status < 500
        assert outcome.sentence


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(string.printable),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_what_json_can_say_comes_through_unchanged(value: object) -> None:
    body = orjson.dumps(value)
    document = read_body(body, JSON)
    assert document.raw == body
    assert document.value == value
