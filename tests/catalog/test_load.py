"""A connector that cannot be used says which file, which field and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalog.load import hash_of, load_connector
from app.errors import ConnectorInvalid
from tests.catalog.files import ACTION, CONNECTOR, OWN_FIELDS, POLL, WEBHOOK, write_shop


def fault_of(folder: Path) -> ConnectorInvalid:
    with pytest.raises(ConnectorInvalid) as caught:
        load_connector(folder)
    return caught.value


def test_a_folder_becomes_a_connector(tmp_path: Path) -> None:
    shop = load_connector(write_shop(tmp_path))
    assert (shop.key, shop.name, shop.api.version) == ("shop", "Shop", "v7")
    assert (list(shop.actions), list(shop.triggers)) == (["add"], ["new_customer", "paid"])
    assert [limit.per for limit in shop.limits] == [1.0, 60.0]
    assert shop.secret_keys == {"token", "signing"}


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("owner: me", "ownr: me", "ownr", "'ownr' is not known here. There is 'owner'"),
        ("owner: me\n", "", "owner", "'owner' is missing"),
        ("category: commerce", "category: shops", "category", "'shops' is not one of"),
        ("checked: 2026-11-21", "checked: yesterday", "api.checked", "write it like 2027-01-31"),
        ("version: v7", "version: 7.0", "api.version", "is not a text"),
        ("per: 1s", "per: 1", "limits.0.per", "has no unit"),
        ("per: 1s", "per: 1 second", "limits.0.per", "no length of time"),
        ("kind: rate_limited", "kind: slow", "errors.1.kind", "'slow' is not one of"),
        ('pattern: "[a-z]+"', 'pattern: "[a-z"', "pattern", "no pattern that can be used"),
        (', pattern: "[a-z]+"', "", "api.base_url", "has to be public and have a pattern"),
        ("{key: store, label: Store,", "{key: store, label: Store, secret: true,", "api.base_url", "public"),
        ("${connection.store}", "${connection.stoer}", "api.base_url", "no field 'stoer'. There is 'store'"),
        ("${connection.store}", "${input.store}", "api.base_url", "'input' is not known in this place"),
        ("https://${connection.store}", "ftp://x", "api.base_url", "has to begin with https://"),
        ("${api.version}", "${api.versoin}", "headers", "There is version"),
        ("type: bearer", "type: oauth9", "auth.1", "'oauth9' is not one of"),
        ("key: calls", "key: slow", "limits", "the limit 'slow' is there twice"),
        ("key: shop\n", "key: shoop\n", "key", "the folder is called shop"),
        ("owner: me", "owner: me\nactions: {}", "actions", "files of their own"),
    ],
)
def test_a_mistake_in_the_connector_file_is_named(
    tmp_path: Path, old: str, new: str, field: str, words: str
) -> None:
    assert old in CONNECTOR
    fault = fault_of(write_shop(tmp_path, connector=CONNECTOR.replace(old, new, 1)))
    assert fault.file == "shop/connector.yaml"
    assert field in fault.field
    assert words in fault.sentence


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("key: add", "key: ad", "key", "the file is called add.yaml"),
        ("idempotent: true\n", "", "idempotent", "'idempotent' is missing"),
        ("identity: [email]", "identity: [mail]", "", "identity names 'mail', which is no input"),
        ("type: email", "type: mail", "type", "'mail' is not one of"),
        (
            "lookup: groups",
            "lookup: gruops",
            "input.group.lookup",
            "no lookups/gruops.yaml. There is 'groups'",
        ),
        ("lookup: groups", "lookup: own_fields", "input.group.lookup", "gives fields, which does not fit"),
        ("${fields}", "${felds}", "requests.0.body", "nothing is called 'felds' here"),
        ("${fields}", "${input.emial}", "requests.request.body", "no input 'emial'. There is 'email'"),
        ("${fields}", "${cursor}", "requests.request.body", "'cursor' is not known in this place"),
        ("${fields}", "x", "requests", "no body uses ${fields}"),
        ("${connection.token}", "${connection.token | md5lower}", "body", "no pipe can work on it"),
        (" | path}", "}", "requests.request.path", "has to end with | path"),
        ("method: POST", "method: GET", "", "a GET request has no body"),
        ("path: /", "path: ", "", "has to begin with /"),
        ("    body:", "    next_on: [404]\n    body:", "", "there is no next one"),
        ("    body:", "    limits: [fast]\n    body:", "requests.request.limits", "no limit 'fast'"),
        ("    body:", "    error: []\n    body:", "error", "There is 'errors'"),
        ("type: email, required: true", "type: choice", "", "neither choices nor a lookup"),
        ("key: name, label: Name", "key: email, label: Name", "", "the input 'email' is there twice"),
    ],
)
def test_a_mistake_in_an_action_is_named(tmp_path: Path, old: str, new: str, field: str, words: str) -> None:
    assert old in ACTION
    fault = fault_of(write_shop(tmp_path, actions__add=ACTION.replace(old, new, 1)))
    assert fault.file == "shop/actions/add.yaml"
    assert field in fault.field
    assert words in fault.sentence


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (POLL, "kind: poll", "kind: pol", "either poll or webhook"),
        (POLL, "every: 5m", "every: 10s", "every is shorter than at_least"),
        (POLL, ", size: 50", "", "needs size"),
        (POLL, "{type: page, size: 50}", "{type: link}", "needs next"),
        (POLL, "{type: page, size: 50}", "{type: cursor, next: Link}", "is no place"),
        (POLL, ', page: "${page}"', "", "every page would be the same"),
        (POLL, "cursor: {path: $.at}\n", "", "'cursor' is not known in this place"),
        (POLL, "$.customers[*]", "$.customers[?(@.a =~ 'x')]", "items"),
        (WEBHOOK, ", secret: signing", "", "needs secret"),
        (WEBHOOK, "secret: signing", "secret: store", "no secret field of the connection"),
        (WEBHOOK, ", header: X-Signature", "", "needs header"),
        (WEBHOOK, "scheme: hmac_sha256", "scheme: none", ""),
        (WEBHOOK, "scheme: hmac_sha256", "scheme: md5", "is not one of"),
        (
            WEBHOOK,
            "header: X-Signature",
            'header: X-Signature, message: "{timestamp}.{body}"',
            "timestamp_header",
        ),
    ],
)
def test_a_mistake_in_a_trigger_is_named(tmp_path: Path, text: str, old: str, new: str, words: str) -> None:
    assert old in text
    name = "triggers__new_customer" if text is POLL else "triggers__paid"
    fault = fault_of(write_shop(tmp_path, **{name: text.replace(old, new, 1)}))
    assert fault.file == f"shop/{name.replace('__', '/')}.yaml"
    assert words in str(fault)


def test_an_unsigned_webhook_needs_a_reason(tmp_path: Path) -> None:
    text = WEBHOOK.replace("{scheme: hmac_sha256, secret: signing, header: X-Signature}", "{scheme: none}")
    assert "needs a reason" in fault_of(write_shop(tmp_path, triggers__paid=text)).sentence


def test_a_lookup_gives_options_or_fields(tmp_path: Path) -> None:
    text = OWN_FIELDS.split("fields:\n")[0]
    assert "either options or fields" in fault_of(write_shop(tmp_path, lookups__own_fields=text)).sentence


def test_the_rule_of_success_is_said_once_for_all_operations(tmp_path: Path) -> None:
    head = CONNECTOR + "success: {path: $.ok, equals: true, message: $.error}\n"
    shop = load_connector(
        write_shop(tmp_path, connector=head + "check: {request: {method: GET, path: /me}}\n")
    )
    assert shop.check is not None
    for one in (shop.actions["add"], shop.triggers["new_customer"], shop.lookups["groups"], shop.check):
        assert one.success is not None
        assert one.success.path == "$.ok"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = write_shop(tmp_path)
    (folder / "actions/add.yaml").write_bytes(b"key: \xff\xfe")
    assert "not written in UTF-8" in fault_of(folder).sentence


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    assert "has to be a table" in fault_of(write_shop(tmp_path, actions__add="- a\n- b\n")).sentence


def test_the_hash_changes_with_every_file(tmp_path: Path) -> None:
    folder = write_shop(tmp_path)
    before = hash_of(folder)
    assert before == hash_of(folder)
    (folder / "actions/add.yaml").write_text(ACTION.replace("Add customer", "Add a customer"))
    assert hash_of(folder) != before
