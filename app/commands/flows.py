"""What people do to flows: make, edit and publish them, switch and hold them, give them addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from app.changes import FlowChanged
from app.commands.who import Who
from app.engine.holds import release_flow
from app.errors import FlowInvalid, NotFound, Stale
from app.flows.edit import find_step, replace_step, replace_trigger
from app.flows.model import BaseTrigger, FlowDefinition, ManualTrigger
from app.flows.portable.files import FileConnection, FlowFile, with_connections
from app.flows.renamed import Place, taken_over
from app.flows.review.flow import Problem, review
from app.imports.flows.drafts import Draft
from app.intake import triggers as starts
from app.intake.subscriptions import rows as subscriptions
from app.parts import Parts
from app.storage.connections.connections import ConnectionRow, list_connections
from app.storage.database.db import Database
from app.storage.flows import flows, hooks, renamed_fields, standstill, triggers
from app.storage.people import audit
from app.watch.renamed import noticed, values_instead

ROTATION_OVERLAP = timedelta(hours=24)
LONGEST_NAME = 200
Detail = Mapping[str, object] | None


class PublishRefused(FlowInvalid):
    """`problems`: all that a person has to put right before the flow may go live."""

    def __init__(self, problems: list[Problem], flow_id: str) -> None:
        first = problems[0].sentence
        more = f" And {len(problems) - 1} more." if len(problems) > 1 else ""
        super().__init__(
            f"{first}{more}", remedy="Fix the highlighted problems, then publish again.", flow=flow_id
        )
        self.problems = problems


@dataclass(frozen=True)
class Imported:
    """A flow made from a file; `hook_url` is empty unless deliveries start it."""

    id: str
    name: str
    hook_url: str


# -------------------------------------------------------------------------- new, copied, renamed, gone


def create(who: Who, parts: Parts, *, name: str, time_zone: str) -> str:
    """Makes an empty flow, with a number behind a name that is taken; returns its id.  Raises NotAllowed."""
    who.must("flows")
    definition = FlowDefinition(name=name, trigger=ManualTrigger(), time_zone=time_zone)
    return parts.database.write(partial(_add, who, definition, "created", now=parts.clock.now()))


def copy(who: Who, parts: Parts, flow_id: str) -> str:
    """Makes a flow with the draft of another one and returns its id.  Raises NotAllowed, NotFound."""
    who.must("flows")
    with parts.database.read() as db:
        flow = flows.get_flow(db, flow_id)
    definition = flow.draft.model_copy(update={"name": f"{flow.name} (copy)"})
    return parts.database.write(partial(_add, who, definition, "copied", now=parts.clock.now()))


def rename(who: Who, parts: Parts, flow_id: str, name: str) -> None:
    """Gives a flow another name.  Raises NotAllowed, NotFound, and FlowInvalid for a name that is empty
    or longer than 200 characters."""
    who.must("flows")
    name, now = " ".join(name.split()), parts.clock.now()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise FlowInvalid(f"A flow's name has 1 to {LONGEST_NAME} characters; this one has {len(name)}.")

    def work(db: Connection) -> None:
        flows.rename(db, flow_id, name, now=now)
        _record(db, who, "renamed", flow_id, now, {"name": name})

    parts.database.write(work)


def delete(who: Who, parts: Parts, flow_id: str) -> None:
    """Removes a flow; its history stays.  Raises NotAllowed, NotFound, and FlowInvalid while it is on or
    has runs that have not ended."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flows.delete_flow(db, flow_id, now=now)
        _record(db, who, "deleted", flow_id, now)

    parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))


def _add(who: Who, definition: FlowDefinition, action: str, db: Connection, *, now: datetime) -> str:
    taken = {flow.name for flow in flows.flow_choices(db)}
    name = _free_name(definition.name, taken)
    flow_id = flows.create_flow(db, name=name, definition=definition, owner_id=who.id, now=now)
    _record(db, who, action, flow_id, now)
    return flow_id


def _free_name(wanted: str, taken: set[str]) -> str:
    """Returns the name with a number behind it where another flow is called so already."""
    wanted = wanted[: LONGEST_NAME - 6]
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _record(db: Connection, who: Who, did: str, flow_id: str, now: datetime, detail: Detail = None) -> None:
    audit.record(db, now=now, user_id=who.id, action=did, noun="flow", noun_id=flow_id, detail=detail)


# ----------------------------------------------------------------------------------------- imported


def import_files(
    who: Who, parts: Parts, files: Sequence[FlowFile], *, publish_them: bool = False, on: bool = False
) -> list[Imported]:
    """Makes a draft of each flow of Plumbline's own files, of all or of none; `on` publishes and switches
    them on too.  Raises NotAllowed, and PublishRefused after the drafts were kept."""
    made = _import(who, parts, [(file, {}) for file in files])
    for one in made:
        if publish_them or on:
            publish(who, parts, one.id)
        if on:
            switch_on(who, parts, one.id)
    return [_with_address(who, parts, one) for one in made]


