"""From a described request to what is sent."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.format.definition import Connector, Request
from app.catalog.load import load_connector
from app.catalog.render import plan
from app.errors import MappingFailed
from tests.catalog.files import write_shop

CONNECTION = {"store": "casa", "token": "real-secret", "signing": "other-secret"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Connector:
    return load_connector(write_shop(tmp_path_factory.mktemp("connectors")))


def request(**facts: Any) -> Request:
    return Request.model_validate({"method": "POST", "path": "/things", **facts})


def test_a_secret_never_leaves_as_anything_but_its_placeholder(shop: Connector) -> None:
    described = request(
        headers={"X-Key": "${connection.token}"},
        query={"k": "${connection.token | path}"},
        body={"key": "${connection.token}", "line": "key ${connection.signing}!"},
    )
    planned = plan(shop, described, scope={"connection": CONNECTION})
    assert "real-secret" not in repr(planned)
    assert "other-secret" not in repr(planned)
    assert ("X-Key", "{{secret:token}}") in planned.headers
    assert planned.body == {"key": "{{secret:token}}", "line": "key {{secret:signing}}!"}
    assert planned.query == [("k", "%7B%7Bsecret%3Atoken%7D%7D")]


def test_the_address_begins_with_the_connections_own_host(shop: Connector) -> None:
    planned = plan(shop, request(), scope={"connection": CONNECTION})
    assert planned.url == "https://casa.example.com/api/things"
    assert planned.headers == [("X-Version", "v7")]


@pytest.mark.parametrize("store", ["evil.example.net/", "casa@evil", "CASA", "", "a/../b", "casa#", None])
def test_nobody_can_point_a_connection_at_another_host(shop: Connector, store: Any) -> None:
    with pytest.raises(MappingFailed, match="does not look right"):
        plan(shop, request(), scope={"connection": {**CONNECTION, "store": store}})


@pytest.mark.parametrize("value", [None, "", "  ", ".", ".."])
def test_a_path_with_a_gap_is_not_sent(shop: Connector, value: Any) -> None:
    described = request(path="/things/${input.id | path}", method="DELETE")
    with pytest.raises(MappingFailed, match=r"\$\{input.id \| path\}"):
        plan(shop, described, scope={"connection": CONNECTION, "input": {"id": value}})


def test_a_value_cannot_leave_its_place_in_the_path(shop: Connector) -> None:
    described = request(path="/things/${input.id | path}/parts", method="DELETE")
    planned = plan(shop, described, scope={"connection": CONNECTION, "input": {"id": "../../x?y=1#z"}})
    assert planned.url.endswith("/api/things/..%2F..%2Fx%3Fy%3D1%23z/parts")


def test_a_list_in_the_query_is_given_once_per_item(shop: Connector) -> None:
    described = request(query={"a": ["x", "${input.more}"], "b": True, "c": None, "d": 1.5})
    planned = plan(shop, described, scope={"connection": CONNECTION, "input": {"more": ["y", "z"]}})
    assert planned.query == [("a", "x"), ("a", "y"), ("a", "z"), ("b", "true"), ("d", "1.5")]


def test_the_requests_own_header_replaces_the_connectors(shop: Connector) -> None:
    planned = plan(shop, request(headers={"x-version": "v8"}), scope={"connection": CONNECTION})
    assert planned.headers == [("x-version", "v8")]


def test_a_body_that_lost_everything_is_sent_empty_not_as_nothing(shop: Connector) -> None:
    planned = plan(shop, request(body={"a": "${input.x}"}), scope={"connection": CONNECTION, "input": {}})
    assert (planned.body, planned.body_kind) == ({}, "json")
    assert plan(shop, request(), scope={"connection": CONNECTION}).body_kind == "none"


def test_limits_are_the_default_ones_unless_the_request_names_its_own(shop: Connector) -> None:
    scope = {"connection": CONNECTION}
    assert [one.key for one in plan(shop, request(), scope=scope).limits] == ["calls"]
    assert [one.key for one in plan(shop, request(limits=["slow"]), scope=scope).limits] == ["slow"]
    assert plan(shop, request(limits=[]), scope=scope).limits == ()


def test_the_requests_own_error_rules_come_first(shop: Connector) -> None:
    described = request(errors=[{"status": [429], "kind": "unavailable"}])
    planned = plan(shop, described, scope={"connection": CONNECTION})
    assert [rule.kind for rule in planned.errors] == ["unavailable", "rate_limited"]
