"""How the builder calls things: kinds of steps and triggers, what a card and a rule say in a line."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from app.catalog.registry import Registry
from app.flows.conditions import OPERATORS
from app.flows.mapping.picker import humanise
from app.flows.mapping.template import compile_template
from app.flows.model import (
    ActionStep,
    Condition,
    Conditions,
    ConnectorTrigger,
    DelayStep,
    EmailStep,
    FilterStep,
    ForEachStep,
    HttpRequest,
    HttpStep,
    Mapping,
    Path,
    PathsStep,
    PollTrigger,
    ScheduleTrigger,
    SetStep,
    Step,
    StopStep,
    Trigger,
    WebhookTrigger,
)
from app.web.builder.kinds import interval_words


@dataclass(frozen=True)
class KindFacts:
    """`says`: one sentence for the picker."""

    label: str
    icon: str
    says: str


TRIGGER_KINDS = {
    "webhook": KindFacts(
        "Webhook", "webhook", "Starts at once when another system sends data to an address."
    ),
    "schedule": KindFacts(
        "Schedule", "calendar-clock", "Starts at the times you say, such as every weekday at 7."
    ),
    "poll": KindFacts(
        "Look at an address", "refresh-cw", "Looks at a web address again and again for new records."
    ),
    "manual": KindFacts("By hand", "mouse-pointer-click", "Starts when somebody presses “Run now”."),
}
STEP_KINDS = {
    "http": KindFacts("Web request", "globe", "Send data to any web address, or get some from it."),
    "filter": KindFacts("Filter", "filter", "Go on only if what you say is true."),
    "paths": KindFacts("Paths", "split", "Do different things in different cases."),
    "for_each": KindFacts("For each", "repeat", "Do the same for every item of a list."),
    "delay": KindFacts("Delay", "hourglass", "Wait some time, or until a date, then go on."),
    "set": KindFacts("Set values", "variable", "Work values out once, use them in later steps."),
    "stop": KindFacts("Stop", "octagon-x", "End the run here and say why."),
    "email": KindFacts("Email", "mail", "Send an email to somebody of your team."),
}
_LONGEST_LINE = 70


@dataclass(frozen=True)
class CardWords:
    """`connector`: whose mark is shown; without one, `icon`."""

    app: str
    title: str
    line: str
    icon: str
    connector: str = ""


def trigger_words(trigger: Trigger, registry: Registry) -> CardWords:
    if isinstance(trigger, ConnectorTrigger):
        connector = registry.find(trigger.connector)
        found = registry.find_trigger(trigger.connector, trigger.trigger)
        app = connector.name if connector else trigger.connector
        title = trigger.name or (found.label if found else trigger.trigger)
        return CardWords(app, title, "", "zap", trigger.connector)
    facts = TRIGGER_KINDS[trigger.kind]
    return CardWords(facts.label, trigger.name or _trigger_title(trigger), _trigger_line(trigger), facts.icon)


def _trigger_title(trigger: Trigger) -> str:
    titles = {
        "webhook": "When data comes in",
        "poll": "When a new record is found",
        "schedule": "At set times",
        "manual": "When you start it",
    }
    return titles[trigger.kind]


def _trigger_line(trigger: Trigger) -> str:
    if isinstance(trigger, WebhookTrigger):
        return " or ".join(trigger.methods) + " · at once"
    if isinstance(trigger, PollTrigger):
        return f"{_host(trigger.request)} · {interval_words(trigger.every_s)}".lstrip(" ·")
    if isinstance(trigger, ScheduleTrigger):
        return trigger.when
    return ""


def step_words(step: Step, registry: Registry) -> CardWords:
    if isinstance(step, ActionStep):
        connector = registry.find(step.connector)
        found = registry.find_action(step.connector, step.action)
        app = connector.name if connector else step.connector
        return CardWords(app, step.name or (found.label if found else step.action), "", "zap", step.connector)
    facts = STEP_KINDS[step.kind]
    line = _step_line(step)
    if step.name:
        return CardWords(facts.label, step.name, line, facts.icon)
    return CardWords(facts.label, _step_title(step), line, facts.icon)


def _step_title(step: Step) -> str:
    if isinstance(step, HttpStep):
        return f"{_METHOD_WORDS.get(step.request.method, step.request.method)} a web address"
    titles = {
        "filter": "Go on only if…",
        "paths": "Split into paths",
        "for_each": "Repeat for each item",
        "delay": "Wait",
        "set": "Set values",
        "stop": "Stop the run",
        "email": "Send an email",
    }
    return titles[step.kind]


_METHOD_WORDS = {
    "GET": "Get from",
    "POST": "Send to",
    "PUT": "Put to",
    "PATCH": "Update at",
    "DELETE": "Delete at",
}


def _step_line(step: Step) -> str:
    if isinstance(step, HttpStep):
        return f"{step.request.method} {_host(step.request)}" if step.request.url.value else ""
    if isinstance(step, FilterStep):
        return conditions_words(step.conditions)
    if isinstance(step, PathsStep):
        return "Every path that fits" if step.take == "all" else "The first path that fits"
    if isinstance(step, ForEachStep):
        return f"In {mapping_words(step.items)}" if step.items.value else ""
    if isinstance(step, DelayStep):
        return _delay_words(step)
    if isinstance(step, SetStep):
        return ", ".join(row.name for row in step.values)[:_LONGEST_LINE]
    if isinstance(step, StopStep):
        return mapping_words(step.message)
    if isinstance(step, EmailStep):
        return f"To {mapping_words(step.to)}" if step.to.value else ""
    return ""


def _delay_words(step: DelayStep) -> str:
    if step.mode == "until":
        return f"Until {mapping_words(step.until)}" if step.until.value else ""
    unit = step.unit[:-1] if step.amount.value == "1" else step.unit
    return f"For {mapping_words(step.amount)} {unit}"


def _host(request: HttpRequest) -> str:
    try:
        host = urlsplit(request.url.value).netloc
    except ValueError:
        host = ""
    return host if host and "{{" not in host else mapping_words(request.url)


# ------------------------------------------------------------------------------ rules in words


def path_words(path: Path) -> str:
    return "When no other path fits" if path.conditions is None else conditions_words(path.conditions)


def conditions_words(conditions: Conditions) -> str:
    """“Total price is at least 150 and Country is one of DE, AT”."""
    groups = [" and ".join(_condition_words(row) for row in group) for group in conditions.groups]
    return _cut(", or ".join(group for group in groups if group))


def _condition_words(condition: Condition) -> str:
    if not condition.left.value and not condition.right.value:
        return ""
    facts = OPERATORS[condition.operator]
    words = f"{mapping_words(condition.left)} {facts.label}"
    if facts.needs_right:
        words += f" {mapping_words(condition.right) or '…'}"
    if condition.operator == "between":
        words += f" and {mapping_words(condition.right_to) or '…'}"
    return words


def mapping_words(mapping: Mapping) -> str:
    """A template as people would say it: the names of its references in place of their paths."""
    text = mapping.value
    if "{{" not in text:
        return _cut(text)
    try:
        template = compile_template(text)
    except Exception:
        return _cut(text)
    for reference in template.references:
        start, end = text.find("{{"), text.find("}}")
        if start < 0 or end < start:
            break
        text = text[:start] + path_name(reference.path) + text[end + 2 :]
    return _cut(text)


def path_name(path: str) -> str:
    """`$['customer']['first_name']` is “First name”, `$['items'][*]['sku']` is “Sku (each)”."""
    names = [part.strip("'\"]") for part in path.replace("]", "").split("[")[1:]]
    words = [name for name in names if name and name != "*" and not name.lstrip("-").isdigit()]
    label = humanise(words[-1]) if words else "All of it"
    return f"{label} (each)" if "[*]" in path else label


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"
