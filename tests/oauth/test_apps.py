"""Registering Plumbline at a service, once for everybody who signs in there."""

from __future__ import annotations

from sqlalchemy import text

from app.calls.connections.tokens import App, open_app
from app.catalog.format.auth import OAuth2Auth
from app.storage.connections.sign_ins import get_app
from tests.engine.world import World
from tests.oauth.club import CLIENT_SECRET, connect
from tests.web.browser import Browser

PAGE = "/sign-in/club/app"
ENTERED = {"auth": "oauth", "client_id": "plumbline-app", "client_secret": CLIENT_SECRET}


def kept(world: World) -> App:
    auth = world.parts.registry.get("club").auth[0]
    assert isinstance(auth, OAuth2Auth)
    with world.parts.database.read() as db:
        return open_app(world.parts.vault, get_app(db, "club", "oauth"), auth)


def forget(world: World) -> None:
    world.parts.database.write(lambda db: db.execute(text("DELETE FROM oauth_apps")))


def test_the_page_says_what_to_enter_at_the_service(ana: Browser) -> None:
    page = ana.get(PAGE).text
    assert 'value="http://127.0.0.1:8000/sign-in/club/callback"' in page
    assert 'href="https://club.example.com/apps"' in page
    assert 'value="openid members.write members.read"' in page
    assert "http://127.0.0.1:8000/sign-in/club/app?auth=oauth</textarea>" in page


def test_client_id_and_secret_are_kept_sealed_and_lead_on(world: World, ana: Browser) -> None:
    forget(world)
    answer = ana.post(PAGE, ENTERED | {"next": "/connections/new?connector=club&auth=oauth"})
    assert answer.location == "/connections/new?connector=club&auth=oauth"
    assert kept(world) == App("plumbline-app", CLIENT_SECRET)
    assert "Sign in with Club" in ana.get(answer.location).text
    files = b"".join(file.read_bytes() for file in world.parts.settings.data_dir.glob("plumbline.db*"))
    assert CLIENT_SECRET.encode() not in files
    assert CLIENT_SECRET not in ana.get(PAGE).text


def test_an_empty_secret_stays_but_not_for_another_client_id(world: World, ana: Browser) -> None:
    assert ana.post(PAGE, ENTERED | {"client_secret": ""}).status_code == 303
    assert kept(world).client_secret == CLIENT_SECRET
    answer = ana.post(PAGE, ENTERED | {"client_id": "another", "client_secret": ""})
    assert answer.status_code == 422
    assert "The client secret from Club is needed." in answer.text
    assert kept(world).client_id == "plumbline-app"


def test_what_cannot_be_a_client_id_or_secret_is_refused(world: World, ana: Browser) -> None:
    forget(world)
    for wrong in (
        {"client_id": ""},
        {"client_id": "x" * 3000},
        {"client_id": "two\nlines"},
        {"client_secret": ""},
        {"client_secret": "s" * 3000},
        {"client_secret": "a\r\nX-Evil: 1"},
    ):
        answer = ana.post(PAGE, ENTERED | wrong)
        assert answer.status_code == 422
        assert CLIENT_SECRET not in answer.text
    assert kept(world) == App()


def test_a_secret_entered_for_another_token_address_is_asked_for_again(world: World, ana: Browser) -> None:
    moved = "UPDATE oauth_apps SET token_url = 'https://elsewhere.example.com/token'"
    world.parts.database.write(lambda db: db.execute(text(moved)))
    assert "The connector asks another address for tokens" in ana.get(PAGE).text
    assert ana.post(PAGE, ENTERED | {"client_secret": ""}).status_code == 422
    assert ana.post(PAGE, ENTERED).status_code == 303
    assert kept(world).client_secret == CLIENT_SECRET


def test_only_administrators_register_but_everybody_can_pass_on_the_text(world: World, ben: Browser) -> None:
    page = ben.get(PAGE).text
    assert "give the text below to one of them" in page
    assert 'name="client_secret"' not in page
    assert ben.post(PAGE, ENTERED | {"client_id": "evil"}).status_code == 403
    assert ben.post(f"{PAGE}/delete", {"auth": "oauth"}).status_code == 403
    assert kept(world).client_id == "plumbline-app"


def test_another_client_id_means_signing_in_again_and_says_so(world: World, ana: Browser) -> None:
    connect(world.parts.database, world.parts.vault, world.clock.now())
    ana.post(PAGE, ENTERED | {"client_id": "another"})
    assert "sign in again in 1 connection." in ana.get(PAGE).text


def test_it_is_deleted_only_where_no_connection_needs_it(world: World, ana: Browser) -> None:
    connection_id = connect(world.parts.database, world.parts.vault, world.clock.now())
    answer = ana.post(f"{PAGE}/delete", {"auth": "oauth"})
    assert answer.status_code == 422
    assert "“Our club” still needs it, of 1 connection to Club." in answer.text
    ana.post(f"/connections/{connection_id}/delete")
    assert ana.post(f"{PAGE}/delete", {"auth": "oauth"}).status_code == 303
    assert kept(world) == App()


def test_a_service_without_a_sign_in_has_no_such_page(ana: Browser) -> None:
    for place in ("/sign-in/rss/app", "/sign-in/nothing/app", "/sign-in/nothing/callback"):
        assert ana.get(place).status_code == 404


def test_an_address_that_a_service_will_not_accept_is_warned_of(ana: Browser) -> None:
    """The test's browser opens Plumbline as `localhost`, its settings say 127.0.0.1:8000."""
    assert "You opened Plumbline as localhost, but it calls itself 127.0.0.1:8000" in ana.get(PAGE).text
