"""Connectors → Add an API: what a person gives, sees, chooses, and can use at once."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

from werkzeug.test import TestResponse

from app.parts import Parts
from tests.bring.test_import_openapi_command import SHOP
from tests.fakes.service import FakeService
from tests.web.browser import Browser

HOSTILE = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(12)
)


def give(browser: Browser, **fields: Any) -> TestResponse:
    return browser.post("/connectors/bring", fields)


def file_of(data: Any, name: str = "shop.json") -> tuple[BytesIO, str]:
    return BytesIO(json.dumps(data).encode()), name


def brought(browser: Browser, **fields: Any) -> tuple[str, str]:
    """Where the report is, and what it says."""
    answer = give(browser, **fields)
    assert answer.status_code == 303, answer.text
    return answer.location, browser.get(answer.location).text


def test_the_page_of_connectors_leads_there(browser: Browser) -> None:
    assert 'href="/connectors/bring"' in browser.get("/connectors").text
    assert "Address of the description" in browser.get("/connectors/bring").text


def test_a_file_is_shown_before_anything_is_made_and_then_usable_at_once(
    browser: Browser, parts: Parts
) -> None:
    where, page = brought(browser, file=file_of(SHOP))
    assert "2 of 3 operations can be used" in page
    assert "HEAD /orders" in page
    assert "Address: City" in page
    assert not parts.settings.connectors_folder.exists() or not list(
        parts.settings.connectors_folder.iterdir()
    )
    made = browser.post(where, {"operation": ["create_order"], "name": "Lemons", "key": "lemons"})
    assert made.status_code == 303
    assert made.location == "/connections/new?connector=lemons"
    assert list(parts.registry.get("lemons").actions) == ["create_order"]
    assert browser.get(made.location).status_code == 200
    assert "Lemons" in browser.get("/connectors/lemons").text
    assert browser.get(where).status_code == 404


def test_an_address_that_single_operations_are_at_is_shown_before_anything_is_made(
    browser: Browser, parts: Parts
) -> None:
    post = {"post": {"operationId": "upload"}, "servers": [{"url": "https://upload.lemon.example"}]}
    where, page = brought(browser, file=file_of({**SHOP, "paths": {**SHOP["paths"], "/files": post}}))
    assert "https://upload.lemon.example" in page
    assert "the keys of a connection go there too" in page
    assert "POST /files at https://upload.lemon.example" in page
    browser.post(where, {"operation": ["create_order"], "name": "Lemons", "key": "lemons"})
    assert parts.registry.get("lemons").api.also_at == ()


def test_nothing_chosen_is_said_on_the_page(browser: Browser) -> None:
    where, _ = brought(browser, file=file_of(SHOP))
    answer = browser.post(where, {"name": "Lemons", "key": "lemons"})
    assert answer.status_code == 422
    assert "no operation is chosen" in answer.text


def test_an_update_names_what_is_new_changed_and_gone(browser: Browser, parts: Parts) -> None:
    where, _ = brought(browser, file=file_of(SHOP))
    browser.post(where, {"operation": ["create_order", "list_orders", "get_orders"], "key": "lemon_shop"})
    later = json.loads(json.dumps(SHOP))
    later["paths"]["/refunds"] = {"post": {"operationId": "refund"}}
    del later["paths"]["/orders"]["get"]
    schema = later["paths"]["/orders"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema["properties"]["note"] = {"type": "string"}
    where, page = brought(browser, file=file_of(later))
    assert "What changes" in page
    for word, key in (("New", "refund"), ("Changed", "create_order"), ("Gone", "get_orders")):
        assert f"<dt>{word}</dt><dd>1: {key}" in page
    updated = browser.post(where, {"operation": ["create_order", "refund"], "replace": "lemon_shop"})
    assert updated.location == "/connectors/lemon_shop"
    assert set(parts.registry.get("lemon_shop").actions) == {"create_order", "refund"}


def test_keys_in_a_pasted_command_go_into_a_connection_and_no_file(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    curl = (
        "curl https://api.lemon.example/v2/notes -H 'Authorization: Bearer made-up-token-77' -d '{\"a\": 1}'"
    )
    where, page = brought(browser, text=curl)
    assert "made-up-token-77" not in page
    made = browser.post(where, {"operation": ["post_v2_notes"], "key": "lemons", "connect": "1"})
    assert made.location.startswith("/connections/con_")
    facts = parts.connections.get(made.location.rpartition("/")[2])
    assert facts.secrets == {"token": "made-up-token-77"}
    for file in parts.settings.connectors_folder.rglob("*"):
        assert not file.is_file() or "made-up-token-77" not in file.read_text()
    assert not list(parts.settings.data_dir.glob("imports/*"))


def test_an_address_is_fetched_and_a_page_for_people_is_refused(
    browser: Browser, parts: Parts, service: FakeService
) -> None:
    parts.engine.start()
    page_of = (200, "<html><body>Docs</body></html>", {"Content-Type": "text/html"})
    service.answers("GET", "/openapi.json", SHOP)
    service.answers("GET", "/docs", page_of)
    _, page = brought(browser, address="https://api.lemon.example/openapi.json")
    assert "2 of 3 operations" in page
    assert "page for people" in give(browser, address="https://api.lemon.example/docs").text


def test_a_flow_that_uses_what_is_gone_is_named(browser: Browser) -> None:
    where, _ = brought(browser, file=file_of(SHOP))
    browser.post(where, {"operation": ["create_order", "get_orders"], "key": "lemon_shop"})
    flow = (
        "name: Every order\ntrigger: {kind: manual}\n"
        "steps:\n- {id: s1, kind: action, connector: lemon_shop, action: get_orders}\n"
    )
    assert browser.post("/flows/bring", {"text": flow}).status_code == 200
    later = json.loads(json.dumps(SHOP))
    del later["paths"]["/orders"]["get"]
    _, page = brought(browser, file=file_of(later))
    assert "The flow “Every order” uses what is gone: get_orders." in page


def test_a_bundled_connector_is_not_taken_over_by_chance(browser: Browser, parts: Parts) -> None:
    where, page = brought(browser, file=file_of({**SHOP, "info": {"title": "Stripe", "version": "1"}}))
    assert 'value="stripe_api"' in page
    browser.post(where, {"operation": ["create_order"], "key": "stripe_api"})
    assert parts.registry.shelf_of("stripe_api") is not None
    _, page = brought(browser, file=file_of({**SHOP, "info": {"title": "Stripe", "version": "2"}}))
    assert 'value="stripe_api"' in page
    assert "What changes" in page


def test_what_is_no_description_is_refused_with_its_reason(browser: Browser, parts: Parts) -> None:
    for text, words in (
        ("", "there is no address"),
        ("Dear Ana, the meeting is at nine.", "not an OpenAPI document"),
        ('{"openapi": "3.0.0", "paths": {', "not JSON"),
        (HOSTILE, "unfold to more"),
        ("[" * 20_000, "nested too deeply"),
    ):
        answer = give(browser, text=text)
        assert answer.status_code == 422
        assert words in answer.text, text[:40]
    assert not list(parts.settings.data_dir.glob("imports/*"))


def test_another_persons_report_cannot_be_opened(browser: Browser) -> None:
    where, _ = brought(browser, file=file_of(SHOP))
    assert browser.get(f"{where}x").status_code == 404
    assert browser.get("/connectors/bring/api_..%2F..%2Fsecret").status_code == 404
