"""The sign-ins of the bundled connectors: each leads to its service's own page, with what it takes."""

from __future__ import annotations

from urllib.parse import urlsplit

import re2

from app.catalog.format.auth import AuthField, OAuth2Auth
from app.catalog.format.definition import Connector
from app.catalog.format.scopes import all_scopes
from app.catalog.format.sign_in import ServiceAccountAuth
from app.catalog.registry import Registry
from app.parts import connector_folders
from app.settings import Settings
from app.storage.connections.sign_ins import AppRow, put_app
from tests.engine.world import World
from tests.oauth.visit import begin, way
from tests.web.browser import Browser

_ALL = Registry(connector_folders(Settings())).all()
SIGN_INS = [(one.key, auth.key) for one in _ALL for auth in one.auth if isinstance(auth, OAuth2Auth)]
_TEXTS = (
    *("1234567890", "123456", "acme", "us21", "a" * 30, "eu-west-1", "acme.example.com"),
    *("https://acme.example.com", "https://acme.example.com/api", "ana@example.com", "A1B2C3D4"),
)
KEY_FILES = [(one.key, auth.key) for one in _ALL for auth in one.auth if isinstance(auth, ServiceAccountAuth)]


def _described(world: World, key: str, auth_key: str) -> tuple[Connector, OAuth2Auth]:
    connector = world.parts.registry.get(key)
    auth = next(one for one in connector.auth if one.key == auth_key)
    assert isinstance(auth, OAuth2Auth)
    return connector, auth


def test_there_are_bundled_sign_ins() -> None:
    assert SIGN_INS
    assert KEY_FILES


def test_each_leads_to_the_sign_in_page_of_its_service(world: World, ana: Browser) -> None:
    for key, auth_key in SIGN_INS:
        connector, auth = _described(world, key, auth_key)
        row = AppRow(key, auth_key, "client-of-ours", None, auth.token_url, world.clock.now())
        world.parts.database.write(lambda db, row=row: put_app(db, row))  # type: ignore[misc]
        asked = {one.key: one for one in (*connector.connection_fields, *auth.fields)}
        fields = {f"field.{one.key}": _filled(key, one) for one in asked.values()}
        address, query = way(begin(ana, {"auth": auth_key, **fields}, key=key))
        assert urlsplit(address).scheme == "https", key
        assert query["client_id"] == "client-of-ours", key
        assert query["redirect_uri"].endswith(f"/sign-in/{key}/callback"), key
        scopes = set(query.get("scope", "").split(auth.scope_separator)) - {""}
        assert scopes == set(all_scopes(connector, auth)), key
        assert ("code_challenge" in query) == auth.pkce, key


def _filled(key: str, asked: AuthField) -> str:
    """Something of the form that the field wants."""
    if asked.default or asked.choices:
        return asked.default or asked.choices[0]
    wanted = asked.pattern or ".*"
    found = [text for text in _TEXTS if re2.fullmatch(wanted, text)]
    assert found, f"{key}: add a text to _TEXTS that fits {asked.key} ({wanted})"
    return found[0]


def test_each_says_where_to_register_and_what_to_enter(world: World, ana: Browser) -> None:
    for key, auth_key in SIGN_INS:
        _, auth = _described(world, key, auth_key)
        assert auth.register_url or auth.help, f"{key} says neither where one registers nor how"
        page = ana.get(f"/sign-in/{key}/app?auth={auth_key}").text
        assert f"/sign-in/{key}/callback" in page, key
        assert f'href="{auth.register_url}"' in page or not auth.register_url, key


def test_each_key_file_can_be_uploaded(ana: Browser) -> None:
    for key, auth_key in KEY_FILES:
        assert 'type="file"' in ana.get(f"/connections/new?connector={key}&auth={auth_key}").text, key
