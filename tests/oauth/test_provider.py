"""Sign-ins against a certified OpenID provider that runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from app.calls.connections.tokens import open_tokens, seal_tokens
from app.parts import open_parts
from app.settings import Settings
from app.storage.connections import connections, grants
from app.storage.connections.connections import ConnectionRow
from tests.engine.world import World
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.oauth.club import connect, register, step, write_club
from tests.oauth.conftest import person
from tests.oauth.provider import Provider
from tests.oauth.visit import begin, come_back, way_text
from tests.web.browser import Browser

CALLBACK = "http://127.0.0.1:8000/sign-in/club/callback"
ROBOT_SECRET = "robot-secret-canary-1f2e3d4c"


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    provider = Provider(tmp_path, CALLBACK)
    yield provider
    provider.close()


@pytest.fixture
def world(tmp_path: Path, provider: Provider) -> Iterator[World]:
    """Nothing is faked but the clock: calls go to the provider."""
    folder, clock = write_club_at(tmp_path / "connectors", provider), FakeClock()
    settings = Settings(
        data_dir=tmp_path,
        secret_key="5a" * 32,
        connectors_path=str(folder),
        allow_targets=(provider.place,),
    )
    parts = open_parts(settings, clock=clock)
    register(parts.database, parts.vault, clock.now(), token_url=f"{provider.url}/token")
    parts.engine.start()
    yield World(parts, FakeService(), clock)
    parts.engine.stop(2)
    parts.database.close()


@pytest.fixture
def ana(world: World, kept_password: str) -> Browser:
    return person(world, kept_password, "ana@example.com", "Ana Silva", "admin")


def write_club_at(folder: Path, provider: Provider) -> Path:
    url = provider.url
    more = f"issuer: {url}\n    revoke_url: {url}/token/revocation\n    authorize_params: {{prompt: consent}}"
    return write_club(
        folder,
        api=f"{url}/api",
        token_url=f"{url}/token",
        authorize_url=f"{url}/auth",
        scopes="openid, offline_access",
        more=more,
    )


def connected(ana: Browser, provider: Provider, data: dict[str, Any] | None = None) -> ConnectionRow:
    """Signed in at the provider, and back."""
    brought = provider.sign_in(way_text(begin(ana, data)))
    answer = come_back(ana, **brought)
    assert answer.status_code == 303, answer.text
    return row_of(ana, answer.location.rpartition("/")[2])


def row_of(ana: Browser, connection_id: str) -> ConnectionRow:
    parts = ana.client.application.extensions["plumbline"]
    with parts.database.read() as db:
        return connections.get_connection(db, connection_id)


def refresh_token(world: World, connection_id: str) -> str:
    grant = world.parts.connections.read_now(connection_id).grant
    assert grant is not None
    return grant.refresh_token


def test_a_person_signs_in_and_the_flow_works(world: World, provider: Provider, ana: Browser) -> None:
    row = connected(ana, provider)
    assert (row.name, row.account, row.state) == ("Club · harbour", "harbour", "ok")
    ticket = world.run(step(row.id))
    assert world.state(ticket).state == "succeeded"
    assert provider.members == [{"email": "ada@example.com"}]
    assert provider.asked == [["authorization_code", "token"]]


def test_an_expired_token_is_renewed_and_the_next_refresh_token_kept(
    world: World, provider: Provider, ana: Browser
) -> None:
    row = connected(ana, provider)
    first = refresh_token(world, row.id)
    for _ in range(2):
        world.clock.advance(3700)
        assert world.state(world.run(step(row.id))).state == "succeeded"
    assert refresh_token(world, row.id) not in ("", first)
    assert provider.asked[1:] == [["refresh_token", "token"]] * 2


def test_a_refresh_token_that_was_used_before_ends_the_sign_in_and_says_so(
    world: World, provider: Provider, ana: Browser
) -> None:
    """As after a backup was restored: its refresh token has been spent since."""
    row = connected(ana, provider)
    restored = _sealed_grant(world, row.id)
    world.clock.advance(3700)
    assert world.state(world.run(step(row.id))).state == "succeeded"
    world.parts.database.write(lambda db: grants.put_grant(db, row.id, restored))
    world.parts.connections.forget(row.id)
    ticket = world.run(step(row.id))
    assert (world.state(ticket).state, world.state(ticket).reason) == ("waiting", "held_connection")
    assert row_of(ana, row.id).state == "broken"
    assert provider.asked[-1] == ["refresh_token", "invalid_grant"]
    page = ana.get(f"/connections/{row.id}").text
    assert "Club no longer accepts this sign-in" in page
    again = connected(ana, provider, {"connection": row.id, "name": row.name})
    assert (again.id, again.state) == (row.id, "ok")
    assert "1 run that waited goes on now." in ana.get(f"/connections/{row.id}").text


def _sealed_grant(world: World, connection_id: str) -> grants.NewGrant:
    with world.parts.database.read() as db:
        row = grants.get_grant(db, connection_id)
    assert row is not None
    assert row.obtained_at is not None
    tokens = open_tokens(world.parts.vault, connection_id, row.sealed)
    sealed = seal_tokens(world.parts.vault, connection_id, tokens)
    return grants.NewGrant(sealed, row.scopes, row.obtained_at, row.expires_at)


def test_who_says_no_there_hears_so_here(provider: Provider, ana: Browser) -> None:
    brought = provider.sign_in(way_text(begin(ana)), allow=False)
    page = come_back(ana, **brought)
    assert page.status_code == 409
    assert "You did not allow Plumbline to use Club" in page.text


def test_disconnecting_is_told_to_the_service_and_its_token_ends_there(
    world: World, provider: Provider, ana: Browser
) -> None:
    row = connected(ana, provider)
    before, refresh = _sealed_grant(world, row.id), refresh_token(world, row.id)
    page = ana.client.post(
        f"/connections/{row.id}/disconnect", data={"csrf_token": ana.token()}, follow_redirects=True
    ).text
    assert "Club was told." in page
    calls = ana.get(f"/connections/{row.id}/calls").text
    assert "End of a sign-in" in calls
    assert "/token/revocation" in calls
    assert refresh not in calls
    assert provider.asked == [["authorization_code", "token"]]
    world.parts.database.write(lambda db: _put_back(db, row.id, before))
    world.parts.connections.forget(row.id)
    world.clock.advance(3700)
    world.run(step(row.id))
    assert provider.asked[-1] == ["refresh_token", "invalid_grant"]


def _put_back(db: Connection, connection_id: str, grant: grants.NewGrant) -> None:
    grants.put_grant(db, connection_id, grant)
    connections.fix_connection(db, connection_id)


def test_client_credentials_get_their_token_by_themselves(world: World, provider: Provider) -> None:
    parts = world.parts
    connection_id = connect(
        parts.database,
        parts.vault,
        world.clock.now(),
        auth="robot",
        secrets={"client_secret": ROBOT_SECRET},
    )
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    world.clock.advance(3700)
    assert world.state(world.run(step(connection_id))).state == "succeeded"
    assert provider.asked == [["client_credentials", "token"]] * 2


def test_a_wrong_client_secret_is_said_of_the_app_and_not_of_the_sign_in(
    world: World, provider: Provider, ana: Browser
) -> None:
    entered = {"auth": "oauth", "client_id": "plumbline-app", "client_secret": "not-the-secret"}
    assert ana.post("/sign-in/club/app", entered).status_code == 303
    page = come_back(ana, **provider.sign_in(way_text(begin(ana))))
    assert "Club does not accept the client ID or secret" in page.text
    assert "How Plumbline is registered there" in page.text
    assert "not-the-secret" not in page.text


def test_a_code_of_another_sign_in_is_worth_nothing(provider: Provider, ana: Browser) -> None:
    """Somebody who slips a code into another person's answer fails at the challenge (PKCE)."""
    theirs = provider.sign_in(way_text(begin(ana)), "mallory")
    ours = provider.sign_in(way_text(begin(ana)), "harbour")
    page = come_back(ana, **{**ours, "code": theirs["code"]})
    assert page.status_code == 409
    assert "Nothing was changed. Sign in once more." in page.text
    assert provider.asked == [["authorization_code", "invalid_grant"]]


def test_two_accounts_of_one_service_work_side_by_side(
    world: World, provider: Provider, ana: Browser
) -> None:
    harbour = connected(ana, provider)
    hill_there = provider.sign_in(way_text(begin(ana)), "hill")
    hill = row_of(ana, come_back(ana, **hill_there).location.rpartition("/")[2])
    assert {harbour.name, hill.name} == {"Club · harbour", "Club · hill"}
    for row in (harbour, hill):
        assert world.state(world.run(step(row.id))).state == "succeeded"
    assert len(provider.members) == 2
