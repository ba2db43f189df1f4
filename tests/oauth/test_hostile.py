"""Sign-ins that somebody tampers with: on the way there, on the way back, and behind the scenes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from app.calls.oauth.journey import Ticket, open_ticket, seal_ticket
from app.parts import open_parts
from app.settings import Settings
from app.storage.connections.sign_ins import id_of
from app.storage.database.secrets import Vault
from app.storage.tables.models import SignIn
from tests.engine.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.oauth.club import connect, register, step, write_club
from tests.oauth.visit import TOKENS, asked, begin, come_back, leave, rows, sign_in, way
from tests.web.browser import Browser

# ------------------------------------------------------------------------------- the way back


@pytest.fixture
def strict(welcome: World) -> World:
    """The club says in its file what it calls itself."""
    folder = Path(welcome.parts.settings.connectors_path)
    write_club(folder, more="issuer: https://id.club.example.com")
    welcome.parts.registry.reload()
    return welcome


def test_an_answer_of_another_issuer_sends_its_code_to_nobody(strict: World, ana: Browser) -> None:
    for iss in ("", "https://evil.example", "https://id.club.example.com/", "x" * 9000):
        answer = {"iss": iss} if iss else {}
        page = come_back(ana, state=leave(ana), code="stolen-code", **answer)
        assert page.status_code == 400, iss
        assert "The answer does not come from Club" in page.text, iss
    assert strict.service.requests == []


def test_the_right_issuer_is_let_in(strict: World, ana: Browser) -> None:
    answer = come_back(ana, state=leave(ana), code="the-code", iss="https://id.club.example.com")
    assert answer.status_code == 303
    assert len(rows(strict)) == 1


def test_a_code_that_comes_to_the_address_of_another_service_is_sent_to_nobody(
    welcome: World, ana: Browser
) -> None:
    page = come_back(ana, key="github", state=leave(ana), code="the-code")
    assert page.status_code == 400
    assert "but the sign-in was begun for another service" in page.text
    assert welcome.service.requests == []


GARBAGE = (
    "code=a&code=b",
    "state=%00&code=%ff%fe",
    "state[]=1&code[]=2",
    "state=" + "%F0%9F%92%A9" * 300,
    "error=%3Cscript%3Ealert(1)%3C/script%3E&error_description=%3Cimg%20src=x%3E",
    "code=" + "a" * 60_000 + "&state=" + "b" * 60_000,
    "&&&===",
    "",
)


def test_garbage_in_the_callback_is_a_sentence(welcome: World, ana: Browser) -> None:
    for query in GARBAGE:
        page = ana.client.get(f"/sign-in/club/callback?{query}")
        assert page.status_code in (400, 409), query[:80]
        assert "Nothing was changed." in page.text, query[:80]
    assert welcome.service.requests == []


def test_what_the_service_says_is_text_and_never_markup(welcome: World, ana: Browser) -> None:
    evil = "<script>alert(1)</script>" + "long " * 500
    page = come_back(ana, state=leave(ana), error="<b>bad</b>", error_description=evil)
    assert "<script>alert" not in page.text
    assert "<b>bad" not in page.text
    assert "&lt;script&gt;" in page.text
    assert page.text.count("long") < 100


def test_a_refusal_holds_neither_the_state_nor_the_code(strict: World, ana: Browser) -> None:
    state = leave(ana)
    page = come_back(ana, state=state, code="code-canary-unused", iss="https://evil.example")
    assert state not in page.text
    assert "code-canary-unused" not in page.text
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "same-origin"


def test_who_only_looks_at_the_address_uses_nothing_up(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    ana.client.head("/sign-in/club/callback", query_string={"state": state, "code": "the-code"})
    assert come_back(ana, state=state, code="the-code").status_code == 303


def test_a_stranger_is_led_to_the_door_and_back(welcome: World, ana: Browser) -> None:
    """Who was signed out meanwhile does not lose the sign-in at the service."""
    state = leave(ana)
    ana.post("/logout")
    answer = come_back(ana, state=state, code="the-code")
    assert answer.location.startswith("/login?next=/sign-in/club/callback%3Fstate%3D")
    from_door = ana.post(
        "/login",
        {
            "email": "ana@example.com",
            "password": "correct horse battery",
            "next": f"/sign-in/club/callback?state={state}&code=the-code",
        },
    )
    assert ana.get(from_door.location).status_code == 303
    assert len(rows(welcome)) == 1


def test_ten_at_once_with_the_same_state_make_one_connection(welcome: World, ana: Browser) -> None:
    state, barrier = leave(ana), threading.Barrier(10)
    app, cookie = ana.client.application, ana.client.get_cookie("plumbline_8000")
    assert cookie is not None

    def one(_: int) -> int:
        client = app.test_client()
        client.set_cookie("plumbline_8000", cookie.value)
        barrier.wait(60)
        query = {"state": state, "code": "the-code"}
        return client.get("/sign-in/club/callback", query_string=query).status_code

    with ThreadPoolExecutor(10) as threads:
        statuses = sorted(threads.map(one, range(10)))
    assert statuses == [303] + [409] * 9
    assert len(rows(welcome)) == 1
    assert len(welcome.service.to("/token")) == 1


# -------------------------------------------------------------------------------- what is kept


def test_a_remembered_sign_in_is_sealed_for_its_own_state(welcome: World, ana: Browser) -> None:
    """Whoever can write to the database cannot swap one for another."""
    first, second = leave(ana), leave(ana)
    with welcome.parts.database.read() as db:
        sealed = db.scalar(select(SignIn.sealed).where(SignIn.id == id_of(first)))
    assert sealed is not None
    vault = welcome.parts.vault
    assert open_ticket(vault, id_of(first), sealed) is not None
    assert open_ticket(vault, id_of(second), sealed) is None
    swap = text("UPDATE sign_ins SET sealed = :sealed WHERE id = :id")
    values = {"sealed": sealed, "id": id_of(second)}
    welcome.parts.database.write(lambda db: db.execute(swap, values))
    assert "does not know this sign-in" in come_back(ana, state=second, code="the-code").text


def test_what_is_no_remembered_sign_in_is_none() -> None:
    vault = Vault(b"k" * 32)
    for wrong in (b"", b"\x01", b"[]", b'{"connector": 1}', b"\xff" * 50):
        assert open_ticket(vault, "id", vault.seal(wrong, "sign_in:id")) is None
        assert open_ticket(vault, "id", wrong) is None


def test_a_remembered_sign_in_comes_back_as_it_was() -> None:
    vault = Vault(b"k" * 32)
    ticket = Ticket("club", "oauth", "http://x/callback", scopes=("a", "b"), secrets={"k": "v"})
    assert open_ticket(vault, "id", seal_ticket(vault, "id", ticket)) == ticket
    assert ticket.verifier not in repr(ticket)


def test_at_most_twenty_sign_ins_of_one_person_are_remembered(welcome: World, ana: Browser) -> None:
    first = leave(ana)
    for _ in range(22):
        welcome.clock.advance(1)
        leave(ana)
    with welcome.parts.database.read() as db:
        assert len(db.execute(select(SignIn.id)).all()) == 20
    assert "does not know this sign-in" in come_back(ana, state=first, code="the-code").text


# ---------------------------------------------------------------------------- forms of strangers


def test_forms_of_other_sites_are_refused(ana: Browser) -> None:
    data = {"auth": "oauth", "client_id": "evil", "client_secret": "evil"}
    given = {**data, "csrf_token": ana.token()}
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    for place in (
        "/sign-in/club",
        "/sign-in/club/app",
        "/connections/con_1/disconnect",
        "/connections/con_1/name",
    ):
        assert ana.client.post(place, data=data).status_code == 400, place
        assert ana.client.post(place, data=given, headers=foreign).status_code == 403, place


def test_a_connection_of_another_service_cannot_be_signed_in_to(welcome: World, ana: Browser) -> None:
    http = {"connector": "http", "auth": "bearer", "name": "Shop"}
    http |= {"field.host": "api.shop.example", "field.token": "tok-1234567890"}
    place = ana.post("/connections/new", http).location
    answer = begin(ana, {"connection": place.rpartition("/")[2]})
    assert answer.status_code == 404
    assert begin(ana, {"connection": "con_nothing"}).status_code == 404


def test_a_connection_with_a_sign_in_is_not_made_without_one(welcome: World, ana: Browser) -> None:
    answer = ana.post("/connections/new", {"connector": "club", "auth": "oauth", "name": "Empty"})
    assert answer.status_code == 422
    assert "Sign in with Club" in answer.text
    assert rows(welcome) == []


# ------------------------------------------------------------------------- addresses per account


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[World]:
    """A service where each account has an address of its own."""
    service, clock = FakeService(), FakeClock()
    token_url = "https://${connection.shop}.myshop.example/oauth/token"
    folder = write_club(
        tmp_path / "connectors",
        api="https://${connection.shop}.myshop.example",
        token_url=token_url,
        authorize_url="https://${connection.shop}.myshop.example/oauth/authorize",
        more='fields: [{key: shop, label: Shop, pattern: "[a-z0-9-]{1,60}"}]',
    )
    settings = Settings(data_dir=tmp_path, secret_key="5a" * 32, connectors_path=str(folder))
    parts = open_parts(settings, clock=clock, transport=service.transport)
    register(parts.database, parts.vault, clock.now(), token_url=token_url)
    parts.engine.start()
    service.answers("POST", "/oauth/token", TOKENS)
    service.answers("GET", "/me", {"name": "Tea shop"})
    yield World(parts, service, clock)
    parts.engine.stop(2)
    parts.database.close()


@pytest.fixture
def owner(shops: World, kept_password: str) -> Browser:
    from tests.oauth.conftest import person

    return person(shops, kept_password, "ana@example.com", "Ana Silva", "admin")


def test_one_signs_in_at_the_address_of_ones_own_account(shops: World, owner: Browser) -> None:
    assert way(begin(owner, {"field.shop": "tea"}))[0] == "https://tea.myshop.example/oauth/authorize"
    sign_in(owner, {"field.shop": "tea"})
    (row,) = rows(shops)
    assert row.public == {"shop": "tea"}
    assert {one.host for one in shops.service.requests} == {"tea.myshop.example"}


def test_what_is_no_account_leads_nowhere(shops: World, owner: Browser) -> None:
    for shop in ("", "evil.example/", "tea.myshop.example#", "a/../..", "TEA", "x" * 61):
        answer = begin(owner, {"field.shop": shop})
        assert answer.status_code == 422, shop
        assert "http-equiv" not in answer.text, shop
    assert shops.service.requests == []


# -------------------------------------------------------------------------------------- the token


def test_the_client_secret_goes_to_the_token_address_alone(welcome: World, ana: Browser) -> None:
    from tests.oauth.club import CLIENT_SECRET

    sign_in(ana)
    welcome.run(step(rows(welcome)[0].id))
    told = {one.path: f"{one.text}{one.headers}{one.url}" for one in welcome.service.requests}
    assert [path for path, sent in told.items() if CLIENT_SECRET in sent] == ["/token"]
    assert asked(welcome)["client_secret"] == CLIENT_SECRET


def test_another_way_to_connect_forgets_the_token(welcome: World, ana: Browser) -> None:
    connection_id = connect(welcome.parts.database, welcome.parts.vault, welcome.clock.now(), expires_in=1800)
    welcome.service.answers("POST", "/token", {"access_token": "robot-canary-token", "expires_in": 60})
    change: dict[str, Any] = {"auth": "robot", "name": "Our club"}
    change |= {"field.client_id": "robot", "field.client_secret": "robot-secret-1234"}
    assert ana.post(f"/connections/{connection_id}", change).status_code == 303
    ticket = welcome.run(step(connection_id))
    assert welcome.state(ticket).state == "succeeded"
    used = welcome.service.to("/members")[0].headers["authorization"]
    assert used == "Bearer robot-canary-token"


def test_a_server_that_is_just_starting_says_so_and_asks_nobody(welcome: World, ana: Browser) -> None:
    state = leave(ana)
    welcome.parts.engine.stop(2)
    page = come_back(ana, state=state, code="the-code")
    assert page.status_code == 503
    assert "Plumbline is just starting." in page.text
    assert welcome.service.requests == []
