"""A token that runs out is renewed once, by one, for everybody; and what is said when that fails."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import select, text

from app.calls.connections.book import ConnectionBook
from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from app.calls.oauth.renewal import Tokens
from app.storage.connections import connections
from app.storage.tables.models import Call
from tests.engine.world import World
from tests.fakes.service import Received
from tests.oauth.club import API, CLIENT_SECRET, FIRST_REFRESH, OLD, connect, step

NEW, NEXT_REFRESH = "access-canary-new-1b2c3d4e", "refresh-canary-new-5f6a7b8c"
TOKENS = {"access_token": NEW, "refresh_token": NEXT_REFRESH, "expires_in": 3600, "token_type": "Bearer"}


def club(world: World, **facts: Any) -> str:
    return connect(world.parts.database, world.parts.vault, world.clock.now(), **facts)


def only_with(token: str, status: int = 401) -> Any:
    def answer(received: Received) -> Any:
        return {"id": 7} if received.headers.get("authorization") == f"Bearer {token}" else status

    return answer


def asked(received: Received) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(received.text).items()}


def state_of(world: World, connection_id: str) -> Any:
    with world.parts.database.read() as db:
        return connections.get_connection(db, connection_id)


def test_a_token_that_ran_out_is_renewed_before_the_call(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", TOKENS)
    world.service.answers("POST", "/members", only_with(NEW))
    ticket = world.run(step(connection_id))
    assert world.state(ticket).state == "succeeded"
    (request,) = world.service.to("/token")
    assert asked(request) == {
        "grant_type": "refresh_token",
        "refresh_token": FIRST_REFRESH,
        "client_id": "plumbline-app",
        "client_secret": CLIENT_SECRET,
    }
    assert [call.status for call in world.calls(ticket)] == [200]


def test_the_next_renewal_uses_the_refresh_token_that_came_with_the_last(world: World) -> None:
    connection_id = club(world)
    third = {**TOKENS, "access_token": "access-canary-third", "refresh_token": "refresh-canary-third"}
    world.service.answers("POST", "/token", TOKENS, third)
    world.service.answers("POST", "/members", {"id": 7})
    world.run(step(connection_id))
    world.clock.advance(3600)
    world.parts.connections.forget(connection_id)
    world.run(step(connection_id))
    assert [asked(one)["refresh_token"] for one in world.service.to("/token")] == [
        FIRST_REFRESH,
        NEXT_REFRESH,
    ]


def test_a_service_that_sends_no_new_refresh_token_means_the_old_one(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", {"access_token": NEW, "expires_in": 60})
    world.service.answers("POST", "/members", {"id": 7})
    world.run(step(connection_id))
    facts = world.parts.connections.read_now(connection_id)
    assert facts.grant is not None
    assert (facts.grant.refresh_token, facts.secrets["access_token"]) == (FIRST_REFRESH, NEW)


def test_it_is_renewed_shortly_before_it_runs_out_and_serves_on_when_that_fails(world: World) -> None:
    connection_id = club(world, expires_in=30)
    world.service.answers("POST", "/token", 503)
    world.service.answers("POST", "/members", only_with(OLD))
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    assert len(world.service.to("/token")) == 1


def test_a_token_with_time_left_is_left_alone(world: World) -> None:
    connection_id = club(world, expires_in=1800)
    world.service.answers("POST", "/members", only_with(OLD))
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    assert world.service.to("/token") == []


def test_a_token_that_is_refused_early_is_renewed_once_and_both_calls_are_told(world: World) -> None:
    connection_id = club(world, expires_in=None)
    world.service.answers("POST", "/token", TOKENS)
    world.service.answers("POST", "/members", only_with(NEW))
    ticket = world.run(step(connection_id))
    assert world.state(ticket).state == "succeeded"
    assert [call.status for call in world.calls(ticket)] == [401, 200]
    assert len(world.service.to("/token")) == 1


def test_a_service_that_refuses_every_token_is_asked_for_one_more_only(world: World) -> None:
    connection_id = club(world, expires_in=None)
    world.service.answers("POST", "/token", TOKENS)
    world.service.answers("POST", "/members", 401)
    ticket = world.run(step(connection_id))
    assert (world.state(ticket).state, world.state(ticket).reason) == ("waiting", "held_connection")
    assert state_of(world, connection_id).state == "broken"
    assert len(world.service.to("/token")) == 1


def test_a_sign_in_that_was_withdrawn_holds_its_runs_and_says_so_once(world: World) -> None:
    connection_id = club(world)
    refusal = {"error": "invalid_grant", "error_description": "Token has been revoked."}
    world.service.answers("POST", "/token", (400, refusal))
    first, second = world.run(step(connection_id)), world.run(step(connection_id))
    for ticket in (first, second):
        assert (world.state(ticket).state, world.state(ticket).reason) == ("waiting", "held_connection")
    row = state_of(world, connection_id)
    assert row.state == "broken"
    assert row.state_sentence == "Club no longer accepts this sign-in: “Token has been revoked.”"
    assert len(world.service.to("/token")) == 1
    assert world.service.to("/members") == []


def test_a_wrong_client_secret_is_told_apart_from_a_sign_in_that_ended(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", (401, {"error": "invalid_client"}))
    world.run(step(connection_id))
    sentence = state_of(world, connection_id).state_sentence
    assert sentence == "Club does not accept the client ID or secret (invalid_client)."


@pytest.mark.parametrize(
    "trouble",
    [
        503,
        (429, {"error": "slow_down"}, {"Retry-After": "7"}),
        (200, "<html>maintenance</html>"),
        (502, "<html>bad gateway</html>"),
        (200, {"expires_in": 60}),
        (200, {"access_token": 7}),
        (200, {"access_token": "two\nlines"}),
        (200, {"access_token": "x" * 20_000}),
        (200, ["access_token"]),
        (200, b"\xff\xfe\x00"),
        (200, b""),
        (503, {"error": "temporarily_unavailable"}),
        (200, b"[" * 100_000),
    ],
)
def test_trouble_at_the_token_endpoint_is_tried_again_and_breaks_nothing(world: World, trouble: Any) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", trouble)
    ticket = world.run(step(connection_id))
    run = world.state(ticket)
    assert (run.state, run.reason) == ("waiting", "retry")
    assert "Club" in run.sentence
    assert state_of(world, connection_id).state == "ok"
    assert world.service.to("/members") == []
    facts = world.parts.connections.read_now(connection_id)
    assert facts.grant is not None
    assert (facts.grant.number, facts.grant.refresh_token) == (1, FIRST_REFRESH)


def test_an_answer_of_many_megabytes_is_cut_off_and_said(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", (200, b'{"access_token": "' + b"x" * 11_000_000 + b'"}'))
    run = world.state(world.run(step(connection_id)))
    assert (run.state, run.reason) == ("waiting", "retry")
    assert "more than 10 MB" in run.sentence


@pytest.mark.parametrize(
    ("stated", "lasts"),
    [
        *[("3600", 3600), (60.5, 60.5), (0, None), (-5, None), ("soon", None), (True, None), ({}, None)],
        *[("NaN", None), (10**30, 10 * 365 * 86400), (None, None)],
    ],
)
def test_however_the_life_of_a_token_is_stated_it_is_kept_sensibly(
    world: World, stated: Any, lasts: float | None
) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", {**TOKENS, "expires_in": stated})
    world.service.answers("POST", "/members", {"id": 7})
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    grant = world.parts.connections.read_now(connection_id).grant
    assert grant is not None
    assert grant.obtained_at is not None
    left = None if grant.expires_at is None else (grant.expires_at - grant.obtained_at).total_seconds()
    assert left == lasts


def test_client_credentials_fetch_their_first_token_by_themselves(world: World) -> None:
    connection_id = club(world, auth="robot", secrets={"client_secret": CLIENT_SECRET})
    world.service.answers("POST", "/token", {"access_token": NEW, "expires_in": 3600})
    world.service.answers("POST", "/members", only_with(NEW))
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    (request,) = world.service.to("/token")
    assert request.headers["authorization"].startswith("Basic ")
    assert asked(request) == {"grant_type": "client_credentials", "scope": "members.write members.read"}


def test_a_service_account_signs_an_assertion_that_its_public_key_opens(world: World) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from joserfc import jwt
    from joserfc.jwk import RSAKey

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file = {
        "type": "service_account",
        "client_email": "robot@club",
        "private_key": pem,
        "private_key_id": "k1",
    }
    connection_id = club(world, auth="key", secrets={"key_file": json.dumps(file, indent=2)})
    world.service.answers("POST", "/token", {"access_token": NEW, "expires_in": 3600})
    world.service.answers("POST", "/members", only_with(NEW))
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    form = asked(world.service.to("/token")[0])
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    token = jwt.decode(form["assertion"], RSAKey.import_key(pem), algorithms=["RS256"])
    assert token.header["kid"] == "k1"
    assert token.claims["iss"] == "robot@club"
    assert token.claims["aud"] == "https://id.club.example.com/token"
    assert token.claims["scope"] == "members members.write members.read"
    assert token.claims["iat"] == int(world.clock.now().timestamp())
    assert token.claims["exp"] - token.claims["iat"] == 3600


@pytest.mark.parametrize(
    "file", ["", "not json", "[]", "{}", '{"client_email": "a", "private_key": "no key"}']
)
def test_a_key_file_that_cannot_be_read_is_said_and_nothing_is_sent(world: World, file: str) -> None:
    connection_id = club(world, auth="key", secrets={"key_file": file} if file else None)
    world.run(step(connection_id))
    assert state_of(world, connection_id).state_sentence.startswith("The key for Club cannot be read.")
    assert world.service.requests == []


def test_an_app_whose_token_address_changed_is_not_told_there(world: World) -> None:
    """Its secret was entered for the address before."""
    connection_id = club(world)
    moved = "UPDATE oauth_apps SET token_url = 'https://elsewhere.example.com/token'"
    world.parts.database.write(lambda db: db.execute(text(moved)))
    world.parts.connections.forget(connection_id)
    world.service.answers("POST", "/token", (401, {"error": "invalid_client"}))
    world.run(step(connection_id))
    assert all(CLIENT_SECRET not in one.text for one in world.service.requests)


# --------------------------------------------------------------------------- one for everybody


def held_back(world: World, waiting: int) -> threading.Event:
    """The token endpoint answers once; a second call to it would be answered with a refusal."""
    begun = threading.Event()
    used: list[str] = []

    def answer(received: Received) -> Any:
        begun.set()
        refresh = asked(received)["refresh_token"]
        used.append(refresh)
        return TOKENS if used.count(refresh) == 1 else (400, {"error": "invalid_grant"})

    world.service.answers("POST", "/token", answer)
    world.service.answers("POST", "/members", only_with(NEW))
    return begun


def test_fifty_runs_that_meet_an_expired_token_renew_it_once(world: World) -> None:
    connection_id = club(world)
    held_back(world, 50)
    flow = world.live(step(connection_id))
    tickets = [world.event(flow, {"email": f"a{number}@example.com"}) for number in range(50)]
    runs = [world.parts.engine.spawn(world.parts.engine.runs.execute(ticket)) for ticket in tickets]
    for run in runs:
        run.result(60)
    assert {world.state(ticket).state for ticket in tickets} == {"succeeded"}
    assert len(world.service.to("/token")) == 1
    assert len(world.service.to("/members")) == 50


def test_fifty_calls_from_five_event_loops_renew_it_once(world: World) -> None:
    connection_id = club(world)
    held_back(world, 50)
    parts, barrier = world.parts, threading.Barrier(5)

    async def ten() -> list[CallOutcome]:
        book = ConnectionBook(parts.database, parts.vault, parts.registry)
        made = partial(Tokens, parts.database, parts.vault, parts.registry, book, parts.changes, world.clock)
        caller = Caller(parts.settings, world.clock, tokens=made, transport=world.service.transport)
        facts = book.get(connection_id)
        barrier.wait(60)
        request = CallRequest("POST", f"{API}/members", body=b"{}", connection=facts)
        return await asyncio.gather(*(caller.send(request) for _ in range(10)))

    with ThreadPoolExecutor(5) as threads:
        outcomes = [one for many in threads.map(lambda _: asyncio.run(ten()), range(5)) for one in many]
    assert [one.failure for one in outcomes] == [None] * 50
    assert len(world.service.to("/token")) == 1


def test_a_refusal_that_comes_too_late_leaves_the_newer_token_alone(world: World) -> None:
    connection_id = club(world)

    def lost(received: Received) -> Any:
        """While the service refuses, another process stores what it got for the same token."""
        set_newer = "UPDATE grants SET number = number + 1"
        world.parts.database.write(lambda db: db.execute(text(set_newer)))
        world.clock.advance(-7200)  # by that clock the stored token still serves
        return (400, {"error": "invalid_grant"})

    world.service.answers("POST", "/token", lost)
    world.service.answers("POST", "/members", only_with(OLD))
    ticket = world.run(step(connection_id))
    assert world.state(ticket).state == "succeeded"
    assert state_of(world, connection_id).state == "ok"


# -------------------------------------------------------------------------------- the history


def test_the_calls_for_tokens_are_on_record_without_anything_secret(world: World) -> None:
    connection_id = club(world)
    echo = {**TOKENS, "id_token": "eyJ.id-token-canary", "note": f"you sent {FIRST_REFRESH}"}
    world.service.answers("POST", "/token", echo)
    world.service.answers("POST", "/members", {"id": 7, "echo": NEW})
    ticket = world.run(step(connection_id))
    with world.parts.database.read() as db:
        (call,) = db.execute(select(Call.__table__).where(Call.made_for == connection_id)).all()
    assert (call.method, call.url, call.status) == ("POST", "https://id.club.example.com/token", 200)
    assert b"grant_type=refresh_token" in call.request_body
    told = f"{call} {world.calls(ticket)} {world.state(ticket)} {world.steps(ticket)}"
    for secret in (CLIENT_SECRET, OLD, FIRST_REFRESH, NEW, NEXT_REFRESH, "id-token-canary"):
        assert secret not in told


def test_nothing_secret_is_in_the_database_but_sealed(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", TOKENS)
    world.service.answers("POST", "/members", {"id": 7})
    world.run(step(connection_id))
    folder = world.parts.settings.data_dir
    kept = b"".join(file.read_bytes() for file in folder.glob("plumbline.db*"))
    for secret in (CLIENT_SECRET, OLD, FIRST_REFRESH, NEW, NEXT_REFRESH):
        assert secret.encode() not in kept


def test_only_the_newest_calls_for_tokens_are_kept(world: World) -> None:
    connection_id = club(world)
    world.service.answers("POST", "/token", 503)
    for _ in range(45):
        world.run(step(connection_id))
    with world.parts.database.read() as db:
        numbers = db.scalars(select(Call.number).where(Call.made_for == connection_id)).all()
    assert (len(numbers), max(numbers)) == (40, 45)
