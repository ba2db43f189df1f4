"""`connectors new`: the folder of a connector that loads, with one action and one poll to go on from."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template
from typing import Literal, get_args

from app.catalog.load import load_connector
from app.clock import SystemClock
from app.errors import ConnectorInvalid

AuthKind = Literal["bearer", "api_key", "basic", "none"]
AUTH_KINDS: tuple[AuthKind, ...] = get_args(AuthKind)

_KEY = re.compile(r"[a-z][a-z0-9_]{1,47}")
_URL = re.compile(r"https?://[a-zA-Z0-9.-]+(:\d{2,5})?(/[^\s\"'#{}$]*)?")
_NAME = re.compile(r"[^\r\n\"\\{}$]{1,80}")

_AUTH: dict[AuthKind, str] = {
    "bearer": """\
  - key: token
    type: bearer                  # sent as "Authorization: Bearer …"
    label: Access token
    fields:
      - {key: token, label: Token, secret: true}
""",
    "api_key": """\
  - key: api_key
    type: api_key
    label: API key
    location: header              # or query
    name: X-Api-Key
    value: $${connection.api_key}
    fields:
      - {key: api_key, label: API key, secret: true}
""",
    "basic": """\
  - key: password
    type: basic
    label: User name and password
    username: $${connection.username}
    password: $${connection.password}
    fields:
      - {key: username, label: User name}
      - {key: password, label: Password, secret: true}
""",
    "none": """\
  - {key: open, type: none, label: Nothing needed}
""",
}

_CONNECTOR = """\
key: $key
name: "$name"
category: other
description: "What marketers do with $name."
owner: you
docs: $base_url

api:
  base_url: $base_url
  checked: $today             # the day you last compared these files with the service's documentation

auth:
$auth
check:                            # "Test connection" sends this
  request: {method: GET, path: /me}

limits:
  - {key: calls, requests: 60, per: 1m, default: true}

errors:                           # first match wins; $${response.path} is what the service answered
  - {status: [400, 422], kind: invalid_payload, message: "$${response.message}"}
"""

_ACTION = """\
key: create_contact
label: Create contact
description: Creates a contact. Twice creates two.
docs: $base_url
idempotent: false                 # true where doing it twice leaves the same as doing it once

input:
  - {key: email, label: Email, type: email, required: true}
  - {key: first_name, label: First name}

requests:
  - method: POST
    path: /contacts
    body: $${fields}                # all mapped inputs; what is not mapped is left out

output:
  fields:
    - {path: $$.id, label: Contact ID, sample: "1"}
"""

_TRIGGER = """\
key: new_contact
label: New contact
description: Starts the flow once for every new contact.
docs: $base_url
kind: poll
every: 5m

request:
  method: GET
  path: /contacts
  query: {created_after: "$${cursor | iso8601}"}

items: $$[*]                       # where the records are in the answer
cursor: {path: $$.created_at, type: datetime, start: now, overlap: 5m}
dedupe: $$.id                      # what makes a record the same one

output:
  fields:
    - {path: $$.id, label: Contact ID, sample: "1"}
    - {path: $$.email, label: Email, sample: ana@example.com}
"""

_README = """\
# $name

How to connect: say where one gets the credentials and which rights they need.
"""

_ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24">
<rect width="24" height="24" rx="5" fill="#5b6470"/><circle cx="12" cy="12" r="4" fill="#fff"/></svg>
"""


def new_connector(
    folder: Path,
    key: str,
    *,
    base_url: str = "https://api.example.com",
    name: str = "",
    auth: AuthKind = "bearer",
) -> Path:
    """Makes `folder/key`, which `connectors check` finds in order.  Raises ConnectorInvalid when it is
    there already or a value cannot be used; nothing is written then."""
    shown = name or key.replace("_", " ").capitalize()
    _refuse(folder, key, base_url, shown, auth)
    words = {
        "key": key,
        "name": shown,
        "base_url": base_url.rstrip("/"),
        "today": SystemClock().now().date().isoformat(),
        "auth": Template(_AUTH[auth]).substitute(),
    }
    target = folder / key
    files = {
        "connector.yaml": _CONNECTOR,
        "actions/create_contact.yaml": _ACTION,
        "triggers/new_contact.yaml": _TRIGGER,
        "README.md": _README,
        "icon.svg": _ICON,
    }
    for path, text in files.items():
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(Template(text).substitute(words), "utf-8")
    (target / "cassettes").mkdir()
    load_connector(target)
    return target


def _refuse(folder: Path, key: str, base_url: str, name: str, auth: str) -> None:
    if not _KEY.fullmatch(key):
        raise ConnectorInvalid("a key has small letters, digits and _ only, such as my_shop.", file=key[:60])
    if not _URL.fullmatch(base_url):
        raise ConnectorInvalid(
            f"'{base_url[:60]}' is not an address such as https://api.example.com.",
            file=key,
            field="base_url",
        )
    if not _NAME.fullmatch(name):
        raise ConnectorInvalid(
            "the name cannot hold quotes, brackets or line breaks.", file=key, field="name"
        )
    if auth not in AUTH_KINDS:
        raise ConnectorInvalid(f"'{auth}' is none of {', '.join(AUTH_KINDS)}.", file=key, field="auth")
    if (folder / key).exists():
        raise ConnectorInvalid("there is a folder of that name already.", file=str(folder / key))
