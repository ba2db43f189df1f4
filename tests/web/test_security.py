"""What keeps strangers, other websites and curious people out."""

from __future__ import annotations

import json
import logging

import pytest
from flask import Flask, session

from app import errors
from app.parts import Parts
from app.storage.database.secrets import Vault
from app.storage.people import users
from app.web import create_app
from app.web.frame.hx import hx, respond
from app.web.frame.security import public
from tests.web.browser import Browser
from tests.web.conftest import EMAIL, PASSWORD


@pytest.fixture
def app(parts: Parts) -> Flask:
    """One of the test's own: some add addresses to it."""
    return create_app(parts)


OPEN_ADDRESSES = {
    "account.show_setup",
    "account.set_up",
    "account.show_login",
    "account.login",
    "account.logout",
    "account.choose_theme",
    "home.health",
    "static_files.file",
}


def test_every_address_but_the_door_asks_strangers_to_sign_in(app: Flask) -> None:
    open_ones = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if getattr(app.view_functions[rule.endpoint], "is_public", False)
    }
    assert open_ones == OPEN_ADDRESSES


def test_strangers_get_nothing_from_any_page(app: Flask) -> None:
    browser = Browser(app)
    for rule in app.url_map.iter_rules():
        if rule.endpoint in OPEN_ADDRESSES:
            continue
        path = rule.rule.replace("<", "").replace(">", "").replace("path:", "").replace("int:", "")
        path = path.replace("number", "1")
        if "GET" in (rule.methods or set()):
            answer = browser.get(path)
        else:
            answer = browser.post(path)
        assert answer.status_code in (303, 404), rule
        if answer.status_code == 303:
            assert answer.location.startswith("/login"), rule


def test_every_answer_carries_the_headers_that_shut_it(browser: Browser) -> None:
    for path in ("/account", "/login", "/nothing-here", "/static/x/css/app.css"):
        headers = browser.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_parts_of_pages_are_never_kept_by_a_browser(browser: Browser) -> None:
    whole, part = browser.get("/nothing-here"), browser.part("/nothing-here")
    assert whole.headers["Cache-Control"] == "no-cache"
    assert part.headers["Cache-Control"] == "no-store"
    for answer in (whole, part):
        assert {"HX-Request", "HX-Request-Type"} <= set(answer.vary)


def test_a_form_without_the_token_is_not_carried_out(browser: Browser) -> None:
    answer = browser.client.post("/account/name", data={"name": "Mallory"})
    assert answer.status_code == 400
    assert "This page is too old" in answer.text
    assert "Mallory" not in browser.get("/account").text


def test_a_token_of_another_session_is_not_taken(browser: Browser, app: Flask) -> None:
    foreign = Browser(app).token()
    answer = browser.client.post("/account/name", data={"name": "Mallory", "csrf_token": foreign})
    assert answer.status_code == 400


def test_htmx_may_send_the_token_as_a_header(browser: Browser) -> None:
    answer = browser.post_part("/account/name", {"name": "Ana S."})
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/account")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:9999"},
    ],
)
def test_forms_of_other_websites_are_refused_even_with_the_token(
    browser: Browser, headers: dict[str, str]
) -> None:
    answer = browser.post("/account/name", {"name": "Mallory"}, **headers)
    assert answer.status_code == 403
    assert "came from another website" in answer.text


