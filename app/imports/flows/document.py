"""An export of n8n as it was read: its parts and how they are connected; wrong types never go further."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from app.errors import FlowInvalid
from app.imports.flows.report import Report

MOST_NODES = 2_000
MOST_EDGES = 20_000
MOST_EFFORT = 3_000_000
_BASE = "n8n-nodes-base."


@dataclass(frozen=True)
class Node:
    """`kind`: the type without the name of its package; `foreign`: the full type of other packages."""

    name: str
    kind: str
    foreign: str
    version: float
    parameters: dict[str, Any]
    facts: dict[str, Any] = field(repr=False)
    position: tuple[float, float] = (0, 0)

    @property
    def is_off(self) -> bool:
        return self.facts.get("disabled") is True

    @property
    def note(self) -> str:
        return text_of(self.facts.get("notes"))

    @property
    def credentials(self) -> list[tuple[str, str]]:
        """(kind, name): never more, whatever else stands there."""
        found = self.facts.get("credentials")
        rows = found.items() if isinstance(found, dict) else ()
        return [
            (str(kind)[:80], text_of(facts.get("name") if isinstance(facts, dict) else facts)[:200])
            for kind, facts in list(rows)[:10]
        ]

    @property
    def error_output(self) -> bool:
        return self.facts.get("onError") == "continueErrorOutput"

    @property
    def goes_on(self) -> bool:
        return (
            self.facts.get("onError") == "continueRegularOutput" or self.facts.get("continueOnFail") is True
        )


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def number_of(value: Any, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e12 < value < 1e12:
        return default
    return float(value)


@dataclass
class Document:
    """`edges`: name -> outputs -> names, in the order they are done."""

    name: str
    nodes: dict[str, Node]
    edges: dict[str, list[list[str]]]
    helpers: set[str]  # parts that only serve another one: models, memories, tools of agents
    settings: dict[str, Any]
    pinned: dict[str, list[Any]]
    effort: int = 0
    _reach: dict[tuple[frozenset[str], frozenset[str]], frozenset[str]] = field(default_factory=dict)

    def outputs(self, name: str) -> list[list[str]]:
        return self.edges.get(name, [])

    def followers(self, name: str) -> Iterator[str]:
        for targets in self.outputs(name):
            yield from targets

    @cached_property
    def has_input(self) -> set[str]:
        return {target for name in self.edges for target in self.followers(name)}

    def reach_from(self, names: Iterable[str], blocked: frozenset[str] = frozenset()) -> frozenset[str]:
        """These and all that can come after them; what is blocked is seen, but not passed."""
        key = (frozenset(names), blocked)
        if key not in self._reach:
            seen, waiting = set(key[0]), deque(key[0] - blocked)
            while waiting:
                for target in self.followers(waiting.popleft()):
                    self.effort += 1
                    if target not in seen:
                        seen.add(target)
                        if target not in blocked:
                            waiting.append(target)
            if self.effort > MOST_EFFORT:
                raise FlowInvalid("the nodes are connected in too tangled a way.", where="connections")
            if len(self._reach) > 500:
                self._reach.clear()
            self._reach[key] = frozenset(seen)
        return self._reach[key]


def read_document(data: dict[str, Any], report: Report, where: str, name: str) -> Document:
    """Raises FlowInvalid where there is nothing to go on with."""
    raw = data.get("nodes")
    if not isinstance(raw, list):
        raise FlowInvalid("this is not an export of n8n: it has no list of nodes.", where=where)
    if not raw:
        raise FlowInvalid("the export holds no nodes.", where=where)
    if len(raw) > MOST_NODES:
        raise FlowInvalid(
            f"the export has {len(raw):,} nodes; at most {MOST_NODES:,} are read.",
            where=where,
            remedy="Split it there first; a flow here has at most 200 steps.",
        )
    nodes: dict[str, Node] = {}
    for index, facts in enumerate(raw):
        node = _node(facts, index, report, nodes)
        if node is not None:
            nodes[node.name] = node
    if not nodes:
        raise FlowInvalid("none of its nodes can be read: each needs a name and a type.", where=where)
    edges, helpers = _edges(data.get("connections"), nodes, report)
    return Document(
        " ".join(text_of(data.get("name")).split())[:200] or name or "Brought from n8n",
        nodes,
        edges,
        helpers,
        _table(data.get("settings")),
        _pinned(data.get("pinData"), nodes),
    )


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _node(facts: Any, index: int, report: Report, known: dict[str, Node]) -> Node | None:
    where = f"nodes[{index}]"
    if not isinstance(facts, dict) or not text_of(facts.get("type")):
        report.part(where)
        report.leave_out("a node", where, "It is not a node: it has no type.")
        return None
    full = text_of(facts["type"])[:200]
    name = text_of(facts.get("name")).strip()[:200] or f"{full} {index + 1}"
    if name in known:
        report.part(f"{name} ({where})")
        report.leave_out(name, where, "Two nodes have this name; the first one was taken.")
        return None
    parameters = facts.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        report.leave_out("parameters", where, "They are not a table of names and values.")
    kind = full.removeprefix(_BASE)
    return Node(
        name,
        kind.rpartition(".")[2] if kind == full else kind,
        "" if full.startswith(_BASE) else full,
        number_of(facts.get("typeVersion"), 1),
        _table(parameters),
        facts,
        _position(facts.get("position")),
    )


def _position(value: Any) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:
        return number_of(value[0], 0), number_of(value[1], 0)
    return 0, 0


def _pinned(value: Any, nodes: dict[str, Node]) -> dict[str, list[Any]]:
    return {
        name: [_item(item) for item in items[:20]]
        for name, items in _table(value).items()
        if name in nodes and isinstance(items, list) and items
    }


def _item(item: Any) -> Any:
    return item["json"] if isinstance(item, dict) and isinstance(item.get("json"), dict) else item


# ------------------------------------------------------------------------------- connections


def _edges(data: Any, nodes: dict[str, Node], report: Report) -> tuple[dict[str, list[list[str]]], set[str]]:
    edges: dict[str, list[list[str]]] = {}
    helpers: set[str] = set()
    count = 0
    if data is not None and not isinstance(data, dict):
        report.leave_out("connections", "the file", "They are not a table of names and outputs.")
    for source, kinds in _table(data).items():
        if source not in nodes or not isinstance(kinds, dict):
            report.leave_out(f"the connection from {str(source)[:80]}", "connections", _NO_SUCH)
            continue
        for kind, outputs in kinds.items():
            if kind != "main":
                helpers.add(source)
                continue
            found = [_targets(one, nodes, report, source) for one in _rows(outputs)]
            count += sum(map(len, found))
            if count > MOST_EDGES:
                raise FlowInvalid(
                    f"the export has more than {MOST_EDGES:,} connections.", where="connections"
                )
            edges[source] = [sorted(set(one), key=lambda to: nodes[to].position[1]) for one in found]
    return edges, helpers


_NO_SUCH = "It begins or ends at a node that is not in the file."


def _rows(outputs: Any) -> list[Any]:
    return outputs[:100] if isinstance(outputs, list) else []


def _targets(output: Any, nodes: dict[str, Node], report: Report, source: str) -> list[str]:
    """An old export has a single target where newer ones have a list."""
    found = []
    for one in output if isinstance(output, list) else [output] if isinstance(output, dict) else []:
        target = one.get("node") if isinstance(one, dict) else None
        if isinstance(target, str) and target in nodes:
            found.append(target)
        else:
            report.leave_out(f"a connection of {source}", "connections", _NO_SUCH)
    return found
