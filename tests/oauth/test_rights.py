"""What the flows of a connection need, compared with what its account has granted."""

from __future__ import annotations

from tests.engine.world import World
from tests.oauth.club import connect, step
from tests.oauth.visit import rows, sign_in, way
from tests.web.browser import Browser


def club(world: World, *scopes: str) -> str:
    return connect(world.parts.database, world.parts.vault, world.clock.now(), expires_in=1800, scopes=scopes)


def test_a_flow_that_needs_more_is_named_with_a_button(welcome: World, ana: Browser) -> None:
    connection_id = club(welcome, "openid", "members.write")
    welcome.live(step(connection_id, action="find_member"))
    page = ana.get(f"/connections/{connection_id}").text
    assert "Not allowed yet, but needed by" in page
    assert "<code>members.read</code>" in page
    assert "Sign in again for 1 more right" in page


def test_signing_in_again_for_it_makes_the_sentence_go(welcome: World, ana: Browser) -> None:
    connection_id = club(welcome, "openid")
    welcome.live(step(connection_id))
    place = f"/connections/{connection_id}"
    assert "Sign in again for 1 more right" in ana.get(place).text
    sign_in(ana, {"connection": connection_id, "name": "Our club"})
    assert "Not allowed yet" not in ana.get(place).text
    assert len(rows(welcome)) == 1


def test_rights_that_no_flow_needs_are_only_listed(welcome: World, ana: Browser) -> None:
    connection_id = club(welcome, "openid", "members.write")
    welcome.live(step(connection_id))
    page = ana.get(f"/connections/{connection_id}").text
    assert "Not allowed yet" not in page
    assert "<dt>Not granted</dt><dd><code>members.read</code>" in page


def test_an_account_that_grants_less_than_asked_is_compared_with_the_flows(
    welcome: World, ana: Browser
) -> None:
    less = {"access_token": "access-canary-less-1", "refresh_token": "r" * 20, "scope": "openid"}
    welcome.service.answers("POST", "/token", less)
    sign_in(ana)
    connection_id = rows(welcome)[0].id
    welcome.live(step(connection_id))
    page = ana.get(f"/connections/{connection_id}").text
    assert "<code>members.write</code>" in page
    assert "Sign in again for 1 more right" in page


def test_a_service_that_says_nothing_of_rights_is_believed(welcome: World, ana: Browser) -> None:
    silent = {"access_token": "access-canary-silent", "refresh_token": "r" * 20}
    welcome.service.answers("POST", "/token", silent)
    sign_in(ana)
    connection_id = rows(welcome)[0].id
    welcome.live(step(connection_id))
    assert "Not allowed yet" not in ana.get(f"/connections/{connection_id}").text


def test_a_sign_in_that_cannot_be_renewed_says_when_it_ends(welcome: World, ana: Browser) -> None:
    short = {"access_token": "access-canary-short1", "expires_in": 3600, "scope": "openid"}
    welcome.service.answers("POST", "/token", short)
    page = ana.get(sign_in(ana).location).text
    assert "Club gave no token to renew this sign-in with: it ends at" in page
    assert "“offline access”" in page


def test_the_button_asks_for_everything_again(welcome: World, ana: Browser) -> None:
    connection_id = club(welcome, "openid")
    asked = {"auth": "oauth", "connection": connection_id, "name": "Our club"}
    query = way(ana.post("/sign-in/club", asked))[1]
    assert query["scope"] == "openid members.write members.read"


def test_a_flow_that_needs_more_is_told_so_before_it_goes_live(welcome: World, ana: Browser) -> None:
    connection_id = club(welcome, "openid", "members.read")
    flow_id, _ = welcome.live(step(connection_id))
    sentence = "“Our club” does not allow this yet: members.write is missing."
    assert sentence in ana.get(f"/flows/{flow_id}?step=s1").text
    sign_in(ana, {"connection": connection_id, "name": "Our club"})
    assert sentence not in ana.get(f"/flows/{flow_id}?step=s1").text
