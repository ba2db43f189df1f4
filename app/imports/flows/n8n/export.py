"""An export of n8n, as drafts and a report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from app.flows.mapping.functions.function import zone_named
from app.flows.model import FlowDefinition, Gap, ManualTrigger
from app.flows.portable.files import FlowFile
from app.imports.flows.document import Document, Node, number_of, read_document, text_of
from app.imports.flows.drafts import Draft, mark_the_rest
from app.imports.flows.n8n.build import Builder, Flowing
from app.imports.flows.n8n.services import service_trigger
from app.imports.flows.n8n.start import TRIGGERS, started_by_hand
from app.imports.flows.places import Nowhere, Place, Seen
from app.imports.flows.report import Report, shortened
from app.imports.flows.settings import Settings, note_expressions
from app.imports.flows.work import Connectors, Shared, Started, Work

MOST_TRIGGERS = 20


def is_n8n(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("nodes"), list) and "connections" in data


def bring_n8n(
    data: dict[str, Any], connectors: Connectors, report: Report, *, where: str, name: str, time_zone: str
) -> list[Draft]:
    """Raises FlowInvalid where the file cannot be read at all."""
    document = read_document(data, report, where, name)
    for node in document.nodes.values():
        report.part(node.name)
        note_expressions(report, node.name, node.parameters)
    notes, description = _sticky_notes(document, report)
    starts = _starts(document, report)
    drafts = [
        _draft(document, start, targets, _shared(document, connectors, report, notes), time_zone)
        for start, targets in starts
    ]
    for draft, (start, _) in zip(drafts, starts, strict=True):
        title = f"{document.name}: {start.name}" if start and len(drafts) > 1 else document.name
        draft.rename(title[:200], description)
    if loose := _loose(document, starts):
        shared = _shared(document, connectors, report, notes)
        drafts.append(_draft(document, None, loose, shared, time_zone, reason=_LOOSE))
        drafts[-1].rename(f"{document.name}: not connected"[:200], "")
    _name_the_rest(document, report)
    mark_the_rest(drafts, report)
    return drafts


_LOOSE = "Nothing leads to these steps in n8n. Choose what starts them, or delete this flow."


def _loose(document: Document, starts: list[tuple[Node | None, list[str]]]) -> list[str]:
    """Where chains begin that no trigger leads to."""
    reached = document.reach_from([name for _, targets in starts for name in targets])
    found = [name for name in _roots(document) if name not in reached and not _is_start(document.nodes[name])]
    return [name for name in found if not document.nodes[name].is_off]


def _shared(document: Document, connectors: Connectors, report: Report, notes: dict[str, str]) -> Shared:
    # Which fields of each node are read later on: by its name, or by the nodes right behind it.
    texts = {
        name: json.dumps(node.parameters, default=str)[:100_000] for name, node in document.nodes.items()
    }
    found: dict[str, list[str]] = {}
    behind = _before(document)
    for name, text in texts.items():
        for node, word, key in _NAMED.findall(text):
            found.setdefault(node, []).append(word or key)
        read = [word or key for word, key in _CURRENT.findall(text)]
        for before in behind.get(name, ()) if read else ():
            found.setdefault(before, []).extend(read)
    wanted = {name: list(dict.fromkeys(keys)) for name, keys in found.items()}
    return Shared(report, connectors, notes=notes, wanted=wanted, pinned=document.pinned)


# ------------------------------------------------------------------------------------- starting


def _is_start(node: Node) -> bool:
    return node.kind in TRIGGERS or node.kind.lower().endswith("trigger") or node.kind == "emailReadImap"


def _starts(document: Document, report: Report) -> list[tuple[Node | None, list[str]]]:
    """Each trigger with what it leads to.  A button beside another trigger of the same steps is left
    away: every flow can be started by hand."""
    found = [
        (node, list(document.followers(node.name)))
        for node in document.nodes.values()
        if _is_start(node) and not node.is_off and node.name not in document.helpers
    ]
    found.sort(key=lambda one: (one[0].kind in ("manualTrigger", "start"), one[0].position[1]))
    kept: list[tuple[Node | None, list[str]]] = []
    for node, targets in found:
        by_hand = node.kind in ("manualTrigger", "start")
        if by_hand and any(set(targets) <= document.reach_from(others) for _, others in kept if others):
            report.carried(node.name)
        elif len(kept) >= MOST_TRIGGERS:
            report.leave_out(
                node.name, node.name, f"Only the first {MOST_TRIGGERS} triggers are brought along."
            )
        else:
            kept.append((node, targets))
    return kept or [(None, _roots(document))]


def _roots(document: Document) -> list[str]:
    """Where there is no trigger: what nothing leads to."""
    return [
        node.name
        for node in document.nodes.values()
        if node.name not in document.has_input | document.helpers and node.kind != "stickyNote"
    ]


def _draft(
    document: Document,
    start: Node | None,
    targets: list[str],
    shared: Shared,
    time_zone: str,
    reason: str = "The export has none. Choose what starts this flow.",
) -> Draft:
    builder = Builder(document, shared)
    started = _started(start, shared, reason)
    named: dict[str, Place] = {start.name: started.place} if start else {}
    seen = Seen(started.place, named)
    way = frozenset([start.name]) if start else frozenset()
    chain = builder.all_of(targets, Flowing(seen, started.many, way), frozenset())
    zone = text_of(document.settings.get("timezone"))
    if text_of(document.settings.get("errorWorkflow")):
        shared.report.leave_out("the error flow", "settings", _ALERTS)
        shared.lost.append(Gap(what="the error flow", reason=_ALERTS))
    trigger = started.trigger.model_copy(update={"gaps": [*started.trigger.gaps, *shared.lost]})
    definition = FlowDefinition(
        name=document.name,
        time_zone=zone if zone and zone_named(zone) else time_zone,
        trigger=trigger,
        steps=chain.steps,
    )
    samples = shared.samples if started.sample is None else {**shared.samples, "trigger": started.sample}
    return Draft(FlowFile(definition, shared.connections), samples)


_ALERTS = "Plumbline tells you by itself when a flow fails; see Settings."


def _started(node: Node | None, shared: Shared, reason: str) -> Started:
    if node is None:
        gap = Gap(what="a trigger", reason=reason)
        shared.report.leave_out("a trigger", "the file", gap.reason)
        work = Work(Node("", "start", "", 1, {}, {}), Settings("", {}, _BLANK, shared.report), _BLANK, shared)
        found = started_by_hand(work)
        return replace(found, trigger=ManualTrigger(gaps=[gap]))
    work = Work(node, Settings(node.name, node.parameters, _BLANK, shared.report), _BLANK, shared)
    known = service_trigger(work)
    started = known or TRIGGERS.get(node.kind, _unknown)(work)
    if known is not None or node.kind in TRIGGERS:
        shared.report.carried(node.name)
    work.settings.name_the_rest()
    gaps = [*started.trigger.gaps, *work.settings.gaps]
    return replace(started, trigger=started.trigger.model_copy(update={"gaps": gaps}))


def _unknown(work: Work) -> Started:
    reason = (
        _ALERTS if work.node.kind == "errorTrigger" else f"There is no connector for {work.node.kind} yet."
    )
    work.settings.ignore(*work.settings.data)
    work.settings.leave_out(f"the trigger {work.node.name} ({work.node.foreign or work.node.kind})", reason)
    return started_by_hand(work)


_BLANK = Seen(Nowhere("A trigger has no data before it."))


# ----------------------------------------------------------------------------------- the rest


def _name_the_rest(document: Document, report: Report) -> None:
    for node in document.nodes.values():
        if report.parts.get(node.name) or any(
            line.where == shortened(node.name, 200) for line in report.left_out
        ):
            continue
        if node.name in document.helpers:
            reason = "It serves an AI step; those have no counterpart here."
        elif node.is_off:
            reason = "It is switched off in n8n."
        else:
            reason = "Nothing leads to it."
        report.leave_out(f"{node.name} ({node.foreign or node.kind})", node.name, reason)


def _sticky_notes(document: Document, report: Report) -> tuple[dict[str, str], str]:
    """A note that lies behind nodes goes to the first of them, others into the description."""
    notes: dict[str, list[str]] = {}
    loose = []
    for node in document.nodes.values():
        if node.kind != "stickyNote":
            continue
        report.carried(node.name)
        text = text_of(node.parameters.get("content")).strip()[:3_000]
        covered = next((one.name for one in _covered(document, node)), "")
        if text:
            notes.setdefault(covered, []).append(text) if covered else loose.append(text)
    return {name: "\n\n".join(found)[:4_000] for name, found in notes.items()}, "\n\n".join(loose)[:10_000]


def _covered(document: Document, note: Node) -> list[Node]:
    left, top = note.position
    right = left + number_of(note.parameters.get("width"), 240)
    bottom = top + number_of(note.parameters.get("height"), 160)
    inside = [
        node
        for node in document.nodes.values()
        if node.kind != "stickyNote"
        and left <= node.position[0] <= right
        and top <= node.position[1] <= bottom
    ]
    return sorted(inside, key=lambda node: node.position)


_READ = r"(?:\?\.|\.)?(?:(?<=\.)([A-Za-z_]\w{0,60})|\[\\?[\"']([^\"'\\\]]{1,60}))"
_CURRENT = re.compile(r"\$json" + _READ)


_NAMED = re.compile(
    r"\$(?:node\[|\()\\?[\"']([^\"'\\]{1,200})\\?[\"'](?:\]|\))(?:\.item|\.first\(\)|\.last\(\))?\.json"
    + _READ
)


def _before(document: Document) -> dict[str, list[str]]:
    """name -> the nodes whose data come in there, passing over those that only pass data on."""
    found: dict[str, list[str]] = {}
    for name in document.nodes:
        waiting, seen = list(document.followers(name)), {name}
        while waiting and len(seen) < 50:
            target = waiting.pop()
            if target in seen:
                continue
            seen.add(target)
            found.setdefault(target, []).append(name)
            if document.nodes[target].kind in (
                "if",
                "filter",
                "switch",
                "wait",
                "noOp",
                "splitInBatches",
                "merge",
            ):
                waiting += document.followers(target)
    return found