def import_drafts(who: Who, parts: Parts, drafts: Sequence[Draft]) -> list[Imported]:
    """Makes a draft with its samples of each flow of another tool, all or none.  Raises NotAllowed."""
    return _import(who, parts, [(draft.file, draft.samples) for draft in drafts])


def _import(who: Who, parts: Parts, files: Sequence[tuple[FlowFile, Mapping[str, Any]]]) -> list[Imported]:
    """Connections are found again by service and name; one that is not here stays unpicked, and the
    review before publishing says so."""
    who.must("flows")
    now = parts.clock.now()
    with parts.database.read() as db:
        known = list_connections(db)
    bound = [
        with_connections(file.definition, {key: _match(one, known) for key, one in file.connections.items()})
        for file, _ in files
    ]

    def work(db: Connection) -> list[Imported]:
        made = []
        for definition, (_, samples) in zip(bound, files, strict=True):
            flow_id = _add(who, definition, "imported", db, now=now)
            for root, sample in samples.items():
                flows.set_sample(db, flow_id, sample, root=root)
            made.append(Imported(flow_id, flows.get_flow(db, flow_id).name, ""))
        return made

    return parts.database.write(work)


def _match(wanted: FileConnection, known: Sequence[ConnectionRow]) -> str:
    same = [row for row in known if row.connector == wanted.connector]
    named = [row for row in same if row.name == wanted.name]
    return named[0].id if named else same[0].id if len(same) == 1 else ""


def _with_address(who: Who, parts: Parts, one: Imported) -> Imported:
    with parts.database.read() as db:
        draft = flows.get_flow(db, one.id).draft
    if not starts.is_webhook(parts.registry, draft):
        return one
    return Imported(one.id, one.name, create_address(who, parts, one.id))


# ---------------------------------------------------------------------------------------- the draft


def edit_draft(who: Who, parts: Parts, flow_id: str, wanted: FlowDefinition, *, revision: int) -> int:
    """Makes `wanted` the draft and returns its revision.  Raises NotAllowed, NotFound, and Stale when
    `revision` is not the one that is stored."""
    who.must("flows")
    now = parts.clock.now()
    return parts.database.write(lambda db: flows.save_draft(db, flow_id, wanted, revision=revision, now=now))


def close_gap(who: Who, parts: Parts, flow_id: str, part_id: str, *, what: str | None, revision: int) -> int:
    """Notes that a gap an import left on the trigger or a step is seen to, all of them without `what`;
    returns the draft's revision.  Raises NotAllowed, NotFound, Stale."""
    with parts.database.read() as db:
        draft = flows.get_flow(db, flow_id).draft
    part = draft.trigger if part_id == draft.trigger.id else find_step(draft, part_id)
    gaps = [] if what is None else [gap for gap in part.gaps if gap.what != what]
    closed = part.model_copy(update={"gaps": gaps})
    if isinstance(closed, BaseTrigger):
        return edit_draft(who, parts, flow_id, replace_trigger(draft, closed), revision=revision)
    return edit_draft(who, parts, flow_id, replace_step(draft, closed), revision=revision)


def set_sample(who: Who, parts: Parts, flow_id: str, document: Any, *, root: str = "trigger") -> None:
    """Keeps a document that mappings are tried on, of the trigger or of the step `root`.  Raises
    NotAllowed, NotFound."""
    who.must("flows")

    def work(db: Connection) -> None:
        flows.get_flow(db, flow_id)
        flows.set_sample(db, flow_id, document, root=root)

    parts.database.write(work)


def restore_version(who: Who, parts: Parts, flow_id: str, number: int) -> None:
    """Makes an old version the draft again; what is live stays live.  Raises NotAllowed, NotFound, and
    Stale when somebody edits the draft at the same moment."""
    who.must("flows")
    now = parts.clock.now()
    with parts.database.read() as db:
        flow = flows.get_flow(db, flow_id)
        found = [one for one in flows.list_versions(db, flow_id) if one.number == number > 0]
    if not found:
        raise NotFound("There is no such version of this flow.", flow=flow_id)
    wanted = found[0].definition.model_copy(update={"name": flow.name})

    def work(db: Connection) -> None:
        flows.save_draft(db, flow_id, wanted, revision=flow.draft_revision, now=now)
        _record(db, who, "took an old version as draft", flow_id, now, {"version": number})

    parts.database.write(work)


