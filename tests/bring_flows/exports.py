"""Small exports of n8n, written for these tests."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import orjson

from app.catalog.registry import Registry
from app.flows.model import FlowDefinition, Step, walk
from app.flows.portable.files import dump, load
from app.imports.flows.reading import Brought, bring_flows

REGISTRY = Registry([("plumbline", Path(__file__).parents[2] / "connectors")])


def node(name: str, kind: str, version: float = 1, **facts: Any) -> dict[str, Any]:
    """`parameters` and what else stands in a node; a kind with a dot names its package too."""
    full = kind if "." in kind else f"n8n-nodes-base.{kind}"
    return {"name": name, "type": full, "typeVersion": version, "parameters": {}, "position": [0, 0], **facts}


def export(
    *nodes: dict[str, Any], links: dict[str, list[list[str]]] | None = None, **facts: Any
) -> dict[str, Any]:
    """Without `links` one node follows the other."""
    if links is None:
        names = [one["name"] for one in nodes]
        links = {name: [[after]] for name, after in itertools.pairwise(names)}
    connections = {
        name: {"main": [[{"node": to, "type": "main", "index": 0} for to in output] for output in outputs]}
        for name, outputs in links.items()
    }
    return {"name": "Leads", "nodes": list(nodes), "connections": connections, **facts}


def bring(data: Any, **facts: Any) -> Brought:
    return bring_flows(orjson.dumps(data).decode(), REGISTRY, file="leads.json", **facts)


def only(data: Any) -> FlowDefinition:
    """The one flow that comes out, which can be stored and read again."""
    (draft,) = bring(data).drafts
    definition = draft.file.definition
    assert load(dump(definition)) == definition
    return definition


def steps_of(data: Any) -> list[Step]:
    return list(walk(only(data).steps))


def lines(brought: Brought) -> list[tuple[str, str]]:
    return [(line.what, line.where) for line in brought.report.lines]
