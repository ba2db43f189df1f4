"""Nodes that send data different ways: IF, Switch, Filter; and where the ways meet again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from app.flows.model import Condition, Conditions, Mapping
from app.imports.flows.document import Document
from app.imports.flows.n8n.conditions import combined, old_rule, read_conditions
from app.imports.flows.values import Ref
from app.imports.flows.work import Work

NO_TEST = Conditions(groups=[[Condition(left=Mapping(), operator="equals")]])


@dataclass(frozen=True)
class Way:
    """One output; None = everyone else."""

    name: str
    conditions: Conditions | None


@dataclass
class Branch:
    ways: list[Way]
    take: Literal["first", "all"] = "first"
    is_filter: bool = False


def branches_of(work: Work) -> Branch | None:
    """None: the node has one way out."""
    kind = work.node.kind
    if kind == "if":
        return Branch([Way("Yes", _tested(work)), Way("No", None)])
    if kind == "filter":
        return Branch([Way("Those that pass", _tested(work))], is_filter=True)
    if kind == "switch":
        settings = work.settings
        if settings.text("mode", "rules") == "expression":
            settings.mapping("output")
            settings.ignore("numberOutputs", "rules")
            settings.leave_out(
                "the choice of a way", "A calculation chooses it; say for each path when to take it."
            )
            return Branch([Way(f"Path {number}", NO_TEST) for number in range(1, 5)])
        ways = _newer(work) if isinstance(settings.peek_raw("rules.values"), list) else _older(work)
        take: Literal["first", "all"] = "all" if settings.flag("options.allMatchingOutputs") else "first"
        settings.ignore("options", "rules", "dataType", "fallbackOutput", "looseTypeValidation", "value1")
        if not ways:
            settings.leave_out("the conditions", "There are none in the export; say what to check.")
            ways = [Way("Path 1", NO_TEST)]
        return Branch(ways, take)
    return None


def on_failure(step_id: str) -> Branch:
    failed = Condition(left=Mapping(value=Ref(step_id, ("failed",)).template), operator="is_true")
    return Branch([Way("It failed", Conditions(groups=[[failed]])), Way("It worked", None)])


def _tested(work: Work) -> Conditions:
    found = read_conditions(work.settings)
    work.settings.ignore("options")
    if found is None:
        work.settings.leave_out("the conditions", "There are none in the export; say what to check.")
    return found or NO_TEST


# ------------------------------------------------------------------------------------- switch


def _newer(work: Work) -> list[Way]:
    settings = work.settings
    ways = []
    for index, row in enumerate(settings.rows("rules.values")):
        at = f"rules.values[{index}]"
        conditions = read_conditions(settings, f"{at}.conditions")
        if conditions is None:
            settings.leave_out(f"the conditions of way {index + 1}", "There are none; say what to check.")
        ways.append(Way(_name(row, index), conditions or NO_TEST))
    fallback = settings.peek("options.fallbackOutput", "none")
    if fallback == "extra":
        ways.append(Way(str(settings.peek("options.renameFallbackOutput") or "Everyone else"), None))
    elif isinstance(fallback, int) and 0 <= fallback < len(ways):
        settings.leave_out(f"everyone else goes way {fallback + 1}", "Add a path for everyone else.")
    return ways


def _name(row: dict[str, Any], index: int) -> str:
    name = row.get("outputKey") if row.get("renameOutput", True) else ""
    return (name if isinstance(name, str) else "")[:100] or f"Path {index + 1}"


def _older(work: Work) -> list[Way]:
    """`value1` compared with each rule's `value2`; the rule says which output."""
    settings = work.settings
    kind = settings.text("dataType", "number")
    groups: dict[int, list[list[Condition]]] = {}
    names: dict[int, str] = {}
    for index, row in enumerate(settings.rows("rules.rules")):
        output = row.get("output", index)
        output = output if isinstance(output, int) and 0 <= output < 20 else index
        found = old_rule(settings, f"rules.rules[{index}]", kind, row)
        groups[output] = combined([groups.get(output, []), found], any_of=True, settings=settings)
        names[output] = str(row.get("outputKey") or "")[:100]
    fallback = settings.peek("fallbackOutput", -1)
    ways = []
    for output in range(max([*groups, -1]) + 1):
        conditions = Conditions(groups=groups[output]) if groups.get(output) else None
        ways.append(Way(names.get(output, "") or f"Path {output + 1}", conditions))
    if isinstance(fallback, int) and fallback == len(ways):
        ways.append(Way("Everyone else", None))
    return ways


# ------------------------------------------------------------------------------------ meeting


def join_of(
    document: Document, outputs: list[list[str]], blocked: frozenset[str], *, only_merges: bool = False
) -> str | None:
    """The first node that several of these ways come to; never beyond what is blocked."""
    reached = [document.reach_from(targets, blocked) for targets in outputs if targets]
    counts: dict[str, int] = {}
    for names in reached:
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    found = [
        name
        for name, count in counts.items()
        if count > 1 and name not in blocked and (not only_merges or document.nodes[name].kind == "merge")
    ]
    if not found:
        return None
    among = set(found)
    return max(sorted(found), key=lambda name: len(document.reach_from([name], blocked) & among))
