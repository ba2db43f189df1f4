"""The demo services without a port: Flask's test client, webhooks sent to a fake address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient

from seed_data.services.process import create_services
from seed_data.services.shared import KEYS, Services

CRM = {"X-Api-Key": KEYS["crm"]}
SHOP = {"X-Shop-Key": KEYS["shop"]}
MAIL = {"Authorization": f"Bearer {KEYS['mail']}"}
CHAT = {"Authorization": f"Bearer {KEYS['chat']}"}


@dataclass
class Listener:
    """Where the services' webhooks go; `answers` are given in turn, then 200."""

    answers: list[int] = field(default_factory=list)
    got: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if self.answers else 200)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def waits() -> list[float]:
    """How long the services were slow on purpose."""
    return []


@pytest.fixture
def demo(tmp_path: Path, listener: Listener, waits: list[float]) -> Iterator[Flask]:
    app = create_services(tmp_path / "demo.db", transport=httpx.MockTransport(listener), wait=waits.append)
    app.testing = True
    yield app
    app.extensions["services"].shelf.close()


@pytest.fixture
def services(demo: Flask) -> Services:
    found: Services = demo.extensions["services"]
    return found


@pytest.fixture
def client(demo: Flask) -> FlaskClient:
    return demo.test_client()
