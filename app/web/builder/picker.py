"""What can be added: the step picker behind each “+”, and the choice of a trigger."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.builder.view import Editor
from app.web.builder.words import STEP_KINDS, TRIGGER_KINDS


@dataclass(frozen=True)
class Entry:
    """One thing to choose; `fields` are the hidden fields of its form."""

    label: str
    says: str
    icon: str
    fields: dict[str, str]
    connector: str = ""

    def fits(self, words: list[str]) -> bool:
        text = f"{self.label} {self.says} {' '.join(self.fields.values())}".lower()
        return all(word in text for word in words)


@dataclass(frozen=True)
class Group:
    label: str
    entries: list[Entry]


@dataclass(frozen=True)
class Picker:
    """`after`: the step or trigger that the new step follows; '' = first inside `inside`."""

    after: str
    inside: str
    search: str
    place: str
    groups: list[Group]


def picker_for(editor: Editor, *, after: str, inside: str, search: str) -> Picker:
    groups = [
        Group("Web and logic", [_kind_entry(kind) for kind in STEP_KINDS]),
        Group("Apps", _app_entries(editor)),
    ]
    return Picker(after, inside, search, _place(editor, after), _fitting(groups, search))


def _fitting(groups: list[Group], search: str) -> list[Group]:
    words = search.lower().split()
    fitting = [Group(group.label, [e for e in group.entries if e.fits(words)]) for group in groups]
    return [group for group in fitting if group.entries]


def _place(editor: Editor, after: str) -> str:
    if not after:
        return "First on this path"
    number = editor.number(after)
    return f"After step {number}"


def _kind_entry(kind: str) -> Entry:
    facts = STEP_KINDS[kind]
    return Entry(facts.label, facts.says, facts.icon, {"kind": kind})


def _app_entries(editor: Editor) -> list[Entry]:
    return [
        Entry(
            action.label,
            connector.name,
            "zap",
            {"kind": "action", "connector": connector.key, "action": action.key},
            connector.key,
        )
        for connector in editor.registry.all()
        for action in connector.actions.values()
    ]


def trigger_choices(editor: Editor, search: str = "") -> list[Group]:
    """Every way a flow can start."""
    own = [
        Entry(facts.label, facts.says, facts.icon, {"kind": kind}) for kind, facts in TRIGGER_KINDS.items()
    ]
    apps = [
        Entry(
            trigger.label,
            connector.name,
            "zap",
            {"kind": "connector", "connector": connector.key, "trigger": trigger.key},
            connector.key,
        )
        for connector in editor.registry.all()
        for trigger in connector.triggers.values()
    ]
    return _fitting([Group("Start with", own), Group("Apps", apps)], search)
