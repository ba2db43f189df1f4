"""The panel of the trigger or step that is selected: its data, its tabs, its samples."""

from __future__ import annotations

import functools
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from app.commands.flows import create_address
from app.errors import AppError, NotFound
from app.flows.edit import find_step
from app.flows.model import ActionStep, ConnectorTrigger, Mapping, Step, Trigger
from app.flows.schedules.schedule import describe, parse_when
from app.intake.schedule import next_fire
from app.intake.triggers import current_address, is_webhook
from app.storage.database.db import pages_db
from app.storage.flows.hooks import old_address_ends
from app.web.builder.forms import Data, at, field_key
from app.web.builder.inputs import Loaded, ShownInput, ask, extra_of, facts_of, known, shown_inputs
from app.web.builder.kinds import shown_data, signature_presets
from app.web.builder.mapping import Preview, mapping_of, preview
from app.web.builder.pace import line_options, retry_sentence, shown_pace
from app.web.builder.scope import Scope, Source, lists_in, scope_for, sources
from app.web.builder.subscriptions import Told, told_of
from app.web.builder.view import Card, Editor
from app.web.frame.context import may, parts, who


@dataclass
class Panel:
    """The trigger or step whose form is shown: its data as it was typed, and what was wrong with it."""

    editor: Editor
    part: Step | Trigger
    tab: str
    data: Data
    errors: Map[str, str] = field(default_factory=dict)
    focus: str = ""
    as_data: str = ""
    asks: bool = False
    result: Any = None

    @property
    def is_trigger(self) -> bool:
        return self.part is self.editor.definition.trigger

    @property
    def action(self) -> str:
        """Where the form goes."""
        place = "trigger" if self.is_trigger else f"steps/{self.part.id}"
        return f"/flows/{self.editor.flow.id}/{place}"

    @functools.cached_property
    def card(self) -> Card:
        return self.editor.card(self.part)

    @functools.cached_property
    def tabs(self) -> list[tuple[str, str]]:
        return tabs_of(self.part)

    @functools.cached_property
    def scope(self) -> Scope:
        editor, now = self.editor, parts().clock.now()
        return scope_for(editor.definition, self.part.id, editor.all_samples, flow_id=editor.flow.id, now=now)

    @functools.cached_property
    def sources(self) -> list[Source]:
        return sources(self.editor.definition, self.part.id, self.scope, set(self.editor.samples))

    @functools.cached_property
    def lists(self) -> list[tuple[Source, Any]]:
        return lists_in(self.sources)

    def at(self, path: str) -> Any:
        return at(self.data, path)

    def text(self, path: str) -> str:
        value = self.at(path)
        return "" if value is None or isinstance(value, dict | list) else str(value)

    def mapping(self, path: str) -> Mapping:
        return mapping_of(self.at(path))

    def rows(self, path: str) -> list[Any]:
        value = self.at(path)
        return value if isinstance(value, list) else []

    @functools.cached_property
    def address(self) -> str:
        """The inbound address; it is made the first time it is shown to somebody who may."""
        flow_id, own = self.editor.flow.id, parts()
        address = current_address(own.settings, own.vault, pages_db.session, flow_id)
        return address or (create_address(who(), own, flow_id) if may("editor") else "")

    @functools.cached_property
    def old_address_ends(self) -> datetime | None:
        """Until when the address before this one works, where it was replaced a short time ago."""
        return old_address_ends(pages_db.session, self.editor.flow.id, now=parts().clock.now())

    @property
    def senders(self) -> list[tuple[str, str]]:
        """Whose way to sign can be filled in."""
        return signature_presets()

    @functools.cached_property
    def told(self) -> Told | None:
        """What the trigger's service was told, where Plumbline tells it."""
        return told_of(self.editor.flow.id, self.editor.definition) if self.is_trigger else None

    @property
    def times(self) -> Times:
        return upcoming(
            self.text("when"), str(self.data.get("time_zone") or self.editor.definition.time_zone)
        )

    @property
    def waits_for_sample(self) -> bool:
        """Nothing came in yet, and something could."""
        editor = self.editor
        return is_webhook(editor.registry, editor.definition) and not self.has_sample

    @property
    def has_sample(self) -> bool:
        return "trigger" in self.editor.samples

    @property
    def can_send(self) -> bool:
        return self.part.kind in ("http", "action", "email")

    @property
    def can_fetch(self) -> bool:
        return self.part.kind == "poll" or getattr(self.facts, "kind", "") == "poll"

    def connection_options(self, connector: str = "") -> list[tuple[str, str]]:
        """Every connection, or those of one connector, by its name."""
        return [
            (found.id, found.name)
            for found in self.editor.connections
            if not connector or found.connector == connector
        ]

    @functools.cached_property
    def facts(self) -> Any:
        """What the connector says of this action or trigger; None where it is not installed."""
        return facts_of(self.part, self.editor.registry)

    @functools.cached_property
    def inputs(self) -> list[ShownInput]:
        return shown_inputs(self.part, self.facts)

    def input_of(self, name: str) -> ShownInput:
        """By the name of its field, `input.list_id`."""
        for found in self.inputs:
            if f"input.{field_key(found.key)}" == name:
                return found
        raise NotFound("This step has no such field.")

    @property
    def extra(self) -> Any:
        return extra_of(self.facts)

    def listed(self, lookup: str) -> Loaded:
        """What a lookup has found; asked only once the page is there, unless `asks`."""
        if not lookup or not isinstance(self.part, ActionStep | ConnectorTrigger):
            return Loaded()
        return (ask if self.asks else known)(self.part, lookup, self.scope)

    @property
    def line_options(self) -> list[tuple[str, str]]:
        return line_options(self.editor.definition, self.editor.all_samples.get("trigger"))

    @property
    def retry_sentence(self) -> str:
        return retry_sentence(self.at("retry"))

    def preview(self, path: str, label: str, required: bool) -> Preview:
        return preview(label, self.mapping(path), self.scope, required=required)


