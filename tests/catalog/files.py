"""A small connector on disk, to be spoilt in one place."""

from __future__ import annotations

from pathlib import Path

CONNECTOR = """\
key: shop
name: Shop
category: commerce
description: A shop.
owner: me
docs: https://example.com/docs
api:
  base_url: https://${connection.store}.example.com/api
  version: v7
  checked: 2026-11-21
connection_fields:
  - {key: store, label: Store, pattern: "[a-z]+"}
auth:
  - key: token
    type: bearer
    label: Token
    fields:
      - {key: token, label: Token, secret: true}
      - {key: signing, label: Signing secret, secret: true, required: false}
headers: {X-Version: "${api.version}"}
limits:
  - {key: calls, requests: 10, per: 1s, default: true}
  - {key: slow, requests: 1, per: 1m}
errors:
  - {status: [429], kind: rate_limited, wait: "header:Retry-After"}
"""
ACTION = """\
key: add
label: Add customer
description: Adds a customer.
docs: https://example.com/docs
idempotent: true
identity: [email]
input:
  - {key: email, label: Email, type: email, required: true}
  - {key: name, label: Name}
  - {key: group, label: Group, lookup: groups, apart: true}
  - {key: more, label: More, type: fields, lookup: own_fields}
requests:
  - method: POST
    path: /customers/${input.group | path}
    body: {customer: "${fields}", key: "${connection.token}"}
"""
POLL = """\
key: new_customer
label: New customer
description: Finds customers.
docs: https://example.com/docs
kind: poll
every: 5m
request: {method: GET, path: /customers, query: {since: "${cursor | epoch_s}", page: "${page}"}}
paginate: {type: page, size: 50}
items: $.customers[*]
cursor: {path: $.at}
dedupe: $.id
"""
WEBHOOK = """\
key: paid
label: Paid
description: Hears of payments.
docs: https://example.com/docs
kind: webhook
subscribe: {directions: Enter the address.}
verify: {scheme: hmac_sha256, secret: signing, header: X-Signature}
dedupe: $.id
"""
GROUPS = """\
key: groups
label: Groups
request: {method: GET, path: /groups}
items: $[*]
options: {value: $.id, label: $.name}
"""
OWN_FIELDS = """\
key: own_fields
label: Own fields
request: {method: GET, path: /fields}
items: $[*]
where: {$.read_only: false}
fields:
  key: $.key
  label: $.label
  type: {path: $.kind, map: {int: integer, enum: choice}}
  choices: {items: "$.values[*]", value: $.v, label: $.l}
"""
FILES = {
    "connector.yaml": CONNECTOR,
    "actions/add.yaml": ACTION,
    "triggers/new_customer.yaml": POLL,
    "triggers/paid.yaml": WEBHOOK,
    "lookups/groups.yaml": GROUPS,
    "lookups/own_fields.yaml": OWN_FIELDS,
}


def write_shop(folder: Path, *, key: str = "shop", **changed: str) -> Path:
    """`changed`: other contents, by file name with `__` for `/` and without `.yaml`."""
    target = folder / key
    files = {**FILES, **{f"{name.replace('__', '/')}.yaml": text for name, text in changed.items()}}
    for name, text in files.items():
        file = target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("key: shop\n", f"key: {key}\n"), "utf-8")
    return target
