"""A blueprint of Make, as a draft and a report: modules in order, routes, iterators, aggregators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from app.errors import FlowInvalid
from app.flows.edit import LIMIT_NESTING, LIMIT_STEPS
from app.flows.mapping.functions.function import zone_named
from app.flows.model import (
    Conditions,
    FilterStep,
    FlowDefinition,
    ForEachStep,
    Gap,
    ManualTrigger,
    Mapping,
    NamedMapping,
    Path,
    PathsStep,
    ScheduleTrigger,
    SetStep,
    Step,
    Trigger,
    WebhookTrigger,
)
from app.flows.portable.files import FlowFile
from app.imports.flows.drafts import Draft, mark_the_rest
from app.imports.flows.make.modules import (
    CONVERTERS,
    MakeWork,
    Module,
    filter_of,
    note_module,
    open_request,
    work_for,
)
from app.imports.flows.places import Nowhere, Over, Place, Plain, Seen
from app.imports.flows.report import Report
from app.imports.flows.settings import note_expressions
from app.imports.flows.values import EACH, Key, Ref
from app.imports.flows.work import Connectors, Done, Shared

MOST_MODULES = 2_000
_ITERATORS = frozenset(("builtin:BasicFeeder", "util:BasicFeeder"))
_AGGREGATORS = frozenset(
    ("builtin:BasicAggregator", "util:TextAggregator", "util:FunctionAggregator2", "json:AggregateToJSON")
)
_HOOKS = frozenset(("gateway:CustomWebHook", "gateway:CustomMailHook"))


def is_make(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("flow"), list)


def bring_make(
    data: dict[str, Any], connectors: Connectors, report: Report, *, where: str, name: str, time_zone: str
) -> list[Draft]:
    """Raises FlowInvalid where the file cannot be read at all."""
    counter = [0]
    modules = _modules(data["flow"], report, where, counter)
    if not modules:
        raise FlowInvalid("the blueprint holds no modules.", where=where)
    for module in _all(modules):
        note_module(report, module, note_expressions)
    shared = Shared(report, connectors)
    builder = Builder(shared)
    trigger, seen, rest = builder.start(modules, data)
    steps = builder.chain(rest, seen)
    designer = data.get("metadata")
    designer = designer.get("designer") if isinstance(designer, dict) else None
    orphans = designer.get("orphans") if isinstance(designer, dict) else None
    if isinstance(orphans, list) and orphans:
        reason = "They are not connected to the others in Make."
        report.leave_out(f"{len(orphans)} loose modules", "metadata.designer.orphans", reason)
        shared.lost.append(Gap(what=f"{len(orphans)} loose modules", reason=reason))
    trigger = trigger.model_copy(update={"gaps": [*trigger.gaps, *shared.lost]})
    title = " ".join(str(data.get("name") or name or "Brought from Make").split())[:200]
    zone = time_zone if zone_named(time_zone) else "UTC"
    definition = FlowDefinition(name=title, time_zone=zone, trigger=trigger, steps=steps)
    for module in _all(modules):
        if not report.parts[module.title] and not any(line.where == module.title for line in report.left_out):
            report.leave_out(module.title, module.title, "Nothing leads to it.")
    drafts = [Draft(FlowFile(definition, shared.connections))]
    mark_the_rest(drafts, report)
    return drafts


# -------------------------------------------------------------------------------------- reading


def _modules(raw: Any, report: Report, where: str, counter: list[int], depth: int = 0) -> list[Module]:
    found = []
    for index, facts in enumerate(raw if isinstance(raw, list) else []):
        counter[0] += 1
        if counter[0] > MOST_MODULES:
            raise FlowInvalid(f"the blueprint has more than {MOST_MODULES:,} modules.", where=where)
        if not isinstance(facts, dict) or not isinstance(facts.get("module"), str) or not facts["module"]:
            place = f"flow[{index}] ({counter[0]})"
            report.part(place)
            report.leave_out("a module", place, "It is not a module: it has no kind.")
            continue
        number = counter[0]
        id_ = facts.get("id")
        id_ = str(id_) if isinstance(id_, int) and not isinstance(id_, bool) else f"?{number}"
        kind = facts["module"][:100]
        designer = facts.get("metadata")
        designer = designer.get("designer") if isinstance(designer, dict) else None
        name = designer.get("name") if isinstance(designer, dict) else None
        title = (
            " ".join(name.split())[:100]
            if isinstance(name, str) and name.strip()
            else kind.partition(":")[2] or kind
        )
        module = Module(
            id_, kind, f"{id_}: {title}", {key: facts[key] for key in facts if not key.startswith("_")}
        )
        if depth < 20:
            routes = facts.get("routes")
            for route in routes[:100] if isinstance(routes, list) else []:
                inner = route.get("flow") if isinstance(route, dict) else None
                module.facts.setdefault("_routes", []).append(
                    _modules(inner, report, where, counter, depth + 1)
                )
            module.facts["_onerror"] = _modules(facts.get("onerror"), report, where, counter, depth + 1)
        found.append(module)
    return found


def _all(modules: list[Module]) -> Iterator[Module]:
    for module in modules:
        yield module
        for inner in (*module.facts.get("_routes", []), module.facts.get("_onerror", [])):
            yield from _all(inner)


# ------------------------------------------------------------------------------------- building


@dataclass(frozen=True)
class _Item:
    """A bundle of an iterator: its fields, `value` where it is no table, and how far the loop is."""

    ref: Ref
    index: Ref

    def find(self, keys: tuple[Key, ...]) -> Ref:
        if keys and keys[0] == "__IMTINDEX__":
            return self.index.through("add", "1")
        return self.ref if keys == ("value",) else self.ref.down(*keys)


class Builder:
    def __init__(self, shared: Shared) -> None:
        self.shared = shared

    def start(self, modules: list[Module], data: dict[str, Any]) -> tuple[Trigger, Seen, list[Module]]:
        first = modules[0]
        if first.kind not in _HOOKS:
            return self.scheduled(data), Seen(Nowhere("Nothing comes before it.")), modules
        work = work_for(first, Seen(Nowhere("Nothing comes before it.")), self.shared)
        work.settings.ignore("hook", "maxResults", "limit")
        if first.kind == "gateway:CustomMailHook":
            work.settings.leave_out("the address for mails", "A webhook takes its place; let it be called.")
        work.settings.name_the_rest()
        work.carried()
        place = Plain(Ref("trigger"))
        trigger = WebhookTrigger(name=first.title.partition(": ")[2], gaps=work.settings.gaps)
        return trigger, Seen(place, {first.id: place}), modules[1:]

    def scheduled(self, data: dict[str, Any]) -> Trigger:
        """When it runs is not part of a blueprint, except in copies of the whole."""
        plan = data.get("scheduling")
        seconds = plan.get("interval") if isinstance(plan, dict) else None
        if isinstance(seconds, int) and seconds >= 60:
            minutes = min((n for n in (1, 2, 5, 10, 15, 20, 30, 60) if n * 60 >= seconds), default=60)
            return ScheduleTrigger(when=f"every {minutes} minutes" if minutes < 60 else "every hour")
        reason = "A blueprint does not say when it runs. Choose what starts this flow."
        self.shared.report.leave_out("when it runs", "the file", reason)
        return ManualTrigger(gaps=[Gap(what="when it runs", reason=reason)])

    # ------------------------------------------------------------------------------- chains

    def chain(self, modules: list[Module], seen: Seen, depth: int = 0, followed: bool = False) -> list[Step]:
        """Modules one after another.  `followed`: something comes after them that a filter among them
        must not keep from being done."""
        steps: list[Step] = []
        for index, module in enumerate(modules):
            rest = modules[index:]
            if self.shared.last_id >= LIMIT_STEPS or depth > LIMIT_NESTING:
                return self.too_much(steps, rest)
            work = work_for(module, seen, self.shared)
            conditions = filter_of(work)
            if conditions is not None and followed:
                return [*steps, self.contained(module, conditions, rest, seen, depth, work)]
            if conditions is not None:
                facts = {"id": self.shared.step_id(), "name": self.filter_name(module)}
                steps.append(FilterStep(conditions=conditions, gaps=list(work.settings.gaps), **facts))
                work.settings.gaps = []
            if module.kind == "builtin:BasicRouter":
                return [*steps, *self.router(work, seen, depth, followed)]
            if module.kind in _ITERATORS:
                return [*steps, *self.iterator(work, rest[1:], seen, depth, followed)]
            done = self.done(work)
            steps += done.steps
            place: Place = done.place or Nowhere("It gives nothing that could be used.")
            seen = replace(seen, current=place, named={**seen.named, module.id: place})
        return steps

    def too_much(self, steps: list[Step], rest: list[Module]) -> list[Step]:
        reason = f"A flow has at most {LIMIT_STEPS} steps, and paths lie at most {LIMIT_NESTING} deep."
        self.shared.report.leave_out(f"{len(rest)} modules", rest[0].title, reason)
        gap = Gap(what=f"{len(rest)} modules from {rest[0].title} on", reason=reason)
        if steps:
            steps[-1] = steps[-1].model_copy(update={"gaps": [*steps[-1].gaps, gap]})
        else:
            self.shared.lost.append(gap)
        return steps

    @staticmethod
    def filter_name(module: Module) -> str:
        found = module.facts.get("filter")
        name = found.get("name") if isinstance(found, dict) else ""
        return name[:200] if isinstance(name, str) else ""

    def contained(
        self,
        module: Module,
        conditions: Conditions,
        rest: list[Module],
        seen: Seen,
        depth: int,
        work: MakeWork,
    ) -> Step:
        """A filter whose "no" must not end what comes after these modules."""
        step_id, path_id = self.shared.step_id(), self.shared.path_id()
        name = self.filter_name(module) or "Those that pass"
        bare = Module(module.id, module.kind, module.title, {**module.facts, "filter": None})
        inner = self.chain([bare, *rest[1:]], seen, depth + 1)
        path = Path(id=path_id, name=name, conditions=conditions, steps=inner)
        return PathsStep(id=step_id, take="all", paths=[path], gaps=list(work.settings.gaps))

    def done(self, work: MakeWork) -> Done:
        convert = CONVERTERS.get(work.module.kind, open_request)
        done = convert(work)
        if work.module.kind in _AGGREGATORS:
            work.settings.leave_out("the list", "The iterator it belongs to does not come before it here.")
        self.on_error(work, done)
        work.settings.name_the_rest()
        gaps = work.settings.gaps
        if gaps and done.steps:
            done.steps[0] = done.steps[0].model_copy(update={"gaps": [*done.steps[0].gaps, *gaps]})
        elif gaps:
            title = work.module.title
            self.shared.lost += [gap.model_copy(update={"what": f"{title}: {gap.what}"}) for gap in gaps]
        return done

    def on_error(self, work: MakeWork, done: Done) -> None:
        """What Make does when a module fails."""
        handlers: list[Module] = work.module.facts.get("_onerror", [])
        if not handlers:
            return
        last = handlers[-1].kind
        if done.steps and last in ("builtin:Ignore", "builtin:Resume"):
            done.steps[-1] = done.steps[-1].model_copy(update={"on_error": "continue"})
        if len(handlers) == 1 and last in ("builtin:Ignore", "builtin:Break"):
            self.shared.report.carried(handlers[0].title)
            return
        for handler in handlers:
            reason = "What is done after an error is not brought along; see “If this step fails”."
            work.settings.leave_out(f"{handler.title} (after an error)", reason)
            self.shared.report.leave_out(handler.title, handler.title, reason)

    # ------------------------------------------------------------------------------- routes

    def router(self, work: MakeWork, seen: Seen, depth: int, followed: bool) -> list[Step]:
        """All routes are done, one after another; those with a filter only where it holds."""
        routes: list[list[Module]] = work.module.facts.get("_routes", [])
        work.carried()
        steps: list[Step] = []
        open_paths: list[Path] = []
        gaps: list[Gap] = list(work.settings.gaps)
        for index, route in enumerate(routes):
            last = index == len(routes) - 1 and not followed
            if not route:
                continue
            first = work_for(route[0], seen, self.shared)
            conditions = filter_of(first)
            if conditions is None:
                steps += self.together(work, open_paths, gaps)
                open_paths, gaps = [], []
                steps += self.chain(route, seen, depth, followed=not last)
                continue
            gaps += first.settings.gaps
            name = self.filter_name(route[0]) or f"Route {index + 1}"
            bare = replace(route[0], facts={**route[0].facts, "filter": None})
            path_id = self.shared.path_id()
            inner = self.chain([bare, *route[1:]], seen, depth + 1)
            open_paths.append(Path(id=path_id, name=name, conditions=conditions, steps=inner))
        return [*steps, *self.together(work, open_paths, gaps)]

    def together(self, work: MakeWork, paths: list[Path], gaps: list[Gap]) -> list[Step]:
        if not paths:
            return []
        name = work.module.title.partition(": ")[2]
        return [PathsStep(id=self.shared.step_id(), name=name, take="all", paths=paths, gaps=gaps)]

    # -------------------------------------------------------------------------------- loops

    def iterator(
        self, work: MakeWork, rest: list[Module], seen: Seen, depth: int, followed: bool
    ) -> list[Step]:
        """The modules up to the aggregator that belongs to it are done for each item."""
        module = work.module
        closer = next((i for i, one in enumerate(rest) if self.closes(one, module)), None)
        inside = rest if closer is None else rest[:closer]
        loop_id = self.shared.step_id()
        items = work.settings.mapping("array")
        work.settings.name_the_rest()
        work.carried()
        item = _Item(Ref(loop_id, ("item",)), Ref(loop_id, ("index",)))
        inner_seen = replace(seen, current=item, named={**seen.named, module.id: item})
        inner = self.chain(inside, inner_seen, depth + 1, followed=False)
        facts = {"id": loop_id, "name": module.title.partition(": ")[2], "gaps": work.settings.gaps}
        if closer is None:
            return [ForEachStep(items=items, steps=inner, **facts)]
        named = {**inner_seen.named, **self.inner_places(inside, inner)}
        last, place = self.aggregated(rest[closer], loop_id, replace(inner_seen, named=named))
        loop = ForEachStep(items=items, steps=[*inner, *last], **facts)
        after = replace(seen, current=place, named={**seen.named, rest[closer].id: place})
        return [loop, *self.chain(rest[closer + 1 :], after, depth, followed)]

    @staticmethod
    def inner_places(modules: list[Module], steps: list[Step]) -> dict[str, Place]:
        """What the modules inside gave, by the names of their steps."""
        by_name = {step.name: step.id for step in steps}
        pairs = ((one.id, by_name.get(one.title.partition(": ")[2])) for one in modules)
        return {module_id: Plain(Ref(step_id)) for module_id, step_id in pairs if step_id}

    @staticmethod
    def closes(module: Module, iterator: Module) -> bool:
        feeder = module.table("parameters").get("feeder")
        return module.kind in _AGGREGATORS and (feeder is None or str(feeder) == iterator.id)

    def aggregated(self, module: Module, loop_id: str, seen: Seen) -> tuple[list[Step], Place]:
        """The values of each item, set at the end of the loop, and where the whole is found after it."""
        work = work_for(module, seen, self.shared)
        settings = work.settings
        settings.ignore("feeder", "rowSeparator", "target", "groupBy", "stopIfEmpty", "fn")
        results = Ref(loop_id, ("results",))
        rows = [
            NamedMapping(name=str(name), mapping=settings.mapping(str(name)))
            for name in module.table("mapper")
            if name != "feeder"
        ]
        step = SetStep(values=rows, **work.facts())
        settings.name_the_rest()
        step = step.model_copy(update={"gaps": settings.gaps})
        work.carried()
        separator = {"\\n": "\n", "\n": "\n", "\\t": "\t"}.get(
            str(module.table("parameters").get("rowSeparator")), ""
        )
        if module.kind == "util:TextAggregator":
            text = results.down(EACH, "value").through("join", separator)
            return [step], Over({("text",): text}, Nowhere("An aggregator of texts gives `text` only."))
        if module.kind == "util:FunctionAggregator2":
            kind = str(module.table("parameters").get("fn", "sum"))
            total = results.down(EACH, "value").through(
                kind if kind in ("sum", "min", "max", "count") else "sum"
            )
            return [step], Over(
                {("result",): total}, Nowhere("An aggregator of numbers gives `result` only.")
            )
        return [step], Over({("array",): results, ("json",): results.through("json")}, Nowhere(_ONLY_ARRAY))


_ONLY_ARRAY = "An aggregator gives `array` only."
__all__ = ["Mapping", "bring_make", "is_make"]
