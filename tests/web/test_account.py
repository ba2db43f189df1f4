"""The door: set-up by a one-time link, signing in and out, one's own account."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from app.commands import people
from app.commands.people import make_setup_link
from app.parts import Parts
from app.storage.people import passwords, users
from app.web.people.account import safe_next
from tests.web.browser import Browser
from tests.web.conftest import EMAIL, PASSWORD
from tests.web.pages import pages_over

OWNER = {"email": "Owner@Example.com", "name": "Olga Owner", "password": "heron lantern quarry"}


@pytest.fixture(autouse=True)
def _fresh_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "_failures", people.Failures())


def _link(parts: Parts) -> str:
    link = make_setup_link(parts)
    assert link is not None
    return link.removeprefix(parts.settings.base_url)


def test_the_link_printed_at_the_start_makes_the_first_account_and_signs_in(empty: Parts) -> None:
    browser = Browser(pages_over(empty))
    answer = browser.post(_link(empty), OWNER)
    assert (answer.status_code, answer.location) == (303, "/")
    assert "Olga Owner" in browser.get("/account").text
    with empty.database.read() as db:
        owner = users.find_user(db, "owner@example.com")
        assert owner is not None
        assert owner.role == "admin"


def test_the_link_works_once_and_there_is_no_other_afterwards(empty: Parts) -> None:
    app, link = pages_over(empty), _link(empty)
    assert Browser(app).post(link, OWNER).status_code == 303
    answer = Browser(app).post(link, OWNER | {"email": "eve@example.com"})
    assert answer.status_code == 404
    assert "set-up link was used already" in answer.text
    assert make_setup_link(empty) is None


def test_a_newer_link_ends_the_earlier_one(empty: Parts) -> None:
    browser = Browser(pages_over(empty))
    old, new = _link(empty), _link(empty)
    assert browser.get(old).status_code == 404
    assert browser.get(new).status_code == 200


def test_the_link_itself_is_not_in_the_database(empty: Parts) -> None:
    token = _link(empty).rpartition("/")[2]
    with empty.database.read() as db:
        kept = db.exec_driver_sql("SELECT name, value FROM server_values").all()
    assert not [row for row in kept if token in str(row)]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("email", "not an address", "This is not an email address"),
        ("email", "a@b.c" * 100, "This is not an email address"),
        ("name", "   ", "Write the name colleagues know you by"),
        ("password", "short", "Use at least 8 characters; this has 5."),
        ("password", "x" * 129, "Use at most 128 characters"),
        ("password", "password123", "one of the first that guessers try"),
        ("password", "aaaaaaaaaaaa", "one of the first that guessers try"),
        ("password", "owner@example.com", "your own name or email address"),
    ],
)
def test_set_up_says_what_is_wrong_and_keeps_what_was_written(
    empty: Parts, field: str, value: str, sentence: str
) -> None:
    browser = Browser(pages_over(empty))
    answer = browser.post(_link(empty), OWNER | {field: value})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert field == "name" or "Olga Owner" in answer.text
    assert "heron lantern" not in answer.text
    with empty.database.read() as db:
        assert users.count_users(db) == 0


def test_before_anybody_has_an_account_the_sign_in_page_says_where_the_link_is(empty: Parts) -> None:
    page = Browser(pages_over(empty)).get("/login").text
    assert "set-up link that Plumbline printed" in page
    assert '<input type="password"' not in page


def test_a_demo_has_no_password_that_everybody_knows(empty: Parts) -> None:
    browser = Browser(pages_over(empty))
    for password in ("demo", "admin", "plumbline", ""):
        assert browser.sign_in("demo@example.com", password).status_code == 422


def test_signing_in_leads_where_one_wanted_to_go(stranger: Browser) -> None:
    answer = stranger.get("/account?tab=1")
    assert answer.location == "/login?next=/account%3Ftab%3D1"
    assert 'value="/account?tab=1"' in stranger.get(answer.location).text
    data = {"email": EMAIL.upper(), "password": PASSWORD, "next": "/account?tab=1"}
    assert stranger.post("/login", data).location == "/account?tab=1"


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        " //evil.example",
        "",
        "evil.example",
    ],
)
def test_nobody_is_led_to_another_site_after_signing_in(wanted: str) -> None:
    assert safe_next(wanted) == "/"


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "wrong password"), ("nobody@example.com", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_look_the_same(
    stranger: Browser, email: str, password: str
) -> None:
    answer = stranger.sign_in(email, password)
    assert answer.status_code == 422
    assert "do not belong together" in answer.text
    assert password not in answer.text


def test_after_five_wrong_passwords_only_that_address_has_to_wait(app: Flask) -> None:
    guesser, owner = Browser(app, "203.0.113.9"), Browser(app, "198.51.100.4")
    for _ in range(5):
        guesser.sign_in(EMAIL, "wrong password")
    assert guesser.sign_in(EMAIL, PASSWORD).status_code == 429
    assert owner.sign_in(EMAIL, PASSWORD).status_code == 303


def test_one_address_cannot_try_many_accounts(app: Flask) -> None:
    failures = people.Failures()
    for number in range(failures.PER_ADDRESS):
        failures.add(f"user{number}@example.com", "203.0.113.9", 0.0)
    assert failures.blocked("fresh@example.com", "203.0.113.9", 1.0)
    assert not failures.blocked("fresh@example.com", "198.51.100.4", 1.0)
    assert not failures.blocked("fresh@example.com", "203.0.113.9", failures.WITHIN_S + 1)


def test_a_session_is_new_at_every_login(app: Flask) -> None:
    browser = Browser(app)
    seen = set()
    for _ in range(2):
        browser.sign_in(EMAIL, PASSWORD)
        with browser.client.session_transaction() as session:
            seen.add(session["id"])
    assert len(seen) == 2


def test_a_copied_cookie_is_worth_nothing_after_signing_out(browser: Browser, app: Flask) -> None:
    name = app.config["SESSION_COOKIE_NAME"]
    cookie = browser.client.get_cookie(name)
    assert cookie is not None
    answer = browser.post("/logout")
    assert (answer.status_code, answer.location) == (303, "/login")
    thief = Browser(app)
    thief.client.set_cookie(name, cookie.value)
    assert thief.get("/account").location == "/login?next=/account"


def test_signing_out_here_leaves_the_other_browser_alone(browser: Browser, app: Flask) -> None:
    other = Browser(app)
    other.sign_in(EMAIL, PASSWORD)
    browser.post("/logout")
    assert other.get("/account").status_code == 200


def test_signing_out_everywhere_else_keeps_this_browser(browser: Browser, app: Flask) -> None:
    other = Browser(app)
    other.sign_in(EMAIL, PASSWORD)
    assert browser.post("/account/sign-out-everywhere").status_code == 303
    assert other.get("/account").status_code == 303
    assert browser.get("/account").status_code == 200


def test_a_new_password_needs_the_present_one_and_ends_other_sessions(browser: Browser, app: Flask) -> None:
    other = Browser(app)
    other.sign_in(EMAIL, PASSWORD)
    wrong = browser.post("/account/password", {"password": "guess", "new_password": "brand new words"})
    assert "This is not your present password." in wrong.text
    weak = browser.post("/account/password", {"password": PASSWORD, "new_password": "12345678"})
    assert "guessers try" in weak.text
    done = browser.post("/account/password", {"password": PASSWORD, "new_password": "brand new words"})
    assert done.status_code == 303
    assert other.get("/account").status_code == 303
    assert browser.get("/account").status_code == 200
    assert Browser(app).sign_in(EMAIL, "brand new words").status_code == 303


def test_the_name_can_be_changed(browser: Browser) -> None:
    assert browser.post("/account/name", {"name": "  Ana <b>Bold</b> "}).status_code == 303
    assert "Ana &lt;b&gt;Bold&lt;/b&gt;" in browser.get("/account").text
    assert "colleagues know you by" in browser.post("/account/name", {"name": ""}).text


@pytest.mark.parametrize("choice", ["light", "dark", "auto"])
def test_the_look_is_chosen_once_and_stays(browser: Browser, choice: str) -> None:
    assert browser.post("/theme", {"theme": choice, "next": "/account"}).location == "/account"
    assert re.search(rf'<html lang="en" class="{choice}"', browser.get("/account").text)


def test_an_unknown_look_is_not_taken(browser: Browser) -> None:
    browser.post("/theme", {"theme": '"><script>'})
    assert '<html lang="en" class="auto"' in browser.get("/account").text


def test_passwords_are_kept_as_argon2id(kept_password: str) -> None:
    assert kept_password.startswith("$argon2id$")
    assert passwords.is_right(PASSWORD, kept_password)
    assert not passwords.is_right(PASSWORD, None)
    assert not passwords.is_right(PASSWORD, "damaged")
