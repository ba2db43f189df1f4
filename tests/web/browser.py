"""A browser without pictures: Flask's test client that fills in the token of the form, as people's do."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Flask
from itsdangerous import URLSafeTimedSerializer
from werkzeug.test import TestResponse

from app.storage.people.users import UserRow

_TOKEN = re.compile(r'X-CSRFToken": "([^"]+)"')


def words(html: str) -> str:
    """What a reader sees: no tags, one blank between words."""
    text = re.sub(r"<[^>]+>", " ", html)
    return re.sub(r"\s+", " ", text.replace("&#34;", '"').replace("&#39;", "'").replace("&amp;", "&"))


class Browser:
    def __init__(self, app: Flask, address: str = "127.0.0.1") -> None:
        self.client = app.test_client()
        self.client.environ_base = {"REMOTE_ADDR": address, "HTTP_USER_AGENT": "test"}

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, headers=_headers(headers))

    def part(self, path: str, **headers: str) -> TestResponse:
        """As htmx asks for a part of a page."""
        return self.client.get(
            path, headers={"HX-Request": "true", "HX-Request-Type": "partial"} | _headers(headers)
        )

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        given = {"csrf_token": self.token()} | (data or {})
        return self.client.post(path, data=given, headers=_headers(headers))

    def post_part(self, path: str, data: dict[str, Any] | None = None) -> TestResponse:
        """As htmx sends a form: the token in a header."""
        headers = {"HX-Request": "true", "HX-Request-Type": "partial", "X-CSRFToken": self.token()}
        return self.client.post(path, data=data or {}, headers=headers)

    def token(self) -> str:
        """The token that the next page would hold, without asking for a page."""
        with self.client.session_transaction() as session:
            raw = session.setdefault("csrf_token", secrets.token_hex(20))
        key = self.client.application.secret_key
        return str(URLSafeTimedSerializer(key or "", salt="wtf-csrf-token").dumps(raw))

    def token_of_a_page(self) -> str:
        """Every page has it, also the one that says that nothing is here."""
        found = _TOKEN.search(self.client.get("/nothing-is-here").text)
        assert found is not None
        return found[1]

    def enter(self, user: UserRow) -> None:
        """Is signed in, without the hashing of a password, which takes its time on purpose."""
        with self.client.session_transaction() as session:
            session.clear()
            session.permanent = True
            session["user"], session["epoch"], session["id"] = (
                user.id,
                user.session_epoch,
                secrets.token_hex(16),
            )

    def sign_in(self, email: str, password: str) -> TestResponse:
        return self.post("/login", {"email": email, "password": password})


def _headers(named: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}
