"""Personal data as advertising services take it: in one form, then hashed."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.personal import digits, e164, google_email, plain, plain_email, sha256
from app.catalog.templates import fill
from app.errors import MappingFailed
from app.flows.mapping.jsonpath import MISSING


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_person_has_the_same_hash_however_the_email_was_typed() -> None:
    body = {"em": "${input.email | plain_email | sha256}"}
    for typed in ("ana@example.com", " Ana@Example.COM\n"):
        assert fill(body, {"input": {"email": typed}}) == {"em": hashed("ana@example.com")}


def test_a_missing_value_is_left_out_and_never_hashed() -> None:
    body = {"em": "${input.email | plain_email | sha256}", "kept": 1}
    for value in ({}, {"email": None}, {"email": ""}, {"email": "  "}):
        assert fill(body, {"input": value}) == {"kept": 1}
    assert sha256("") is MISSING


def test_what_is_a_hash_already_stays_as_it_is() -> None:
    known = hashed("ana@example.com")
    assert sha256(plain_email(known.upper())) == known
    assert sha256(e164(known)) == known


@pytest.mark.parametrize(
    "typed", ["+43 664 123 45 67", "0043-664-1234567", "+43 (0)664 1234567", "43 664 1234567"]
)
def test_a_phone_number_has_one_form(typed: str) -> None:
    assert e164(typed) == "+436641234567"
    assert digits(typed) == "436641234567"


@pytest.mark.parametrize("typed", ["0664 1234567", "12", "call me", "+49" + "1" * 20])
def test_a_phone_number_without_its_country_is_refused_with_what_to_do(typed: str) -> None:
    with pytest.raises(MappingFailed) as caught:
        e164(typed)
    assert "country code" in caught.value.sentence
    assert caught.value.remedy


def test_an_empty_phone_number_is_left_out() -> None:
    assert fill({"ph": "${input.phone | digits | sha256}"}, {"input": {"phone": " "}}) is MISSING


def test_mailboxes_of_google_know_no_dots() -> None:
    assert google_email("A.Na.Silva@Gmail.com") == "anasilva@gmail.com"
    assert google_email("a.silva@casa.example") == "a.silva@casa.example"


def test_names_lose_all_but_letters_and_digits() -> None:
    assert plain(" O’Hara-Müller ") == "oharamüller"


@given(st.text(max_size=60))
def test_any_text_is_hashed_or_left_out(text: str) -> None:
    found = sha256(plain_email(text))
    assert found is MISSING or len(found) == 64