def test_ones_own_forms_are_taken_whatever_the_browser_tells(browser: Browser) -> None:
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}, {}):
        assert browser.post("/account/name", {"name": "Ana"}, **headers).status_code == 303


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_ports(app: Flask) -> None:
    answer = Browser(app).sign_in(EMAIL, PASSWORD)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("plumbline_8000=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_over_https_the_cookie_never_travels_in_the_clear(parts: Parts) -> None:
    secure = create_app(_with(parts, public_url="https://flows.example.com"))
    browser = Browser(secure)
    browser.client.environ_base["wsgi.url_scheme"] = "https"
    cookie = browser.sign_in(EMAIL, PASSWORD).headers["Set-Cookie"]
    assert cookie.startswith("__Host-plumbline_8000=")
    assert "Secure" in cookie


def _with(parts: Parts, **settings: object) -> Parts:
    from dataclasses import replace

    return replace(parts, settings=replace(parts.settings, **settings))  # type: ignore[arg-type]


def test_cookies_are_signed_with_a_key_of_their_own(app: Flask, parts: Parts) -> None:
    key = app.config["SECRET_KEY"]
    assert key == parts.vault.derive("session cookies")
    assert key != bytes.fromhex("5a" * 32)
    assert key != Vault(b"1" * 32).derive("session cookies")


@pytest.mark.parametrize(
    "damage", [{"user": 1}, {"epoch": "0"}, {"id": None}, {"epoch": 7}, {"user": "usr_x"}]
)
def test_a_damaged_session_is_no_session(browser: Browser, damage: dict[str, object]) -> None:
    with browser.client.session_transaction() as kept:
        kept.update(damage)
    assert browser.get("/account").status_code == 303


def _as(parts: Parts, app: Flask, role: str, kept_password: str) -> Browser:
    now = parts.clock.now()
    parts.database.write(
        lambda db: users.create_user(
            db, email=f"{role}@example.com", name=role, password_hash=kept_password, role=role, now=now
        )
    )
    browser = Browser(app)
    browser.sign_in(f"{role}@example.com", PASSWORD)
    return browser


def test_a_viewer_may_look_but_change_only_ones_own_account(
    parts: Parts, app: Flask, kept_password: str
) -> None:
    viewer = _as(parts, app, "viewer", kept_password)
    assert viewer.get("/connections").status_code == 200
    refused = viewer.post("/connections/new", {"connector": "http"})
    assert refused.status_code == 403
    assert "Ask an administrator" in refused.text
    assert viewer.post("/account/name", {"name": "Vic"}).status_code == 303


def test_an_editor_may_change_connections(parts: Parts, app: Flask, kept_password: str) -> None:
    editor = _as(parts, app, "editor", kept_password)
    assert editor.post("/connections/new", {"connector": "http"}).status_code == 422


# ------------------------------------------------------------------------------------- errors


def test_a_page_that_is_not_there_says_so_and_leads_back(browser: Browser) -> None:
    answer = browser.get("/nothing-here")
    assert answer.status_code == 404
    assert "Nothing is here" in answer.text
    assert 'href="/"' in answer.text


def test_htmx_gets_an_error_as_a_message_and_keeps_its_page(browser: Browser) -> None:
    answer = browser.part("/nothing-here")
    assert answer.status_code == 404
    assert '<hx-partial hx-target="#toasts"' in answer.text
    assert "<html" not in answer.text


def test_htmx_of_somebody_signed_out_goes_to_the_door_and_back(stranger: Browser) -> None:
    answer = stranger.part("/account", **{"HX-Current-URL": "http://localhost/flows/f1?step=s3"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/login?next=/flows/f1%3Fstep%3Ds3"


def test_a_wrong_method_is_a_sentence_too(browser: Browser) -> None:
    answer = browser.get("/logout")
    assert answer.status_code == 405
    assert "cannot be used in that way" in answer.text
    assert "POST" in answer.headers["Allow"]


def test_something_too_large_is_refused_in_words(app: Flask) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 2000
    browser = Browser(app)
    answer = browser.client.post("/login", data={"email": "x" * 5000})
    assert answer.status_code == 413
    assert "larger than this server accepts" in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NotFound("The flow is gone."), 404),
        (errors.NotAllowed("Not yours."), 403),
        (errors.Stale("Edited in another tab."), 409),
        (errors.FlowInvalid("A step has no action."), 422),
        (errors.CallFailed("unavailable", "HubSpot does not answer."), 502),
        (errors.Unavailable("The disk is full.", retry_after_s=7), 503),
    ],
)
def test_an_error_of_plumbline_is_shown_in_its_own_words(
    parts: Parts, error: errors.AppError, status: int
) -> None:
    app = create_app(parts)

    @app.get("/broken")
    @public
    def broken() -> str:
        raise error

    answer = Browser(app).get("/broken")
    assert answer.status_code == status
    assert error.sentence in answer.text
    assert status != 503 or answer.headers["Retry-After"] == "7"


def test_a_fault_of_ours_shows_no_inside_and_is_in_the_log(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(parts)

    @app.get("/fault")
    @public
    def fault() -> str:
        raise RuntimeError("inner secret 4711")

    with caplog.at_level(logging.ERROR):
        answer = Browser(app).get("/fault")
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "4711" not in answer.text
    assert "path=/fault" in caplog.text


# --------------------------------------------------------------------------------------- htmx


def test_what_htmx_is_told_goes_out_as_its_own_headers(app: Flask) -> None:
    with app.test_request_context("/", headers={"HX-Request-Type": "partial", "HX-Source": "a#x"}):
        assert hx().partial
        assert hx().source == "a#x"
        answer = respond(
            "<p>", announce="Step moved", trigger={"saved": 3}, reswap="innerMorph", reselect="#a"
        )
    assert json.loads(answer.headers["HX-Trigger"]) == {"saved": 3, "announce": "Step moved"}
    assert (answer.headers["HX-Reswap"], answer.headers["HX-Reselect"]) == ("innerMorph", "#a")


def test_the_back_button_and_boosted_links_get_whole_pages(app: Flask) -> None:
    for headers in (
        {},
        {"HX-Request": "true", "HX-Request-Type": "full"},
        {"HX-History-Restore-Request": "true"},
    ):
        with app.test_request_context("/", headers=headers):
            assert not hx().partial


def test_a_toast_with_markup_in_it_stays_text(app: Flask) -> None:
    with app.test_request_context("/"):
        session.clear()
        text = respond(toast=("error", "<img src=x onerror=alert(1)>")).get_data(as_text=True)
    assert "<img" not in text
    assert "&lt;img src=x" in text


# ------------------------------------------------------------------------------------- static


def test_static_files_are_kept_for_a_year_under_an_address_of_their_content(browser: Browser) -> None:
    page = browser.get("/login").text or browser.get("/account").text
    address = next(part for part in browser.get("/account").text.split('"') if part.endswith("css/app.css"))
    answer = browser.get(address, **{"Accept-Encoding": "gzip"})
    assert page is not None
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.mimetype == "text/css"
    assert "Set-Cookie" not in answer.headers
    assert browser.get("/static/old/css/app.css").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["../web/__init__.py", "..%2f..%2fsettings.py", "vendor/VENDOR.toml", "", "css"]
)
def test_only_listed_files_are_served(stranger: Browser, name: str) -> None:
    assert stranger.get(f"/static/x/{name}").status_code == 404
