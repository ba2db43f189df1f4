"""A connector of one's own on disk, for actions that need one."""

from __future__ import annotations

from pathlib import Path

from tests.engine.world import World

CONNECTOR = """\
key: press
name: Press
category: content
description: Prints things.
owner: me
docs: https://example.com/docs
api: {base_url: "https://api.example.com", checked: 2026-11-21}
auth:
  - key: token
    type: bearer
    label: Token
    fields: [{key: token, label: Token, secret: true}]
limits: [{key: calls, requests: 1000, per: 1s, default: true}]
"""
HEAD = """\
key: {key}
label: Print
description: Prints.
docs: https://example.com/docs
idempotent: {idempotent}
input:
  - {{key: email, label: Email, type: email, required: true}}
  - {{key: name, label: Name}}
"""


def install(world: World, key: str, rest: str, *, idempotent: bool = True) -> dict[str, object]:
    """An action of the connector `press`; the step that performs it."""
    folder: Path = world.parts.settings.connectors_folder / "press"
    (folder / "actions").mkdir(parents=True, exist_ok=True)
    (folder / "connector.yaml").write_text(CONNECTOR)
    head = HEAD.format(key=key, idempotent="true" if idempotent else "false")
    (folder / "actions" / f"{key}.yaml").write_text(head + rest)
    world.parts.registry.reload()
    found = world.parts.registry.find_action("press", key)
    assert found is not None, world.parts.registry.broken()
    return {
        "kind": "action",
        "id": "s1",
        "connector": "press",
        "action": key,
        "input": {"email": "{{trigger:$.email}}", "name": "{{trigger:$.name}}"},
    }
