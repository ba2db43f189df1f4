"""From the nodes of n8n and their connections to the steps of a flow: lists in order, paths, loops."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from typing import Any

from app.flows.edit import LIMIT_NESTING, LIMIT_STEPS
from app.flows.model import FilterStep, ForEachStep, Gap, Mapping, Path, PathsStep, SetStep, Step
from app.imports.flows.document import Document, Node
from app.imports.flows.n8n.branches import NO_TEST, Branch, Way, branches_of, join_of, on_failure
from app.imports.flows.n8n.data import in_loop
from app.imports.flows.n8n.nodes import TAKES_ALL, WHOLE_LISTS, convert, convert_list
from app.imports.flows.places import Either, Nowhere, Place, Plain, Seen
from app.imports.flows.report import NotCarried
from app.imports.flows.settings import Settings
from app.imports.flows.values import Ref
from app.imports.flows.work import Done, Shared, Work

MOST_VISITS = 1_500


@dataclass(frozen=True)
class Flowing:
    """What stands between two nodes: the data, and whether a list is waiting to be gone through.
    `goes_on`: something follows that a filter here must not keep from being done."""

    seen: Seen
    many: Ref | None = None
    way: frozenset[str] = frozenset()  # nodes passed on the way here
    depth: int = 0
    goes_on: bool = False


@dataclass
class Chain:
    """`arrived`: the nodes at which it had to stop, with what came along."""

    steps: list[Step] = field(default_factory=list)
    arrived: dict[str, list[Flowing]] = field(default_factory=dict)

    def take(self, other: Chain) -> None:
        self.steps += other.steps
        for name, flowing in other.arrived.items():
            self.arrived.setdefault(name, []).extend(flowing)


class Builder:
    def __init__(self, document: Document, shared: Shared) -> None:
        self.document = document
        self.shared = shared
        self.visits = 0
        self.settings_of = {name: node.parameters for name, node in document.nodes.items()}

    # -------------------------------------------------------------------------------- chains

    def all_of(self, names: list[str], flowing: Flowing, stop: frozenset[str]) -> Chain:
        """What several connections from one output do: one after the other."""
        merge = None
        if len(names) > 1:
            merge = join_of(self.document, [[name] for name in names], stop | flowing.way, only_merges=True)
        chain = Chain()
        inner = stop | {merge} if merge else stop
        for index, name in enumerate(names):
            last = index == len(names) - 1 and not merge
            chain.take(self.chain(name, replace(flowing, goes_on=flowing.goes_on or not last), inner))
        if merge:
            came = chain.arrived.pop(merge, [])
            chain.take(self.chain(merge, self.met(came, flowing), stop))
        return chain

    def met(self, came: list[Flowing], flowing: Flowing) -> Flowing:
        """Where branches come together again."""
        if not came:
            return flowing
        places = tuple(dict.fromkeys(one.seen.current for one in came if _hashable(one.seen.current)))
        current: Place = places[0] if len(places) == 1 else Either(tuple(one.seen.current for one in came))
        named = {name: place for one in came for name, place in one.seen.named.items()}
        many = came[0].many if all(one.many == came[0].many for one in came) else None
        way = frozenset().union(*(one.way for one in came))
        seen = replace(flowing.seen, current=current, named=named)
        return Flowing(seen, many, way, flowing.depth, flowing.goes_on)

    def chain(self, name: str, flowing: Flowing, stop: frozenset[str]) -> Chain:
        """A node and all that comes after it, up to the nodes in `stop`."""
        chain = Chain()
        while True:
            if name in stop:
                chain.arrived.setdefault(name, []).append(flowing)
                return chain
            refusal = self.refusal(name, flowing, chain)
            if refusal:
                self.leave(name, refusal, chain)
                return chain
            self.visits += 1
            node = self.document.nodes[name]
            flowing = replace(flowing, way=flowing.way | {name})
            if flowing.many is not None and not self.takes_lists(node):
                chain.take(self.loop(name, flowing, stop))
                return chain
            if node.kind == "splitInBatches" and not node.is_off:
                chain.take(self.batches(node, flowing, stop))
                return chain
            work = self.work(node, flowing)
            branch = None if node.is_off else branches_of(work)
            if branch is not None:
                chain.take(self.branched(work, branch, flowing, stop))
                return chain
            flowing = self.done(node, flowing, chain)
            if (
                node.error_output
                and not node.is_off
                and chain.steps
                and chain.steps[-1].on_error == "continue"
            ):
                chain.take(self.with_error_output(node, chain.steps[-1].id, flowing, stop))
                return chain
            following = [target for targets in self.document.outputs(name) for target in targets]
            if (node.kind == "stopAndError" and not node.is_off) or not following:
                return chain
            if len(following) > 1:
                chain.take(self.all_of(following, flowing, stop))
                return chain
            name = following[0]

    def refusal(self, name: str, flowing: Flowing, chain: Chain) -> str:
        if name in flowing.way:
            return "It goes back to an earlier step; a flow here does not go in circles."
        if self.visits >= MOST_VISITS or self.shared.last_id >= LIMIT_STEPS:
            return f"The flow would have more than {LIMIT_STEPS} steps. Split it into two flows."
        if flowing.depth > LIMIT_NESTING:
            return f"Paths and loops would lie more than {LIMIT_NESTING} deep in each other."
        return ""

    def leave(self, name: str, reason: str, chain: Chain) -> None:
        """Marked where it would have stood."""
        self.shared.report.leave_out(f"the way to {name}", name, reason)
        gap = Gap(what=f"the way to '{name}'", reason=reason)
        if self.shared.last_id >= LIMIT_STEPS:
            self.shared.lost.append(gap)
            return
        chain.steps.append(SetStep(id=self.shared.step_id(), name=f"Back to {name}"[:200], gaps=[gap]))

    def takes_lists(self, node: Node) -> bool:
        return not node.is_off and (node.kind in TAKES_ALL or node.facts.get("executeOnce") is True)

    # --------------------------------------------------------------------------------- nodes

    def work(self, node: Node, flowing: Flowing) -> Work:
        seen = replace(flowing.seen, settings=self.settings_of, list_of=flowing.many)
        return Work(node, Settings(node.name, node.parameters, seen, self.shared.report), seen, self.shared)

    def done(self, node: Node, flowing: Flowing, chain: Chain) -> Flowing:
        """The node's steps, with their gaps; what is seen after it."""
        if node.is_off:
            self.switched_off(node)
            return self.after(node, flowing, Done())
        work = self.work(node, flowing)
        if (
            node.facts.get("executeOnce") is True
            and flowing.many is not None
            and node.kind not in WHOLE_LISTS
        ):
            first = Plain(flowing.many.down(0)) if not flowing.many.uses else flowing.seen.current
            flowing = replace(flowing, seen=replace(flowing.seen, current=first), many=None)
            work = self.work(node, flowing)
        done = convert_list(work, flowing.many) if node.kind in WHOLE_LISTS else convert(work)
        work.settings.name_the_rest()
        self.mark(work, done.steps)
        chain.steps += done.steps
        for step in done.steps:
            self.keep_sample(node, step)
        return self.after(node, flowing, done)

    def mark(self, work: Work, steps: list[Step]) -> None:
        if not work.settings.gaps:
            return
        if not steps:
            self.shared.lost += [
                gap.model_copy(update={"what": f"{work.node.name}: {gap.what}"}) for gap in work.settings.gaps
            ]
            return
        steps[0] = steps[0].model_copy(update={"gaps": [*steps[0].gaps, *work.settings.gaps]})

    def keep_sample(self, node: Node, step: Step) -> None:
        items = self.shared.pinned.get(node.name)
        if items and step.kind in ("http", "action", "set"):
            self.shared.samples[step.id] = items[0] if len(items) == 1 else items

    def switched_off(self, node: Node) -> None:
        reason = "It is switched off in n8n, so the data pass it by; the same happens here."
        if not self.shared.report.parts.get(node.name):
            self.shared.report.leave_out(node.name, node.name, reason)
            self.shared.lost.append(Gap(what=f"the step '{node.name}'", reason=reason))

    def after(self, node: Node, flowing: Flowing, done: Done) -> Flowing:
        place = flowing.seen.current if done.place is None else done.place
        many = done.many if done.place is not None or done.many is not None else flowing.many
        named = {**flowing.seen.named, node.name: place}
        return replace(flowing, seen=replace(flowing.seen, current=place, named=named), many=many)

    # ------------------------------------------------------------------------------ branches

    def branched(self, work: Work, branch: Branch, flowing: Flowing, stop: frozenset[str]) -> Chain:
        node = work.node
        flowing = self.after(node, flowing, Done())
        outputs = self.document.outputs(node.name)
        outputs = [*outputs, *([[]] * (len(branch.ways) - len(outputs)))]
        for number in range(len(branch.ways) + 1, len(outputs) + 1):
            work.settings.leave_out(f"way {number}", "Nothing says when it is taken; say what to check.")
            branch.ways.append(Way(f"Path {number}", NO_TEST))
        work.settings.name_the_rest()
        self.shared.report.carried(node.name)
        conditions = branch.ways[0].conditions
        if branch.is_filter and not flowing.goes_on and conditions is not None:
            steps: list[Step] = [FilterStep(conditions=conditions, **work.facts())]
            self.mark(work, steps)
            chain = Chain(steps)
            chain.take(self.all_of(outputs[0], flowing, stop))
            return chain
        return self.in_paths(work.facts(), branch, outputs, flowing, stop, work)

    def in_paths(
        self,
        facts: dict[str, Any],
        branch: Branch,
        outputs: list[list[str]],
        flowing: Flowing,
        stop: frozenset[str],
        work: Work | None = None,
    ) -> Chain:
        join = self.joined_at(outputs, stop | flowing.way)
        inner_stop = stop | {join} if join else stop
        inner = replace(flowing, depth=flowing.depth + 1, goes_on=False)
        chain, paths = Chain(), []
        for way, targets in zip(branch.ways, outputs, strict=True):
            if not targets and way.conditions is None:
                continue
            found = self.all_of(targets, inner, inner_stop)
            path_id = self.shared.path_id()
            paths.append(Path(id=path_id, name=way.name, conditions=way.conditions, steps=found.steps))
            chain.take(Chain([], found.arrived))
        paths = paths or [Path(id=self.shared.path_id(), name="Everyone else")]
        made: list[Step] = [PathsStep(take=branch.take, paths=paths, **facts)]
        if work is not None:
            self.mark(work, made)
        chain.steps += made
        if join:
            came = chain.arrived.pop(join, [])
            chain.take(self.chain(join, self.met(came, flowing), stop))
        return chain

    def joined_at(self, outputs: list[list[str]], blocked: frozenset[str]) -> str | None:
        """Where all paths come together again, unless what follows depends on the way that was taken:
        then each path keeps what follows for itself."""
        join = join_of(self.document, outputs, blocked)
        if join is None:
            return None
        if not all(join in self.document.reach_from(targets, blocked) for targets in outputs):
            return None
        if self.data_change(outputs, join, blocked) and self.looks_at_data(join):
            small = len(self.document.reach_from([join], blocked)) * len(outputs) <= 24
            return None if small else join
        return join

    def data_change(self, outputs: list[list[str]], join: str, blocked: frozenset[str]) -> bool:
        until = blocked | {join}
        between = {name for targets in outputs for name in self.document.reach_from(targets, until)} - until
        nodes = (self.document.nodes[name] for name in between)
        return any(node.kind not in _PASSING and not node.is_off for node in nodes)

    def looks_at_data(self, name: str) -> bool:
        """Does this node, or one that only passes data on after it, use what comes in?"""
        for _ in range(50):
            node = self.document.nodes[name]
            if any(word in repr(node.parameters) for word in ("$json", "$input", "$binary", "$data")):
                return True
            if node.kind not in _PASSING and node.kind != "merge":
                return False
            following = list(self.document.followers(name))
            if len(following) != 1:
                return bool(following)
            name = following[0]
        return True

    def with_error_output(self, node: Node, step_id: str, flowing: Flowing, stop: frozenset[str]) -> Chain:
        """The last output is for failures: the step goes on with `failed`, and two paths follow."""
        outputs = [*self.document.outputs(node.name), [], []]
        usual, failed = outputs[0], outputs[1]
        if not failed:
            return self.all_of(usual, flowing, stop)
        facts = {"id": self.shared.step_id(), "name": f"Did “{node.name}” work?"}
        return self.in_paths(facts, on_failure(step_id), [failed, usual], flowing, stop)

    # --------------------------------------------------------------------------------- loops

    def loop(self, name: str, flowing: Flowing, stop: frozenset[str]) -> Chain:
        """Each item of the list that waits goes through what follows, up to a node that takes all."""
        closers = frozenset(
            one
            for one in self.document.reach_from([name], stop | (flowing.way - {name}))
            if self.takes_lists(self.document.nodes[one])
            and self.document.nodes[one].kind != "splitInBatches"
        )
        start = replace(flowing, way=flowing.way - {name})
        return self.each(flowing.many or Ref(""), [name], start, stop, closers - {name}, "For each")

    def each(
        self,
        items: Ref,
        names: list[str],
        flowing: Flowing,
        stop: frozenset[str],
        closers: frozenset[str],
        title: str,
        node: Node | None = None,
    ) -> Chain:
        work = self.work(node, flowing) if node else None
        loop_id = self.shared.step_id()
        item, index = Ref(loop_id, ("item",)), Ref(loop_id, ("index",))
        source = flowing.seen.current
        one = node is not None and flowing.many is None and not isinstance(source, Plain)
        place = source if one else in_loop(source, item)  # what is no list is its own only item
        named = {name: place if one is source else one for name, one in flowing.seen.named.items()}
        if node and work:
            named[node.name], work.id = place, loop_id
        seen = replace(flowing.seen, current=place, named=named, index=index, list_of=None)
        inner = Flowing(seen, None, flowing.way, flowing.depth + 1)
        way = self.all_of(names, inner, stop | closers)
        facts = work.facts() if work else {"id": loop_id, "name": title}
        loop = ForEachStep(items=Mapping(value=items.template), steps=way.steps, **facts)
        chain = Chain([loop])
        for closer, came in way.arrived.items():
            outside = self.after_loop(loop, flowing, came)
            if node is not None or (closer in stop and closer not in closers):
                chain.arrived.setdefault(closer, []).append(outside)
                continue
            chain.take(self.chain(closer, outside, stop - {closer}))
        return chain

    def after_loop(self, loop: ForEachStep, flowing: Flowing, came: list[Flowing]) -> Flowing:
        """The list of what the last step gave for each item, where that is what would have come out."""
        results = Ref(loop.id, ("results",))
        last = loop.steps[-1].id if loop.steps else ""
        current = came[0].seen.current
        whole = isinstance(current, Plain) and current.ref == Ref(last)
        named = dict(flowing.seen.named)
        if not loop.steps and flowing.many is not None:
            return replace(flowing, way=came[0].way, goes_on=flowing.goes_on)
        known = whole or _only_own(current, last)
        place: Place = Plain(results) if known else Nowhere(_LOOPED)
        for name in came[0].seen.named:
            named.setdefault(name, Nowhere(_LOOPED))
        seen = replace(flowing.seen, current=place, named=named)
        return Flowing(seen, results if known else None, came[0].way, flowing.depth, flowing.goes_on)

    def batches(self, node: Node, flowing: Flowing, stop: frozenset[str]) -> Chain:
        """Loop Over Items: from version 3 on the first output is for the end, the second for each."""
        outputs = [*self.document.outputs(node.name), [], []]
        done, each = (outputs[0], outputs[1]) if node.version >= 3 else (outputs[1], outputs[0])
        work = self.work(node, flowing)
        work.settings.ignore("options", "batchSize")  # one by one does the same in smaller steps
        work.settings.name_the_rest()
        self.shared.report.carried(node.name)
        items = flowing.many or self.whole(flowing.seen.current)
        chain = self.each(items, each, flowing, stop, frozenset({node.name}), node.name, node)
        self.mark(work, chain.steps[:1])
        came = chain.arrived.pop(node.name, [])
        after = came[0] if came else self.after(node, flowing, Done())
        after = replace(after, way=flowing.way, many=after.many if came else None)
        if done:
            chain.take(self.all_of(done, after, stop))
        return chain

    @staticmethod
    def whole(place: Place) -> Ref:
        own = getattr(place, "own", None)
        if isinstance(own, MappingOf) and own:
            return Ref(next(iter(own.values())).root)
        try:
            return place.find(())
        except NotCarried:
            return Ref("trigger")


def _hashable(place: Any) -> bool:
    try:
        hash(place)
    except TypeError:
        return False
    return True


def _only_own(place: Place, last: str) -> bool:
    own = getattr(place, "own", None)
    return isinstance(own, MappingOf) and bool(own) and all(ref.root == last for ref in own.values())


_LOOPED = "It is a value from inside a loop, of which there is one per item."
_PASSING = frozenset(("noOp", "wait", "if", "filter", "switch"))
