"""Signing in at a service: left by a button, come back with a connection, or with a sentence."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from sqlalchemy import select, text

from app.storage.tables.models import Call
from tests.engine.world import World
from tests.oauth.club import API, CLIENT_SECRET, connect, step
from tests.oauth.visit import ACCESS, REFRESH, TOKENS, asked, begin, come_back, leave, rows, sign_in, way
from tests.web.browser import Browser

# ---------------------------------------------------------------------------------- the way there


def test_the_form_of_a_service_with_a_sign_in_has_one_button(ana: Browser) -> None:
    page = ana.get("/connections/new?connector=club").text
    assert "Sign in with Club" in page
    assert 'action="/sign-in/club"' in page
    assert "Save and test" not in page


def test_the_browser_leaves_with_state_and_challenge_and_by_no_form(ana: Browser) -> None:
    page = begin(ana)
    address, query = way(page)
    assert address == "https://id.club.example.com/authorize"
    assert query["redirect_uri"] == "http://127.0.0.1:8000/sign-in/club/callback"
    assert query["scope"] == "openid members.write members.read"
    assert (query["client_id"], query["response_type"]) == ("plumbline-app", "code")
    assert query["code_challenge_method"] == "S256"
    assert len(query["state"]) >= 32
    assert "client_secret" not in page.text
    assert page.headers["Cache-Control"] == "no-store"


def test_every_sign_in_has_a_state_and_a_challenge_of_its_own(ana: Browser) -> None:
    first, second = way(begin(ana))[1], way(begin(ana))[1]
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]


def test_fewer_rights_can_be_asked_for_but_never_fewer_than_always(ana: Browser) -> None:
    page = begin(ana, {"rights": "1", "scope": ["members.read", "made.up"]})
    assert way(page)[1]["scope"] == "openid members.read"


def test_without_a_registered_app_one_is_led_to_register_it(world: World, ana: Browser) -> None:
    world.parts.database.write(lambda db: db.execute(text("DELETE FROM oauth_apps")))
    page = ana.get("/connections/new?connector=club").text
    assert "Plumbline has to be registered at Club once" in page
    assert "/sign-in/club/app?auth=oauth" in page
    answer = begin(ana)
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in/club/app?auth=oauth&next=")


# --------------------------------------------------------------------------------------- and back


def test_a_sign_in_makes_a_connection_named_after_the_account(welcome: World, ana: Browser) -> None:
    answer = sign_in(ana)
    (row,) = rows(welcome)
    assert answer.location == f"/connections/{row.id}"
    assert (row.name, row.account, row.state) == ("Club · Harbour Club", "Harbour Club", "ok")
    page = ana.get(answer.location).text
    assert "“Club · Harbour Club” is connected. Club accepts this connection" in page
    sent = asked(welcome)
    assert (sent["grant_type"], sent["code"]) == ("authorization_code", "the-code")
    assert sent["redirect_uri"] == "http://127.0.0.1:8000/sign-in/club/callback"


def test_the_code_is_sent_with_the_verifier_of_its_challenge(welcome: World, ana: Browser) -> None:
    query = way(begin(ana))[1]
    come_back(ana, state=query["state"], code="the-code")
    digest = hashlib.sha256(asked(welcome)["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == query["code_challenge"]


def test_a_flow_works_with_the_new_connection_at_once(welcome: World, ana: Browser) -> None:
    sign_in(ana)
    ticket = welcome.run(step(rows(welcome)[0].id))
    assert welcome.state(ticket).state == "succeeded"
    assert welcome.service.to("/members")[0].headers["authorization"] == f"Bearer {ACCESS}"


def test_the_builder_gets_back_who_left_it_to_sign_in(welcome: World, ana: Browser) -> None:
    assert sign_in(ana, {"next": "/flows/f1?step=s2"}).location == "/flows/f1?step=s2"


def test_nobody_is_sent_to_another_site_afterwards(welcome: World, ana: Browser) -> None:
    for place in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert sign_in(ana, {"next": place}).location in ("/", f"/connections/{rows(welcome)[-1].id}")
    for row in rows(welcome):
        assert "evil" not in ana.get(f"/connections/{row.id}").text


def test_a_second_account_stands_beside_the_first(welcome: World, ana: Browser) -> None:
    welcome.service.answers("GET", "/me", {"name": "Harbour Club"}, {"name": "Hill Club"})
    sign_in(ana)
    sign_in(ana)
    assert {row.name for row in rows(welcome)} == {"Club · Harbour Club", "Club · Hill Club"}
    listed = ana.get("/connections").text
    assert "Hill Club ·" in listed


def test_the_same_account_twice_is_said(welcome: World, ana: Browser) -> None:
    sign_in(ana)
    page = ana.get(sign_in(ana, {"name": "Once more"}).location).text
    assert "“Club · Harbour Club” leads to the same account (Harbour Club)." in page


def test_a_name_that_somebody_gave_stays(welcome: World, ana: Browser) -> None:
    sign_in(ana, {"name": "Members of the harbour"})
    assert rows(welcome)[0].name == "Members of the harbour"


# ------------------------------------------------------------------------------------- refusals


REFUSALS: tuple[tuple[dict[str, str], str], ...] = (
    ({"error": "access_denied"}, "You did not allow Plumbline to use Club"),
    ({"error": "invalid_scope", "error_description": "No members.read"}, "one of the rights"),
    ({"error": "unauthorized_client"}, "does not accept what Plumbline is registered as"),
    ({"error": "temporarily_unavailable"}, "Club cannot sign you in at the moment."),
    ({"error": "weather", "error_description": "It rains."}, "It says: “It rains.”"),
    ({}, "without the code that a sign-in ends with"),
    ({"code": "x" * 5000}, "without the code that a sign-in ends with"),
)


def test_what_the_service_refuses_is_a_sentence_with_a_button(welcome: World, ana: Browser) -> None:
    for answer, sentence in REFUSALS:
        page = come_back(ana, state=leave(ana), **answer)
        assert page.status_code >= 400, sentence
        assert sentence in page.text
        assert 'href="/connections/new?connector=club&amp;auth=oauth"' in page.text, sentence
    assert rows(welcome) == []
    assert welcome.service.requests == []


def test_a_state_that_was_not_given_out_here_is_refused(welcome: World, ana: Browser) -> None:
    for state in ("", "made-up", "x" * 100_000, "\x00", "é" * 50, "' OR 1=1 --"):
        page = come_back(ana, state=state, code="the-code")
        assert page.status_code == 400, state[:80]
        assert "it was not begun here by you" in page.text, state[:80]
    assert welcome.service.requests == []


def test_a_sign_in_counts_once(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    assert come_back(ana, state=state, code="the-code").status_code == 303
    page = come_back(ana, state=state, code="the-code")
    assert "has been used already" in page.text
    assert len(rows(welcome)) == 1
    assert len(welcome.service.to("/token")) == 1


def test_a_refused_sign_in_is_used_up_too(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    come_back(ana, state=state, error="access_denied")
    assert "has been used already" in come_back(ana, state=state, code="the-code").text
    assert welcome.service.requests == []


def test_who_comes_back_after_a_quarter_of_an_hour_begins_anew(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    welcome.clock.advance(15 * 60 + 1)
    page = come_back(ana, state=state, code="the-code")
    assert "more than 15 minutes" in page.text
    assert welcome.service.requests == []


def test_nobody_finishes_a_sign_in_that_somebody_else_began(
    welcome: World, ana: Browser, ben: Browser
) -> None:
    """Otherwise one could slip an account of one's own under another person's flows."""
    state = leave(ben)
    assert "it was not begun here by you" in come_back(ana, state=state, code="the-code").text
    assert rows(welcome) == []
    assert come_back(ben, state=state, code="the-code").status_code == 303


REPLIES: tuple[tuple[Any, str], ...] = (
    ((400, {"error": "invalid_grant", "error_description": "Code expired"}), "“Code expired”"),
    ((401, {"error": "invalid_client"}), "does not accept the client ID or secret"),
    ((200, "<html>maintenance</html>"), "a web page (HTML) instead of a token"),
    (503, "Club answered 503"),
    ((200, {"token_type": "Bearer"}), "without an access token"),
)


def test_a_code_that_is_not_changed_for_a_token_is_a_sentence(welcome: World, ana: Browser) -> None:
    for reply, sentence in REPLIES:
        welcome.service.answers("POST", "/token", reply)
        page = come_back(ana, state=leave(ana), code="the-code")
        assert page.status_code in (409, 502), sentence
        assert sentence in page.text
        assert "Try again" in page.text, sentence
    assert rows(welcome) == []


def test_only_who_may_edit_can_finish_a_sign_in(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    welcome.parts.database.write(lambda db: db.execute(text("UPDATE users SET role = 'viewer'")))
    assert come_back(ana, state=state, code="the-code").status_code == 403
    assert rows(welcome) == []


# --------------------------------------------------------------------------------- reconnecting


def test_signing_in_again_mends_the_connection_and_its_runs_go_on(welcome: World, ana: Browser) -> None:
    world = welcome
    connection_id = connect(world.parts.database, world.parts.vault, world.clock.now())
    world.service.answers("POST", "/token", (400, {"error": "invalid_grant"}), TOKENS)
    ticket = world.run(step(connection_id))
    assert (world.state(ticket).state, world.state(ticket).reason) == ("waiting", "held_connection")
    page = ana.get(f"/connections/{connection_id}").text
    assert "Fix it" in page
    assert "Sign in again" in page
    answer = sign_in(ana, {"connection": connection_id, "name": "Our club"})
    assert answer.location == f"/connections/{connection_id}"
    (row,) = rows(world)
    assert (row.id, row.name, row.state, row.state_sentence) == (connection_id, "Our club", "ok", "")
    assert "1 run that waited goes on now." in ana.get(answer.location).text


def test_another_account_in_the_same_connection_is_said(welcome: World, ana: Browser) -> None:
    sign_in(ana, {"name": "Our club"})
    connection_id = rows(welcome)[0].id
    welcome.service.answers("GET", "/me", {"name": "Hill Club"})
    page = ana.get(sign_in(ana, {"connection": connection_id, "name": "Our club"}).location).text
    assert "This is another account: “Hill Club” in place of “Harbour Club”." in page
    assert len(rows(welcome)) == 1


def test_a_connection_that_was_deleted_meanwhile_is_a_sentence(welcome: World, ana: Browser) -> None:
    sign_in(ana)
    connection_id = rows(welcome)[0].id
    state = leave(ana, {"connection": connection_id, "name": "Our club"})
    ana.post(f"/connections/{connection_id}/delete")
    page = come_back(ana, state=state, code="the-code")
    assert "not there any more" in page.text
    assert rows(welcome) == []


def test_the_name_alone_can_be_changed(welcome: World, ana: Browser) -> None:
    sign_in(ana)
    row = rows(welcome)[0]
    ana.post(f"/connections/{row.id}/name", {"name": "Harbour"})
    assert rows(welcome)[0].name == "Harbour"
    assert len(welcome.service.to("/token")) == 1
    ana.post(f"/connections/{row.id}/name", {"name": " "})
    assert rows(welcome)[0].name == "Harbour"


# ----------------------------------------------------------------------------------- and the end


def test_a_disconnected_connection_holds_its_runs_until_somebody_signs_in(
    welcome: World, ana: Browser
) -> None:
    sign_in(ana)
    row = rows(welcome)[0]
    ana.post(f"/connections/{row.id}/disconnect")
    ticket = welcome.run(step(row.id))
    assert (welcome.state(ticket).state, welcome.state(ticket).reason) == ("waiting", "held_connection")
    page = ana.get(f"/connections/{row.id}").text
    assert "Ana Silva disconnected it" in page
    assert welcome.service.to("/members") == []
    sign_in(ana, {"connection": row.id, "name": row.name})
    assert rows(welcome)[0].state == "ok"


def test_without_an_address_to_tell_one_is_told_where_to_look(welcome: World, ana: Browser) -> None:
    sign_in(ana)
    row = rows(welcome)[0]
    ana.post(f"/connections/{row.id}/delete")
    assert "At Club the access is still listed" in ana.get("/connections").text
    assert rows(welcome) == []
    with welcome.parts.database.read() as db:
        assert db.execute(text("SELECT count(*) FROM grants")).scalar() == 0


# --------------------------------------------------------------------------------------- secrets


def test_nothing_secret_is_on_a_page_in_the_history_or_in_the_open(
    welcome: World, ana: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    state = leave(ana)
    with caplog.at_level("DEBUG"):
        answer = come_back(ana, state=state, code="code-canary-1a2b3c4d")
    verifier = asked(welcome)["code_verifier"]
    row = rows(welcome)[0]
    pages = [answer.location, "/connections", "/connections/new?connector=club", "/sign-in/club/app"]
    pages += [f"{answer.location}/calls{more}" for more in ("", "/1", "/1/request", "/1/answer")]
    shown = "".join(ana.get(place).text for place in pages)
    with welcome.parts.database.read() as db:
        calls = db.execute(select(Call.__table__).where(Call.made_for == row.id)).all()
    assert [(call.method, call.step_key) for call in calls] == [("POST", "sign_in")]
    kept = b"".join(file.read_bytes() for file in welcome.parts.settings.data_dir.glob("plumbline.db*"))
    for secret in (ACCESS, REFRESH, CLIENT_SECRET, verifier, "code-canary-1a2b3c4d", state):
        assert secret not in shown
        assert secret not in str(calls)
        assert secret not in caplog.text
        assert secret.encode() not in kept
    assert welcome.service.requests[-1].url == f"{API}/me"