def take_over_renamed(who: Who, parts: Parts, flow_id: str, pairs: Sequence[tuple[str, str]]) -> bool:
    """Lets the draft look for fields under their new names; `pairs`: the place of each, and the path it
    has now.  Returns whether the draft changed.  Raises NotAllowed, Stale, and NotFound for what is not
    missing."""
    who.must("flows")
    now = parts.clock.now()
    with parts.database.read() as db:
        flow = flows.get_flow(db, flow_id)
        known = {one.place.text: one for one in noticed(db, flow_id)}
        paths = {text: [path for path, _ in values_instead(db, one)] for text, one in known.items()}
    draft, taken = flow.draft, []
    for place, path in pairs:
        if path not in paths.get(place, ()):
            raise NotFound("This field is no longer among those that are missing.")
        one = known[place]
        draft = taken_over(draft, one.place, path)
        taken.append({"from": one.was, "to": Place(one.place.root, path).words})
    if draft == flow.draft:
        return False

    def work(db: Connection) -> None:
        flows.save_draft(db, flow_id, draft, revision=flow.draft_revision, now=now)
        _record(db, who, "took over renamed fields", flow_id, now, {"fields": taken})

    parts.database.write(work)
    return True


def leave_renamed(who: Who, parts: Parts, flow_id: str, place: str) -> None:
    """Notes that a missing field has no new name, so that nobody is told of it again.  Raises NotAllowed,
    NotFound."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        if not renamed_fields.leave_alone(db, flow_id, place.replace("\x00", ""), now=now):
            raise NotFound("This field is no longer among those that are missing.")
        _record(db, who, "left a missing field as it is", flow_id, now, {"field": place})

    parts.database.write(work)


# --------------------------------------------------------------------------------- live, on and off


def publish(who: Who, parts: Parts, flow_id: str, *, revision: int | None = None) -> int:
    """Makes the draft the version that new events use, and returns its number; runs under way stay on
    theirs.  `revision`: of the draft that was looked at.  Raises NotAllowed, NotFound, PublishRefused,
    and Stale when the draft is another one by now."""
    who.must("flows")
    now = parts.clock.now()
    with parts.database.read() as db:
        seen = flows.get_flow(db, flow_id)
        connectors = {row.id: row.connector for row in list_connections(db)}
    if revision not in (None, seen.draft_revision):
        raise _changed_meanwhile(flow_id)
    problems = [one for one in review(seen.draft, parts.registry, connectors) if one.blocking]
    if problems:
        raise PublishRefused(problems, flow_id)

    def work(db: Connection) -> int:
        flow = flows.get_flow(db, flow_id)
        if flow.draft_revision != seen.draft_revision:
            raise _changed_meanwhile(flow_id)
        before = flows.live_definition(db, flow_id)
        version = flows.add_version(db, flow_id, flow.draft, by=who.id, now=now)
        starts.follow(parts.registry, db, flow, before, now)
        if starts.is_webhook(parts.registry, flow.draft):
            _ensure_token(parts, db, flow_id, now)
        subscriptions.settle(parts, db, flow_id, now)
        _record(db, who, "published", flow_id, now, {"version": version.number})
        return version.number

    number = parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))
    return number


def _changed_meanwhile(flow_id: str) -> Stale:
    return Stale(
        "The draft was changed in another window or by somebody else; nothing was published.",
        remedy="Load the page again and look at the change.",
        flow=flow_id,
    )


def switch_on(who: Who, parts: Parts, flow_id: str) -> None:
    """Lets events start the flow.  Times of a schedule that fell into the time it was off are not made
    up; what a poll would have found in that time is found now.  Raises NotAllowed, NotFound, and
    FlowInvalid for a flow that was never published."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flow = flows.get_flow(db, flow_id)
        live = flows.live_definition(db, flow_id)
        if live is None:
            raise FlowInvalid(
                f"“{flow.name}” was never published.", remedy="Publish it, then switch it on.", flow=flow_id
            )
        if flow.is_on:
            return
        flows.set_on(db, flow_id, True, now=now)
        if (kind := starts.ticking_kind(parts.registry, live)) is not None:
            due = now if kind == "poll" else starts.first_fire(live, now)
            triggers.switch_trigger(db, flow_id, True, next_due_at=due)
        subscriptions.settle(parts, db, flow_id, now)
        _record(db, who, "switched on", flow_id, now)

    parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))


