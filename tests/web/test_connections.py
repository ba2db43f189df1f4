"""Connections: made, tested, fixed and removed; their secrets go in and never come out."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select, text

from app.calls.connections.book import open_secrets
from app.flows.model import FlowDefinition
from app.ids import new_id
from app.parts import Parts
from app.storage.connections import connections as store
from app.storage.flows.flows import add_version, create_flow, delete_flow, save_draft
from app.storage.people.audit import entries
from app.storage.tables.models import Run
from tests.fakes.service import FakeService
from tests.web.browser import Browser

TOKEN = "tok_live_9f8e7d6c5b4a3210"
HTTP = {
    "connector": "http",
    "auth": "bearer",
    "name": "Own shop",
    "field.host": "api.shop.example",
    "field.token": TOKEN,
}


def _only(parts: Parts) -> store.ConnectionRow:
    with parts.database.read() as db:
        (row,) = store.list_connections(db)
    return row


def _secrets(parts: Parts, connection_id: str) -> dict[str, str]:
    with parts.database.read() as db:
        return open_secrets(parts.vault, connection_id, store.sealed_secrets(db, connection_id))


def _flow_using(parts: Parts, connection_id: str, name: str = "Orders to the shop") -> str:
    definition = FlowDefinition.model_validate(
        {
            "name": name,
            "trigger": {"kind": "webhook"},
            "steps": [{"id": "s1", "kind": "http", "request": {"connection_id": connection_id}}],
        }
    )
    now = parts.clock.now()
    return parts.database.write(
        lambda db: create_flow(db, name=name, definition=definition, owner_id=None, now=now)
    )


def test_without_connections_the_page_leads_to_the_first(browser: Browser) -> None:
    page = browser.get("/connections").text
    assert "No connections yet" in page
    assert 'href="/connections/new"' in page


def test_every_service_and_plumblines_own_kinds_can_be_chosen(browser: Browser, parts: Parts) -> None:
    page = browser.get("/connections/new").text
    for key in [one.key for one in parts.registry.all()] + ["http", "smtp"]:
        assert f"/connections/new?connector={key}" in page


def test_a_connection_is_kept_with_its_secret_sealed(browser: Browser, parts: Parts) -> None:
    assert browser.post("/connections/new", HTTP).status_code == 303
    row = _only(parts)
    assert (row.name, row.connector, row.auth, row.state) == ("Own shop", "http", "bearer", "ok")
    assert row.public == {"host": "api.shop.example"}
    assert _secrets(parts, row.id) == {"token": TOKEN}
    with parts.database.read() as db:
        stored = db.execute(text("SELECT * FROM connections")).one()
        audited = entries(db, noun="connection", noun_id=row.id)
    assert TOKEN not in str(stored)
    assert TOKEN.encode() not in b"".join(value for value in stored if isinstance(value, bytes))
    assert [(entry.action, entry.user_name) for entry in audited] == [("connected", "Ana Silva")]


def test_no_page_ever_shows_a_secret_again(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    page = browser.get(f"/connections/{_only(parts).id}").text
    assert TOKEN not in page
    assert "saved, ends in …3210" in page
    assert TOKEN not in browser.get("/connections").text


def test_a_short_secret_shows_not_even_its_end(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP | {"field.token": "abc123"})
    page = browser.get(f"/connections/{_only(parts).id}").text
    assert 'placeholder="saved"' in page
    assert "c123" not in page


def test_a_form_with_mistakes_comes_back_without_the_secret(browser: Browser, parts: Parts) -> None:
    answer = browser.post("/connections/new", HTTP | {"field.host": "", "name": ""})
    assert answer.status_code == 422
    assert "Host is needed." in answer.text
    assert "Give it a name" in answer.text
    assert TOKEN not in answer.text
    with parts.database.read() as db:
        assert store.list_connections(db) == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("field.token", "", "Token is needed."),
        ("field.token", "a\nX-Evil: 1", "Token must be a single line."),
        ("field.token", "x" * 10_001, "longer than 10,000 characters"),
        ("name", "x" * 101, "up to 100 characters"),
    ],
)
def test_what_cannot_be_a_credential_is_refused_in_words(
    browser: Browser, field: str, value: str, sentence: str
) -> None:
    answer = browser.post("/connections/new", HTTP | {field: value})
    assert answer.status_code == 422
    assert sentence in answer.text


def test_a_wrong_pattern_names_the_value_but_never_a_secret(browser: Browser) -> None:
    smtp = {"connector": "smtp", "auth": "smtp", "name": "Mail", "field.host": "smtp.example.com"}
    answer = browser.post("/connections/new", smtp | {"field.port": "mail", "field.security": "ssl3"})
    assert "“mail” does not look right." in answer.text
    assert "Choose one of starttls, tls, none." in answer.text


def test_an_unknown_connector_is_a_sentence(browser: Browser) -> None:
    for answer in (browser.get("/connections/new?connector=zip"), browser.post("/connections/new", {})):
        assert answer.status_code == 404
        assert "There is no connector called" in answer.text


def test_an_empty_secret_field_keeps_the_secret(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    row = _only(parts)
    change = {"auth": "bearer", "name": "New name", "field.host": "api.shop.example", "field.token": ""}
    assert browser.post(f"/connections/{row.id}", change).status_code == 303
    assert _only(parts).name == "New name"
    assert _secrets(parts, row.id) == {"token": TOKEN}


@pytest.mark.parametrize(
    "host", ["evil.example", "api.shop.example, evil.example", "http://api.shop.example"]
)
def test_a_kept_secret_does_not_follow_to_another_host(browser: Browser, parts: Parts, host: str) -> None:
    browser.post("/connections/new", HTTP)
    row = _only(parts)
    moved = {**HTTP, "field.host": host, "field.token": ""}
    answer = browser.post(f"/connections/{row.id}", moved)
    assert answer.status_code == 422
    assert "Enter it again: this connection leads elsewhere now." in answer.text
    assert _only(parts).public == {"host": "api.shop.example"}
    assert browser.post(f"/connections/{row.id}", {**moved, "field.token": "new-token"}).status_code == 303
    assert _secrets(parts, row.id) == {"token": "new-token"}


def test_another_way_to_connect_starts_without_the_old_secret(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    row = _only(parts)
    assert "saved, ends in" not in browser.get(f"/connections/{row.id}?auth=api_key").text
    change = {"auth": "api_key", "name": "Own shop", "field.host": "api.shop.example", "field.name": "X-Key"}
    assert "Key is needed." in browser.post(f"/connections/{row.id}", change).text
    browser.post(f"/connections/{row.id}", change | {"field.api_key": "k-1234567890123"})
    assert _secrets(parts, row.id) == {"api_key": "k-1234567890123"}


def test_the_builder_gets_back_what_it_sent_somebody_for(browser: Browser) -> None:
    page = browser.get("/connections/new?connector=http&next=/flows/f1%3Fstep%3Ds2").text
    assert 'value="/flows/f1?step=s2"' in page
    assert (
        browser.post("/connections/new", HTTP | {"next": "/flows/f1?step=s2"}).location == "/flows/f1?step=s2"
    )
    assert browser.post("/connections/new", HTTP | {"next": "https://evil.example"}).location == "/"


def test_the_second_connection_of_a_service_gets_a_name_of_its_own(browser: Browser) -> None:
    browser.post("/connections/new", HTTP | {"name": "Web request"})
    assert 'value="Web request 2"' in browser.get("/connections/new?connector=http").text


def test_the_list_says_which_flows_use_a_connection(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    assert "not used by any flow" in browser.get("/connections").text
    _flow_using(parts, _only(parts).id)
    assert "used by Orders to the shop" in browser.get("/connections").text


def test_a_connection_in_use_is_not_deleted(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    row = _only(parts)
    _flow_using(parts, row.id)
    assert "/delete" not in browser.get(f"/connections/{row.id}").text
    browser.post(f"/connections/{row.id}/delete")
    assert "still used by “Orders to the shop”" in browser.get(f"/connections/{row.id}").text
    assert _only(parts).id == row.id


def test_a_connection_that_open_runs_still_need_is_not_deleted(browser: Browser, parts: Parts) -> None:
    """The flow no longer names it, but a run that waits is pinned to a version that does."""
    browser.post("/connections/new", HTTP)
    row, now = _only(parts), parts.clock.now()
    flow_id = _flow_using(parts, row.id)
    plain = FlowDefinition.model_validate({"name": "Orders", "trigger": {"kind": "manual"}})

    def pin(c: object) -> None:
        from app.storage.flows.flows import get_flow

        flow = get_flow(c, flow_id)  # type: ignore[arg-type]
        add_version(c, flow_id, flow.draft, by=None, now=now)  # type: ignore[arg-type]
        version = get_flow(c, flow_id).live_version_id  # type: ignore[arg-type]
        c.execute(insert(Run), _waiting_run(flow_id, version or "", row.id, now))  # type: ignore[attr-defined]
        add_version(c, flow_id, plain, by=None, now=now)  # type: ignore[arg-type]
        save_draft(c, flow_id, plain, revision=flow.draft_revision, now=now)  # type: ignore[arg-type]

    parts.database.write(pin)
    page = browser.get(f"/connections/{row.id}").text
    assert "open runs" in page
    browser.post(f"/connections/{row.id}/delete")
    assert _only(parts).id == row.id


def _waiting_run(flow_id: str, version_id: str, connection_id: str, now: object) -> dict[str, object]:
    return {
        "id": new_id("run"),
        "flow_id": flow_id,
        "version_id": version_id,
        "event_id": new_id("evt"),
        "state": "waiting",
        "reason": "held_connection",
        "label": "Order 1",
        "source": "webhook",
        "created_at": now,
        "waits_for": connection_id,
        "position": "s1",
    }


def test_a_connection_that_only_a_deleted_flow_named_can_go(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    row, now = _only(parts), parts.clock.now()
    flow_id = _flow_using(parts, row.id)
    parts.database.write(lambda db: delete_flow(db, flow_id, now=now))
    assert browser.post(f"/connections/{row.id}/delete").location == "/connections"
    assert "is deleted" in browser.get("/connections").text
    assert browser.get(f"/connections/{row.id}").status_code == 404


def test_a_connection_whose_connector_is_gone_says_so_and_can_be_deleted(
    browser: Browser, parts: Parts
) -> None:
    now = parts.clock.now()
    connection_id = parts.database.write(
        lambda db: store.create_connection(
            db, connector="goner", name="Old", auth="t", public={}, sealed=None, owner_id=None, now=now
        )
    )
    page = browser.get(f"/connections/{connection_id}").text
    assert "“goner” is not installed any more" in page
    assert browser.post(f"/connections/{connection_id}/check").status_code in (303, 409)
    assert browser.post(f"/connections/{connection_id}/delete").location == "/connections"


def test_secrets_sealed_with_another_key_are_asked_for_again(browser: Browser, parts: Parts) -> None:
    browser.post("/connections/new", HTTP)
    row = _only(parts)
    parts.database.write(
        lambda db: db.execute(text("UPDATE connections SET secrets = :s"), {"s": b"\x01" + b"x" * 60})
    )
    page = browser.get(f"/connections/{row.id}").text
    assert "saved" not in page
    change = {
        "auth": "bearer",
        "name": "Own shop",
        "field.host": "api.shop.example",
        "field.token": "fresh-token-42",
    }
    assert browser.post(f"/connections/{row.id}", change).status_code == 303
    assert _secrets(parts, row.id) == {"token": "fresh-token-42"}


# --------------------------------------------------------------------- testing with the service


HUBSPOT = {"connector": "hubspot", "auth": "token", "name": "HubSpot", "field.token": TOKEN}


@pytest.fixture
def started(parts: Parts) -> Parts:
    parts.engine.start()
    return parts


def _hubspot(browser: Browser, parts: Parts) -> str:
    block = parts.registry.get("hubspot").auth[0]
    data = {"connector": "hubspot", "auth": block.key, "name": "HubSpot"}
    data |= {f"field.{one.key}": TOKEN for one in parts.registry.get("hubspot").all_fields() if one.secret}
    return browser.post("/connections/new", data).location


def test_a_new_connection_is_tried_at_once(browser: Browser, started: Parts, service: FakeService) -> None:
    service.answers("GET", "api.hubapi.com", {"results": []})
    address = _hubspot(browser, started)
    assert "accepts this connection" in browser.get(address).text
    (request,) = service.requests
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert _only(started).state == "ok"
    assert _only(started).checked_at is not None


def test_a_refused_token_is_shown_as_the_service_said_it(
    browser: Browser, started: Parts, service: FakeService
) -> None:
    service.answers("GET", "api.hubapi.com", (401, {"message": "The token expired on 1 May."}))
    page = browser.get(_hubspot(browser, started)).text
    assert _only(started).state == "broken"
    assert TOKEN not in page
    assert "Needs you" in page
    assert "Fix it" in page


def test_a_service_that_is_down_does_not_break_the_connection(
    browser: Browser, started: Parts, service: FakeService
) -> None:
    service.answers("GET", "api.hubapi.com", (503, "down"))
    _hubspot(browser, started)
    assert _only(started).state == "ok"
    assert _only(started).state_sentence


def test_mending_a_connection_lets_its_waiting_runs_go_on(
    browser: Browser, started: Parts, service: FakeService
) -> None:
    service.answers("GET", "api.hubapi.com", (401, {"message": "expired"}), {"results": []})
    address = _hubspot(browser, started)
    connection_id, now = address.rpartition("/")[2], started.clock.now()
    flow_id = _flow_using(started, connection_id)
    run = _waiting_run(flow_id, "ver_gone", connection_id, now)
    started.database.write(lambda db: db.execute(insert(Run), run))
    browser.post(f"{address}/check")
    page = browser.get(address).text
    assert "1 run that waited goes on now." in page
    assert _only(started).state == "ok"
    with started.database.read() as db:
        assert db.execute(select(Run.reason).where(Run.id == run["id"])).scalar() != "held_connection"


def test_a_mail_server_is_tried_at_once_and_not_inside_ones_own_network(
    browser: Browser, started: Parts
) -> None:
    smtp = {"connector": "smtp", "auth": "smtp", "name": "Mail", "field.port": "587"}
    smtp |= {"field.host": "127.0.0.1", "field.security": "starttls"}
    page = browser.get(browser.post("/connections/new", smtp).location).text
    assert "127.0.0.1 is blocked by network policy" in page
    assert _only(started).state == "broken"
