"""The key file of a service account: pasted or uploaded, and judged before it is kept."""

from __future__ import annotations

import io
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.calls.connections.book import open_secrets
from app.storage.connections import connections
from tests.engine.world import World
from tests.oauth.visit import rows
from tests.web.browser import Browser

FORM = {"connector": "club", "auth": "key", "name": "Robot"}


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(scope="session")
def rsa_pem() -> str:
    return _pem(rsa.generate_private_key(65537, 2048))


@pytest.fixture
def file(rsa_pem: str) -> dict[str, str]:
    return {"type": "service_account", "client_email": "robot@club.example", "private_key": rsa_pem}


def kept(world: World) -> str:
    (row,) = rows(world)
    with world.parts.database.read() as db:
        sealed = connections.sealed_secrets(db, row.id)
    return open_secrets(world.parts.vault, row.id, sealed)["key_file"]


def test_a_file_that_is_pasted_with_all_its_lines_is_kept(
    world: World, ana: Browser, file: dict[str, str]
) -> None:
    world.service.answers("POST", "/token", {"access_token": "access-canary-robot", "expires_in": 3600})
    world.service.answers("GET", "/me", {"name": "Robot of the club"})
    text = json.dumps(file, indent=2)
    answer = ana.post("/connections/new", FORM | {"field.key_file": text.replace("\n", "\r\n")})
    assert answer.status_code == 303
    assert json.loads(kept(world)) == file
    page = ana.get(answer.location).text
    assert "Club accepts this connection (account “Robot of the club”)." in page
    assert file["private_key"][40:80] not in page


def test_a_file_that_is_uploaded_is_kept(world: World, ana: Browser, file: dict[str, str]) -> None:
    upload = (io.BytesIO(b"\xef\xbb\xbf" + json.dumps(file).encode()), "key.json")
    assert 'enctype="multipart/form-data"' in ana.get("/connections/new?connector=club&auth=key").text
    assert ana.post("/connections/new", FORM | {"file.key_file": upload}).status_code == 303
    assert json.loads(kept(world)) == file


def test_an_empty_field_keeps_the_file(world: World, ana: Browser, file: dict[str, str]) -> None:
    ana.post("/connections/new", FORM | {"field.key_file": json.dumps(file)})
    (row,) = rows(world)
    assert ana.post(f"/connections/{row.id}", {"auth": "key", "name": "Robot 2"}).status_code == 303
    assert json.loads(kept(world)) == file


WRONG = (
    ("", "Key file is needed."),
    ('{"client_email": "a",\n "private', "it cannot be read from line 2, column 2 on"),
    ("hello", "it cannot be read from line 1, column 1 on"),
    ("[]", "This is JSON, but not a key file"),
    ("{}", "The file holds no “client_email”."),
    ('{"client_email": "a"}', "The file holds no “private_key”."),
    ('{"client_email": "a", "private_key": 7}', "The file holds no “private_key”."),
    ('{"client_email": "a", "private_key": "secret-canary"}', "not an RSA key as a whole"),
    ('{"installed": {"client_secret": "secret-canary"}}', "belongs to an OAuth client"),
    ("-----BEGIN PRIVATE KEY-----\nsecret-canary", "This is the key alone."),
    ("[" * 20_000, "This is not a JSON file."),
    ("{" + " " * 60_000 + "}", "longer than 50,000 characters"),
    ('{"a": "\x00"}', "holds characters that no text has"),
)


def test_what_is_no_key_file_is_refused_in_words(world: World, ana: Browser) -> None:
    for text, sentence in WRONG:
        answer = ana.post("/connections/new", FORM | {"field.key_file": text})
        assert answer.status_code == 422, sentence
        assert sentence in answer.text.replace("&#39;", "'")
        assert "secret-canary" not in answer.text, sentence
    assert rows(world) == []


def test_a_key_of_another_kind_is_told_apart(ana: Browser, file: dict[str, str]) -> None:
    other = file | {"private_key": _pem(ec.generate_private_key(ec.SECP256R1()))}
    answer = ana.post("/connections/new", FORM | {"field.key_file": json.dumps(other)})
    assert "not an RSA key as a whole" in answer.text
