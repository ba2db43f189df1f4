"""Each way to connect of each bundled service puts its credentials where they belong."""

from __future__ import annotations

import re

import pytest

from app.catalog.format.auth import NoAuth, OAuth2Auth, TokenAuth
from app.catalog.format.scopes import all_scopes
from app.catalog.templates import fill
from tests.connectors.player import FOLDER, REGISTRY
from tests.connectors.samples import connection_for
from tests.connectors.wire import on_the_wire

WAYS = [
    (key, at)
    for key in sorted(folder.parent.name for folder in FOLDER.glob("*/connector.yaml"))
    for at in range(len(REGISTRY.get(key).auth))
]
KEPT = [way for way in WAYS if not isinstance(REGISTRY.get(way[0]).auth[way[1]], NoAuth)]
TOKENS = [way for way in WAYS if isinstance(REGISTRY.get(way[0]).auth[way[1]], TokenAuth)]
SECRET = re.compile(r"secret-of-(\w+)")


def name_of(way: tuple[str, int]) -> str:
    return f"{way[0]}-{REGISTRY.get(way[0]).auth[way[1]].key}"


@pytest.mark.parametrize(("key", "at"), KEPT, ids=[name_of(way) for way in KEPT])
def test_the_test_of_a_connection_sends_its_credentials(key: str, at: int) -> None:
    connector = REGISTRY.get(key)
    auth, connection = connector.auth[at], connection_for(connector, at)
    assert connector.check is not None
    ready = on_the_wire(connector, connector.check.request, {}, connection)
    text = " ".join([ready.url, *(f"{name}: {value}" for name, value in ready.headers)])
    placed = set(SECRET.findall(text))
    if isinstance(auth, TokenAuth):
        assert "access_token" in placed
    assert placed or "Basic " in text
    shown = " ".join([ready.url_shown, *(f"{name}: {value}" for name, value in ready.headers_shown)])
    assert not SECRET.search(shown), "the history would show a secret"


@pytest.mark.parametrize(("key", "at"), TOKENS, ids=[name_of(way) for way in TOKENS])
def test_a_sign_in_leads_to_the_service_and_asks_for_what_its_operations_need(key: str, at: int) -> None:
    connector = REGISTRY.get(key)
    auth = connector.auth[at]
    assert isinstance(auth, TokenAuth)
    scope = {
        "connection": connection_for(connector, at).as_scope(),
        "api": {"version": connector.api.version},
    }
    addresses = [auth.token_url]
    if isinstance(auth, OAuth2Auth):
        addresses += [auth.authorize_url, *filter(None, (auth.refresh_url, auth.revoke_url))]
        assert auth.help
    for address in addresses:
        assert re.fullmatch(r"https://[a-z0-9.-]+/[^\s{}$]*", fill(address, scope)), address
    asked = all_scopes(connector, auth)
    needed = {one for operation in connector.actions.values() for one in operation.scopes}
    assert needed <= set(asked)
    assert all(scope and " " not in scope and "," not in scope for scope in asked)
