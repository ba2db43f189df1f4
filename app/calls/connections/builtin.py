"""Connections that need no connector file: any HTTP address, and a mail server.

They have the same shape as those of the catalog, so that the connections page lists them alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class BuiltInField:
    key: str
    label: str
    secret: bool = False
    help: str = ""
    pattern: str | None = None
    required: bool = True
    choices: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True)
class BuiltInAuth:
    """Templates may name the connection's fields as `${connection.field}`."""

    key: str
    type: Literal["bearer", "basic", "api_key", "headers", "none"]
    label: str
    fields: tuple[BuiltInField, ...]
    name: str = ""
    value: str = ""
    location: Literal["header", "query"] = "header"
    username: str = ""
    password: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    help: str = ""


@dataclass(frozen=True)
class BuiltInConnector:
    key: str
    name: str
    description: str
    auth: tuple[BuiltInAuth, ...]
    category: str = "built in"


_HOST = BuiltInField(
    "host",
    "Host",
    help="Where the secret may be sent, such as api.example.com. It never goes anywhere else.",
)
_TOKEN = BuiltInField("token", "Token", secret=True)
_API_KEY = BuiltInField("api_key", "Key", secret=True)


def _header_fields() -> tuple[BuiltInField, ...]:
    fields: list[BuiltInField] = []
    for number in (1, 2, 3):
        fields.append(BuiltInField(f"name_{number}", f"Name of header {number}", required=number == 1))
        fields.append(
            BuiltInField(f"value_{number}", f"Value of header {number}", secret=True, required=number == 1)
        )
    return tuple(fields)


HTTP = BuiltInConnector(
    key="http",
    name="Web request",
    description="Credentials for any address called by the step “Web request”, and secrets of webhooks.",
    auth=(
        BuiltInAuth("bearer", "bearer", "Bearer token", (_HOST, _TOKEN), value="Bearer ${connection.token}"),
        BuiltInAuth(
            "basic",
            "basic",
            "User name and password",
            (_HOST, BuiltInField("username", "User name"), BuiltInField("password", "Password", secret=True)),
            username="${connection.username}",
            password="${connection.password}",  # noqa: S106 - a template, not a password
        ),
        BuiltInAuth(
            "api_key",
            "api_key",
            "API key in a header",
            (_HOST, BuiltInField("name", "Name of the header", default="X-Api-Key"), _API_KEY),
            name="${connection.name}",
            value="${connection.api_key}",
        ),
        BuiltInAuth(
            "api_key_query",
            "api_key",
            "API key in the address",
            (_HOST, BuiltInField("name", "Name of the parameter", default="api_key"), _API_KEY),
            name="${connection.name}",
            value="${connection.api_key}",
            location="query",
        ),
        BuiltInAuth(
            "headers",
            "headers",
            "Own headers",
            (_HOST, *_header_fields()),
            headers={f"${{connection.name_{n}}}": f"${{connection.value_{n}}}" for n in (1, 2, 3)},
        ),
        BuiltInAuth(
            "signature",
            "none",
            "Secret that signs incoming webhooks",
            (
                BuiltInField("secret", "Signing secret", secret=True, help="As the sender shows it."),
                BuiltInField(
                    "previous_secret",
                    "Previous secret",
                    secret=True,
                    required=False,
                    help="Accepted too, while the sender changes over to a new one.",
                ),
            ),
        ),
    ),
)

SMTP = BuiltInConnector(
    key="smtp",
    name="Email (SMTP)",
    description="The mail server that email steps send through.",
    auth=(
        BuiltInAuth(
            "smtp",
            "none",
            "Mail server",
            (
                BuiltInField("host", "Mail server", help="Such as smtp.example.com."),
                BuiltInField("port", "Port", default="587", pattern=r"^\d{2,5}$"),
                BuiltInField(
                    "security",
                    "Encryption",
                    choices=("starttls", "tls", "none"),
                    default="starttls",
                    help="starttls on port 587, tls on port 465; none only inside your own network.",
                ),
                BuiltInField("username", "User name", required=False),
                BuiltInField("password", "Password", secret=True, required=False),
                BuiltInField("sender", "Sender", required=False, help="Such as Shop <news@example.com>."),
            ),
        ),
    ),
)

BUILT_IN: dict[str, BuiltInConnector] = {one.key: one for one in (HTTP, SMTP)}
