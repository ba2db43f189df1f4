"""The functions of references, one table of examples each; none breaks on any data."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import MappingFailed
from app.flows.mapping.functions.menu import FUNCTIONS, Unfit
from tests.flows.documents import documents


def apply(name: str, value: Any, *args: str, zone: str = "UTC") -> Any:
    function = FUNCTIONS[name]
    return function.apply(value, function.checked(args), zone)


@pytest.mark.parametrize(
    ("name", "value", "args", "becomes"),
    [
        ("upper", "straße", (), "STRASSE"),
        ("lower", "ÄB", (), "äb"),
        ("upper", ["a", 1], (), ["A", "1"]),
        ("title", "ada LOVELACE's o'neill", (), "Ada Lovelace's O'neill"),
        ("capitalize", "ada lovelace", (), "Ada lovelace"),
        ("trim", "  a  b ", (), "a  b"),
        ("trim", "  a  b ", ("inside",), "a b"),
        ("default", None, ("x",), "x"),
        ("default", " ", ("x",), "x"),
        ("default", 0, ("x",), 0),
        ("default", False, ("x",), False),
        ("join", ["a", 1, True, None], (" + ",), "a + 1 + true + "),
        ("join", "one", (), "one"),
        ("first", [1, 2], (), 1),
        ("last", [1, 2], (), 2),
        ("last", "x", (), "x"),
        ("pick", [1, 2, 3], ("2",), 2),
        ("pick", [1, 2, 3], ("-1",), 3),
        ("count", [1, 2, 3], (), 3),
        ("count", "x", (), 1),
        ("unique", [1, "1", 1, True, {"a": 1}, {"a": 1}], (), [1, "1", True, {"a": 1}]),
        ("split", "a, b,,c ", (), ["a", "b", "c"]),
        ("split", "a\r\nb\n", ("\n",), ["a", "b"]),
        ("replace", "a-b-c", ("-", "+"), "a+b+c"),
        ("replace", "abc", ("", "+"), "abc"),
        ("substring", "abcdef", ("2", "3"), "bcd"),
        ("substring", "abcdef", ("-2",), "ef"),
        ("substring", "abc", ("9",), ""),
        ("length", "héllo", (), 5),
        ("length", [1, 2], (), 2),
        ("sum", ["0.1", 0.2], (), 0.3),
        ("sum", [1, None, 2], (), 3),
        ("min", [3, "2", 10], (), 2),
        ("max", ["9", "10"], (), 10),
        ("number", "1,234.50", (), 1234.5),
        ("number", "1.234,50 €", (), 1234.5),
        ("number", "1'234.50 CHF", (), 1234.5),
        ("number", "12,5", (), 12.5),
        ("number", "1,234", (), 1234),
        ("number", "-3", (), -3),
        ("round", 2.5, (), 3),
        ("round", "1.005", ("2",), 1.01),
        ("money", 1234.5, (), "1,234.50"),
        ("money", "1234.505", ("€",), "€1,234.51"),
        ("money", 1234.5, ("EUR", "1.234,50"), "1.234,50 EUR"),
        ("add", "1.1", ("2.2",), 3.3),
        ("multiply", "19.99", ("100",), 1999),
        ("divide", 1999, ("100",), 19.99),
        ("text", 7, (), "7"),
        ("date", "2026-11-18T09:30:00Z", (), "18 Nov 2026"),
        ("date", 1794994200, ("iso",), "2026-11-18"),
        ("date", 1794994200000, ("iso",), "2026-11-18"),
        ("date", "1794994200", ("%-d.%-m.%y %I %p",), "18.11.26 09 AM"),
        ("date", "18.11.2026", ("iso",), "2026-11-18"),
        ("date", "11/18/2026", ("iso",), "2026-11-18"),
        ("date", "18/11/2026", ("iso",), "2026-11-18"),
        ("date", "Nov 18, 2026 at 9:30 pm", ("%H:%M",), "21:30"),
        ("date", "18 November 2026", ("long",), "18 November 2026"),
        ("date", "Wed, 18 Nov 2026 09:30:00 +0100", ("%H:%M",), "08:30"),
        ("date", "2026-11-18", ("%Q %% %A",), "%Q % Wednesday"),
        ("iso_date", "2026-11-18 09:30", (), "2026-11-18T09:30:00Z"),
        ("iso_date", "2026-11-18 09:30", ("Europe/Berlin",), "2026-11-18T09:30:00+01:00"),
        ("timestamp", "2026-11-18T09:30:00Z", (), 1794994200),
        ("timestamp", "2026-11-18T09:30:00Z", ("milliseconds",), 1794994200000),
        ("add_time", "2026-11-18T09:30:00Z", ("2", "hours"), "2026-11-18T11:30:00Z"),
        ("add_time", "2026-01-31", ("1", "months"), "2026-02-28T00:00:00Z"),
        ("add_time", "2024-02-29", ("-1", "years"), "2023-02-28T00:00:00Z"),
        ("md5", "ada", (), "8c8d357b5e872bbacd45197626bd5759"),
        ("url_encode", "a b&c/ü", (), "a%20b%26c%2F%C3%BC"),
        ("base64", "ü", (), "w7w="),
        ("json", {"a": ["ü", None]}, (), '{"a": ["ü", null]}'),
        ("from_json", '{"a": [1]}', (), {"a": [1]}),
        ("from_json", {"a": 1}, (), {"a": 1}),
        ("phone", "0151 / 234-56789", ("DE",), "+4915123456789"),
        ("phone", "+49 (0)151 23456789", ("DE",), "+4915123456789"),
        ("phone", "0044 20 7946 0958", (), "+442079460958"),
        ("phone", "(415) 555-2671 ext. 5", ("US",), "+14155552671"),
        ("phone", "06 12345678", ("IT",), "+390612345678"),
        ("email_normalize", " Ada <ADA@Example.com> ", (), "ada@example.com"),
        (
            "strip_html",
            "<p>Hi&nbsp;<b>Ada</b></p><script>x<y</script><!-- c --><br>2 < 3",
            (),
            "Hi Ada\n\n2 < 3",
        ),
        ("not", "yes", (), False),
        ("not", "", (), True),
        ("yes_no", True, (), "Yes"),
        ("yes_no", "0", ("on", "off"), "off"),
        ("lookup", "DE", ("de=Germany; fr=France; *=Elsewhere",), "Germany"),
        ("lookup", "IT", ("de=Germany; *=Elsewhere",), "Elsewhere"),
        ("lookup", "IT", ("de=Germany; *=*",), "IT"),
    ],
)
def test_a_function_makes_of_a_value(name: str, value: Any, args: tuple[str, ...], becomes: Any) -> None:
    made = apply(name, value, *args)
    assert made == becomes
    assert type(made) is type(becomes)


def test_meta_audiences_get_the_hash_of_the_cleaned_address() -> None:
    cleaned = apply("email_normalize", " Ada@Example.COM ")
    assert apply("sha256", cleaned) == apply("sha256", "ada@example.com")
    assert apply("sha256", "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("name", "value", "args", "said"),
    [
        ("date", "soon", (), "'soon' is not a date"),
        ("date", "2026-02-30", (), "not a date"),
        ("date", True, (), "not a date"),
        ("date", 5, (), "not a date"),
        ("number", "many", (), "'many' is not a number"),
        ("sum", ["a"], (), "'a' is not a number"),
        ("sum", [], (), "no numbers"),
        ("first", [], (), "no items"),
        ("pick", [1], ("3",), "only 1 item"),
        ("divide", 1, ("0",), "divided by 0"),
        ("phone", "0151 2345678", (), "no country code"),
        ("phone", "12", ("DE",), "not a phone number"),
        ("phone", "abc", ("DE",), "not a phone number"),
        ("email_normalize", "ada", (), "not an email address"),
        ("from_json", "{", (), "not JSON"),
        ("from_json", "NaN", (), "not JSON"),
        ("lookup", "IT", ("de=Germany",), "not in the table"),
        ("add_time", "9999-12-31", ("1", "years"), "too far away"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_value(
    name: str, value: Any, args: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Unfit) as unfit:
        apply(name, value, *args)
    assert said in unfit.value.sentence
    assert unfit.value.remedy


def test_days_keep_the_time_of_day_over_a_clock_change() -> None:
    assert (
        apply("add_time", "2026-10-24T09:00", "1", "days", zone="Europe/Berlin")
        == "2026-10-25T09:00:00+01:00"
    )
    assert (
        apply("add_time", "2026-10-24T09:00", "24", "hours", zone="Europe/Berlin")
        == "2026-10-25T08:00:00+01:00"
    )


def test_every_function_says_what_it_does() -> None:
    for name, function in FUNCTIONS.items():
        assert function.name == name
        assert function.label
        assert function.description.endswith(".")
    assert len(FUNCTIONS) >= 30


def test_arguments_are_checked_when_the_template_is_read() -> None:
    for name, args in (("replace", ()), ("upper", ("x",)), ("pick", ("x",)), ("trim", ("everywhere",))):
        with pytest.raises(MappingFailed):
            FUNCTIONS[name].checked(args)


@pytest.mark.parametrize(
    ("name", "value", "args"),
    [
        ("replace", "a" * 1_000_000, ("a", "b" * 100)),
        ("strip_html", "<" * 400_000, ()),
        ("strip_html", "<script" * 60_000, ()),
        ("strip_html", "<!--" * 100_000, ()),
        ("title", "a'" * 200_000, ()),
        ("email_normalize", "a@" * 200_000, ()),
        ("phone", "1" * 500_000, ("DE",)),
        ("number", "1" * 500_000, ()),
        ("number", "9e99", ()),
        ("multiply", "9e99", ("9e99",)),
        ("round", "9e99", ("10",)),
        ("date", "1" * 500_000, ()),
        ("date", "9" * 15, ()),
        ("date", "2026-11-18", ("%A" * 100_000,)),
        ("from_json", "[" * 200_000, ()),
        ("from_json", "1" * 10_000, ()),
        ("sum", [10**5000], ()),
        ("join", ["x" * 100_000] * 100, ("",)),
        ("split", "," * 500_000, ()),
    ],
)
def test_nothing_hostile_is_slow_or_breaks(name: str, value: Any, args: tuple[str, ...]) -> None:
    began = time.process_time()
    try:
        made = apply(name, value, *args)
    except Unfit as unfit:
        made = unfit.sentence
    assert len(str(made)[:3_000_000]) <= 2_000_000
    assert time.process_time() - began < 1


@given(st.sampled_from(sorted(FUNCTIONS)), documents, st.data())
@settings(max_examples=600, deadline=None)
def test_no_function_breaks_on_any_data(name: str, value: Any, data: st.DataObject) -> None:
    function = FUNCTIONS[name]
    given_args = []
    for arg in function.args:
        if arg.kind == "choice":
            given_args.append(data.draw(st.sampled_from(arg.choices)))
        elif arg.kind == "number":
            given_args.append(data.draw(st.sampled_from(["0", "1", "-1", "2.5", "1e9", "-99"])))
        elif arg.kind == "zone":
            given_args.append(data.draw(st.sampled_from(["", "Asia/Tokyo"])))
        else:
            given_args.append(data.draw(st.text(max_size=5)))
    try:
        function.apply(value, function.checked(tuple(given_args)), "Europe/Berlin")
    except (Unfit, MappingFailed) as unfit:
        assert unfit.sentence  # noqa: PT017
