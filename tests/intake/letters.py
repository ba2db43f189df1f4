"""“Letters”, a made-up service that is told where to send: its connector, and how it behaves."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Any

from tests.fakes.service import FakeService, Received, Reply

CONNECTOR = """
key: letters
name: Letters
category: email
description: Newsletters of a made-up service.
owner: tests
docs: https://letters.example/docs
api: {base_url: "https://api.letters.example/v1", checked: 2026-11-21}
auth:
  - key: token
    type: bearer
    label: Token
    fields:
      - {key: token, label: Token, secret: true}
      - {key: signing_key, label: Signing key, secret: true, required: false}
errors:
  - {status: [403], kind: permission_missing, message: "Letters: ${response.error}"}
  - {status: [422], kind: invalid_payload, message: "Letters: ${response.error}"}
"""
TRIGGER = """
key: KEY
label: New reader
description: Starts the flow as soon as somebody subscribes.
docs: https://letters.example/docs#hooks
kind: webhook
input:
  - {key: list_id, label: List, required: true}
subscribe:
SUBSCRIBE
verify: {scheme: hmac_sha256, secret: signing_key, header: X-Letters-Signature}
dedupe: $.id
output:
  fields: [{path: $.email, label: Email, sample: ana@example.com}]
"""
LOOK = """
  look:
    request: {method: GET, path: /hooks, query: {list: "${input.list_id}", after: "${page}"}}
    paginate: {type: cursor, next: $.next}
    items: $.hooks[*]
    address: $.url
    id: $.id
    where: {$.active: "true"}"""
MADE = """
  directions: In Letters, open the list, Hooks, and add the address below.
  create:
    method: POST
    path: /lists/${input.list_id | path}/hooks
    body: {url: "${subscription.address}", key: "${subscription.secret}", name: "${subscription.tag}"}
  secret: given
  id: $.id
  expires: $.expires_at
  remove: {method: DELETE, path: "/hooks/${subscription.id | path}"}"""
RENEW = """
  renew: {method: POST, path: "/hooks/${subscription.id | path}/renew"}"""
ANSWERED = MADE.replace(', key: "${subscription.secret}"', "").replace("secret: given", "secret: $.secret")
THEN = """  then: {method: GET, path: "/hooks/${subscription.id | path}/key"}"""
TRIGGERS = {
    "new_reader": MADE + LOOK + RENEW,
    "blind": MADE,  # nobody can ask what there is
    "asked_for": ANSWERED.replace("secret: $.secret", "secret: $.key\n" + THEN) + LOOK,
    "same_twice": MADE + "\n  same_twice: true",
    "answered": ANSWERED + LOOK,  # the service makes up the secret
    "lone": MADE + LOOK + "\n  only_one: true",
}


def install(folder: Path) -> None:
    home = folder / "letters"
    (home / "triggers").mkdir(parents=True)
    (home / "connector.yaml").write_text(CONNECTOR)
    for key, subscribe in TRIGGERS.items():
        text = TRIGGER.replace("KEY", key, 1).replace("SUBSCRIBE", subscribe.strip("\n"), 1)
        (home / "triggers" / f"{key}.yaml").write_text(text)


class Letters:
    """What the service has, by its own ids; `page_size` hooks are listed at once."""

    def __init__(self, service: FakeService) -> None:
        self.service = service
        self.hooks: dict[str, dict[str, Any]] = {}
        self.expires_at = ""
        self.page_size = 2
        self.made = 0
        service.answers("POST", "*", self._post).answers("GET", "/v1/hooks", self._list)
        service.answers("GET", "/v1/hooks/h1/key", {"key": "told-when-asked-0123456789"})
        service.answers("DELETE", "*", self._delete)

    def add(self, **more: Any) -> str:
        self.made += 1
        hook_id = f"h{self.made}"
        self.hooks[hook_id] = {"id": hook_id, "active": True, **more}
        return hook_id

    def made_calls(self) -> list[Received]:
        return [
            one for one in self.service.requests if one.method == "POST" and one.path.startswith("/v1/lists")
        ]

    def signed(self, body: bytes, secret: str) -> dict[str, str]:
        return {"X-Letters-Signature": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}

    def _post(self, received: Received) -> Reply:
        if received.path.endswith("/renew"):
            hook = self.hooks.get(received.path.split("/")[3])
            return (
                (404, {"error": "no such hook"}) if hook is None else {**hook, "expires_at": self.expires_at}
            )
        hook_id = self.add(**received.json, secret="made-by-letters-0123456789")
        return {**self.hooks[hook_id], "expires_at": self.expires_at}

    def _list(self, received: Received) -> Reply:
        all_hooks = list(self.hooks.values())
        start = int(received.query.get("after") or 0)
        end = start + self.page_size
        shown = [{name: value for name, value in hook.items() if name != "secret"} for hook in all_hooks]
        return {"hooks": shown[start:end], "next": str(end) if end < len(all_hooks) else None}

    def _delete(self, received: Received) -> Reply:
        gone = self.hooks.pop(received.path.rpartition("/")[2], None)
        return 204 if gone else (404, {"error": "no such hook"})
