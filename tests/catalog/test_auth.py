"""The ways to connect that a connector may describe: the examples of docs/auth-reference.md, and refusals."""

from __future__ import annotations

import re
import textwrap
from datetime import date
from pathlib import Path

import pytest

from app.catalog.format.definition import Connector
from app.catalog.load import load_connector
from app.catalog.workbench.check import check_one
from app.errors import ConnectorInvalid
from tests.catalog.files import CONNECTOR, write_shop

DOC = (Path(__file__).parents[2] / "docs" / "auth-reference.md").read_text()
EXAMPLES = [
    textwrap.dedent(text) for text in re.findall(r"^```yaml\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)
]

_HEAD = CONNECTOR[: CONNECTOR.index("connection_fields:")]
_TAIL = CONNECTOR[CONNECTOR.index("limits:") :]
STORE = '  - {key: store, label: Store, pattern: "[a-z]+"}\n'
SIGN_IN = """\
connection_fields:
  - {key: store, label: Store, pattern: "[a-z]+"}
  - {key: free, label: Free}
auth:
  - key: oauth
    type: oauth2
    label: Sign in
    authorize_url: https://shop.example.com/authorize
    token_url: https://shop.example.com/token
    value: Bearer ${connection.access_token}
    fields:
      - {key: signing, label: Signing secret, secret: true, required: false}
      - {key: token, label: Token, secret: true, required: false}
"""
SIGNED = """\
connection_fields:
  - {key: store, label: Store, pattern: "[a-z]+"}
auth:
  - key: signed
    type: hmac
    label: Signed
    fields:
      - {key: signing, label: Signing secret, secret: true}
      - {key: token, label: Token, secret: true, required: false}
    secret: signing
    message: "{method}{timestamp}"
    timestamp: {name: X-Time}
    value: "{signature}"
"""


def load(folder: Path, auth: str) -> Connector:
    return load_connector(write_shop(folder, connector=_HEAD + auth + _TAIL))


def write_bare(folder: Path, auth: str) -> Path:
    """A connector without operations."""
    fields = f"connection_fields:\n{STORE}"
    text = auth.replace("connection_fields:\n", fields) if "connection_fields:" in auth else fields + auth
    target = folder / "shop"
    target.mkdir()
    (target / "connector.yaml").write_text(_HEAD + text + _TAIL, "utf-8")
    return target


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_of_the_guide_loads(tmp_path: Path, number: int) -> None:
    assert load_connector(write_bare(tmp_path, EXAMPLES[number])).auth


def test_every_kind_is_in_the_guide() -> None:
    kinds = {
        "bearer",
        "api_key",
        "basic",
        "headers",
        "oauth2",
        "client_credentials",
        "service_account",
        "hmac",
    }
    assert kinds <= set(re.findall(r"type: (\w+)", DOC)) | {"oauth2"}


def test_what_a_sign_in_brings_along_may_be_used_and_is_not_asked_for(tmp_path: Path) -> None:
    connector = load(tmp_path, SIGN_IN)
    assert connector.field_of("client_secret") is not None
    assert {"access_token", "client_secret"} <= connector.secret_keys
    assert [field.key for field in connector.auth[0].fields] == ["signing", "token"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("https://shop.example.com/token", "http://shop.example.com/token", "has to begin with https://"),
        ("https://shop.example.com/token", "ftp://shop.example.com/token", "has to begin with https://"),
        ("https://shop.example.com/token", "https://${connection.free}/token", "have a pattern"),
        ("https://shop.example.com/token", "https://${connection.token}/token", "has to be public"),
        ("https://shop.example.com/authorize", "https://${connection.fre}/x", "no such field"),
        ("${connection.access_token}", "${connection.acces_token}", "no such field"),
        ("${connection.access_token}", "${input.email}", "cannot stand here"),
        ("label: Sign in\n", "label: Sign in\n    keep: {nothing: $.a}\n", "no public field"),
        ("label: Sign in\n", "label: Sign in\n    keep: {store: a.b}\n", "keep"),
        ("label: Sign in\n", "label: Sign in\n    scope_separator: ';'\n", "scope_separator"),
        ("label: Sign in\n", "label: Sign in\n    register_url: here\n", "register_url"),
        ("{key: token, label: Token", "{key: access_token, label: Token", "comes by itself"),
    ],
)
def test_a_sign_in_that_cannot_work_is_refused_with_the_reason(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in SIGN_IN
    with pytest.raises(ConnectorInvalid) as caught:
        load(tmp_path, SIGN_IN.replace(old, new, 1))
    assert words in f"{caught.value.field} {caught.value.sentence}"


def test_a_server_on_this_machine_may_speak_http(tmp_path: Path) -> None:
    local = "http://127.0.0.1:3000/token"
    assert load(tmp_path, SIGN_IN.replace("https://shop.example.com/token", local)).auth


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("secret: signing", "secret: sign", "not a secret field"),
        ("{method}{timestamp}", "{methd}", "{methd} is not part of a request"),
        ("{method}{timestamp}", "{nonce}", "nonce has to say where"),
        ("    timestamp: {name: X-Time}\n", "", "timestamp has to say how"),
        ('value: "{signature}"', "value: fixed", "value has to hold {signature}"),
        ("{method}{timestamp}", "{signature}", "can only stand in value"),
        ("{method}{timestamp}", "${connection.secrt}", "no such field"),
    ],
)
def test_a_signature_that_cannot_be_made_is_refused_with_the_reason(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in SIGNED
    with pytest.raises(ConnectorInvalid) as caught:
        load(tmp_path, SIGNED.replace(old, new, 1))
    assert words in caught.value.sentence


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ("type: client_credentials, fields: [{key: client_id, label: ID}]", "client_secret"),
        ("type: service_account, fields: [{key: other, label: A}]", "key_file or private_key"),
        ("type: service_account, fields: [{key: private_key, label: A, secret: true}]", "issuer"),
    ],
)
def test_a_token_needs_what_it_is_made_from(tmp_path: Path, auth: str, words: str) -> None:
    text = f"auth:\n  - {{key: way, label: X, token_url: 'https://a.example.com/t', {auth}}}\n"
    report = check_one(write_bare(tmp_path, text), date(2026, 11, 21))
    assert report.level is None
    assert words in report.problems[0]