def switch_off(who: Who, parts: Parts, flow_id: str) -> None:
    """Lets no event start the flow any more; runs under way end as they would have.  Raises NotAllowed,
    NotFound."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        if flows.get_flow(db, flow_id).is_on:
            flows.set_on(db, flow_id, False, now=now)
            triggers.switch_trigger(db, flow_id, False)
            subscriptions.settle(parts, db, flow_id, now)
            _record(db, who, "switched off", flow_id, now)

    parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))


# ------------------------------------------------------------------------------------------- holds


def hold(who: Who, parts: Parts, flow_id: str, *, reason: str = "") -> None:
    """Lets the runs of a flow wait; its events are still taken and stored.  Raises NotAllowed, NotFound."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        if not flows.get_flow(db, flow_id).is_held:
            flows.set_held(db, flow_id, True, reason=reason, now=now)
            _record(db, who, "held", flow_id, now, {"reason": reason} if reason else None)

    parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))


def release(who: Who, parts: Parts, flow_id: str) -> int:
    """Lets the runs of a held flow go on, the oldest first, and returns how many.  Raises NotAllowed,
    NotFound."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flows.get_flow(db, flow_id)
        flows.set_held(db, flow_id, False, now=now)
        standstill.let_go(db, flow_id)
        _record(db, who, "released", flow_id, now)

    parts.database.write(work)
    released = release_flow(parts, flow_id)
    parts.changes.tell(FlowChanged(flow_id))
    return released


def hold_all(who: Who, database: Database, *, now: datetime, backup_of: datetime | None = None) -> int:
    """Holds every flow of a database that no server works on, and returns how many runs wait; `backup_of`:
    when the backup was made that was put in its place.  Raises NotAllowed."""
    who.must("flows")

    def work(db: Connection) -> int:
        detail = {"backup_of": backup_of.isoformat()} if backup_of is not None else None
        waiting = standstill.hold_everything(db, now=now, backup_of=backup_of)
        said = "held everything"
        audit.record(db, now=now, user_id=who.id, action=said, noun="server", noun_id="", detail=detail)
        return waiting

    return database.write(work)


def release_all(who: Who, parts: Parts) -> int:
    """Releases the flows that were held all at once, not those that a person held before; returns how many
    runs go on.  Raises NotAllowed."""
    who.must("flows")
    with parts.database.read() as db:
        held = standstill.get_standstill(db)
    return sum(release(who, parts, flow.id) for flow in held.flows) if held else 0


# --------------------------------------------------------------------------- addresses, subscriptions


def create_address(who: Who, parts: Parts, flow_id: str) -> str:
    """Returns the address that senders are told; makes it if the flow has none.  Raises NotAllowed,
    NotFound."""
    who.must("flows")
    now = parts.clock.now()
    with parts.database.read() as db:
        if address := starts.current_address(parts.settings, parts.vault, db, flow_id):
            return address

    def work(db: Connection) -> str:
        flows.get_flow(db, flow_id)
        token, is_new = _ensure_token(parts, db, flow_id, now)
        if is_new:
            _record(db, who, "address created", flow_id, now)
        return token

    return starts.address_of(parts.settings, parts.database.write(work))


def replace_address(who: Who, parts: Parts, flow_id: str) -> str:
    """Gives a flow a new address and returns it; the old one works for another 24 hours.  Raises
    NotAllowed, NotFound."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> str:
        flows.get_flow(db, flow_id)
        hooks.retire_hooks(db, flow_id, at=now + ROTATION_OVERLAP)
        token = hooks.create_hook(db, parts.vault, flow_id, now=now)
        subscriptions.settle(parts, db, flow_id, now)
        _record(db, who, "address replaced", flow_id, now)
        return token

    token = parts.database.write(work)
    parts.changes.tell(FlowChanged(flow_id))
    return starts.address_of(parts.settings, token)


def _ensure_token(parts: Parts, db: Connection, flow_id: str, now: datetime) -> tuple[str, bool]:
    """Returns the token of the flow's address, and whether it was made just now."""
    token = hooks.current_token(db, parts.vault, flow_id)
    if token is not None:
        return token, False
    return hooks.create_hook(db, parts.vault, flow_id, now=now), True


def subscribe_again(who: Who, parts: Parts, flow_id: str) -> None:
    """Lets the service of the trigger be told again where to send, by whoever ticks.  Raises NotAllowed,
    NotFound, and FlowInvalid where it was never told."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flows.get_flow(db, flow_id)
        subscriptions.ask_again(db, flow_id, now)
        _record(db, who, "asked the service again", flow_id, now)

    parts.database.write(work)


def subscribed_by_hand(who: Who, parts: Parts, flow_id: str) -> None:
    """Notes that a person set the service of the trigger up and ends it there too.  Raises NotAllowed,
    NotFound, and FlowInvalid where Plumbline did so already."""
    who.must("flows")
    now = parts.clock.now()

    def work(db: Connection) -> None:
        flows.get_flow(db, flow_id)
        subscriptions.leave_to_person(db, flow_id)
        _record(db, who, "set the service up by hand", flow_id, now)

    parts.database.write(work)
