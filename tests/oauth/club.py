"""A connector with a sign-in, and connections of it that hold a token of any age."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from app.calls.connections.book import seal_secrets
from app.calls.connections.tokens import seal_tokens
from app.ids import new_id
from app.storage.connections import connections, grants, sign_ins
from app.storage.database.db import Database
from app.storage.database.secrets import Vault

CLIENT_SECRET = "client-secret-canary-5e6f7a8b"
OLD, FIRST_REFRESH = "access-canary-old-0a1b2c3d", "refresh-canary-old-4e5f6a7b"
TOKEN_URL = "https://id.club.example.com/token"
API = "https://api.club.example.com"

_CONNECTOR = """\
key: club
name: Club
category: crm
description: Members of a club.
owner: me
docs: https://club.example.com/docs
api:
  base_url: {api}
  checked: 2026-11-21
auth:
  - key: oauth
    type: oauth2
    label: Sign in with Club
    register_url: https://club.example.com/apps
    authorize_url: {authorize_url}
    token_url: {token_url}
    scopes: [{scopes}]
    {more}
  - key: robot
    type: client_credentials
    label: Client ID and secret
    token_url: {token_url}
    client_auth: basic
  - key: key
    type: service_account
    label: Service account
    token_url: {token_url}
    scopes: [members]
check:
  request: {{method: GET, path: /me}}
  account: $.name
"""
_ACTION = """\
key: add_member
label: Add member
description: Adds a member.
docs: https://club.example.com/docs
idempotent: true
scopes: [members.write]
input:
  - {key: email, label: Email, type: email, required: true}
requests:
  - {method: POST, path: /members, body: "${fields}"}
"""
_LIST = """\
key: find_member
label: Find member
description: Finds a member.
docs: https://club.example.com/docs
idempotent: true
scopes: [members.read]
input:
  - {key: email, label: Email, type: email, required: true}
requests:
  - {method: GET, path: /members, query: {email: "${input.email}"}}
"""


def write_club(
    folder: Path,
    *,
    api: str = API,
    token_url: str = TOKEN_URL,
    authorize_url: str = "https://id.club.example.com/authorize",
    scopes: str = "openid",
    more: str = "client_auth: body",
) -> Path:
    """`folder`: where connectors are looked for."""
    target = folder / "club"
    (target / "actions").mkdir(parents=True, exist_ok=True)
    text = _CONNECTOR.format(
        api=api, token_url=token_url, authorize_url=authorize_url, scopes=scopes, more=more
    )
    (target / "connector.yaml").write_text(text)
    (target / "actions" / "add_member.yaml").write_text(_ACTION)
    (target / "actions" / "find_member.yaml").write_text(_LIST)
    return folder


def step(connection_id: str, step_id: str = "s1", action: str = "add_member") -> dict[str, Any]:
    mapping = "{{trigger:$.email}}"
    return {
        "kind": "action",
        "id": step_id,
        "connector": "club",
        "action": action,
        "connection_id": connection_id,
        "input": {"email": mapping},
    }


def register(database: Database, vault: Vault, now: datetime, *, token_url: str = TOKEN_URL) -> None:
    secret = vault.seal(CLIENT_SECRET.encode(), sign_ins.place_of("club", "oauth"))
    app = sign_ins.AppRow("club", "oauth", "plumbline-app", secret, token_url, now)
    database.write(lambda db: sign_ins.put_app(db, app))


def connect(
    database: Database,
    vault: Vault,
    now: datetime,
    *,
    auth: str = "oauth",
    secrets: dict[str, str] | None = None,
    expires_in: float | None = -1,
    access: str = OLD,
    refresh: str = FIRST_REFRESH,
    scopes: tuple[str, ...] = ("openid", "members.write"),
    name: str = "Our club",
) -> str:
    """Signed in an hour before its token runs out; `expires_in` seconds from now, None = unknown."""
    connection_id = new_id("con")
    public = {"client_id": "robot"} if auth == "robot" else {}
    kept = {k: v for k, v in (("access_token", access), ("refresh_token", refresh)) if v}
    expires_at = None if expires_in is None else now + timedelta(seconds=expires_in)
    begun = now - timedelta(seconds=60) if expires_at is None else expires_at - timedelta(hours=1)
    new = grants.NewGrant(seal_tokens(vault, connection_id, kept), scopes, begun, expires_at)

    def work(db: Any) -> None:
        connections.create_connection(
            db,
            connection_id=connection_id,
            connector="club",
            name=name,
            auth=auth,
            public=public,
            sealed=seal_secrets(vault, connection_id, secrets) if secrets else None,
            owner_id=None,
            now=now,
        )
        if auth == "oauth":
            grants.put_grant(db, connection_id, new)

    database.write(work)
    return connection_id