def tabs_of(part: Step | Trigger) -> list[tuple[str, str]]:
    """The key and the word of each tab; the first is shown at first."""
    if part.kind in ("webhook", "schedule", "manual"):
        return [("fields", "Set-up"), ("test", "Sample")]
    if part.kind == "poll":
        return [("fields", "Set-up"), ("test", "Test")]
    if isinstance(part, ConnectorTrigger) or part.kind == "action":
        return [("connection", "Connection"), ("fields", "Fields"), ("test", "Test")]
    return [("fields", "Fields"), ("test", "Test")]


def part_of(editor: Editor, part_id: str) -> Step | Trigger:
    """A step that is gone (deleted in another tab) shows the trigger instead of an error."""
    if part_id in ("", editor.definition.trigger.id):
        return editor.definition.trigger
    try:
        return find_step(editor.definition, part_id)
    except NotFound:
        return editor.definition.trigger


def open_panel(editor: Editor, part_id: str, tab: str = "") -> Panel:
    part = part_of(editor, part_id)
    known = [key for key, _ in tabs_of(part)]
    # Straight to the fields where the connection is chosen already.
    usual = "fields" if getattr(part, "connection_id", "") else known[0]
    chosen = tab if tab in known else usual
    data = shown_data(part)
    if part is editor.definition.trigger:
        data["flow"] = shown_pace(editor.definition)
    return Panel(editor, part, chosen, data)


@dataclass
class Times:
    """`wrong`: the sentence about words that say no time."""

    words: str = ""
    zone: str = ""
    moments: list[datetime] = field(default_factory=list)
    wrong: str = ""
    remedy: str = ""


def upcoming(when: str, zone_name: str) -> Times:
    zone = zone_name if zone_name in available_timezones() else "UTC"
    try:
        return Times(describe(parse_when(when)), zone, _next_three(when, zone))
    except AppError as reason:
        return Times(wrong=getattr(reason, "reason", reason.sentence), remedy=reason.remedy)


def _next_three(when: str, zone: str) -> list[datetime]:
    moments: list[datetime] = []
    after = parts().clock.now()
    for _ in range(3):
        found = next_fire(when, zone, after)
        if found is None:
            break
        moments.append(found.astimezone(ZoneInfo(zone)))
        after = found
    return moments
