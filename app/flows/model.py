"""What a flow is: a trigger and a list of steps, as it is stored, exported and pinned by a run.

Everything a person fills in is a `Mapping`: a text with references such as
`Bought {{trigger:$['line_items'][*]['title'] | join:", "}}`.  Steps are referred to by their id,
never by position, so moving a step breaks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

StepId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
WhenEmpty = Literal["leave_out", "default", "stop"]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Mapping(Model):
    """`when_empty` None = the field's own rule: stop where it is required, else leave it out."""

    value: str = ""
    when_empty: WhenEmpty | None = None
    default: str = ""


def _mapping(value: Any) -> Any:
    """A bare text (or number, or flag) in a flow file stands for a mapping of that text."""
    if isinstance(value, bool):
        return {"value": "true" if value else "false"}
    if isinstance(value, str | int | float):
        return {"value": str(value)}
    return value


MappingField = Annotated[Mapping, BeforeValidator(_mapping)]


def read_mapping(value: Any) -> Mapping:
    """A mapping as it stands in a flow file or a stored version."""
    return Mapping.model_validate(_mapping(value))


class NamedMapping(Model):
    """One row of a list: a query parameter, a header, a body field, a variable."""

    name: str
    mapping: MappingField = Mapping()


class Gap(Model):
    """What could not be brought along from another tool: the flow goes live only once somebody has
    seen to it and taken this away."""

    what: str
    reason: str


# ---------------------------------------------------------------------------------- conditions

Operator = Literal[
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "is_one_of",
    "is_not_one_of",
    "greater",
    "greater_or_equal",
    "less",
    "less_or_equal",
    "between",
    "before",
    "after",
    "is_true",
    "is_false",
    "is_empty",
    "is_not_empty",
    "exists",
    "not_exists",
    "matches",
    "not_matches",
    "length_equals",
    "length_greater",
    "length_less",
]


class Condition(Model):
    left: MappingField
    operator: Operator
    right: MappingField = Mapping()
    right_to: MappingField = Mapping()  # only for `between`
    ignore_case: bool = True


class Conditions(Model):
    """OR between groups, AND inside a group."""

    groups: list[list[Condition]] = Field(min_length=1)


# ------------------------------------------------------------------------------------ triggers


class Signature(Model):
    """A generic check of inbound signatures; the secret lies in the connection named here.  What
    stands after `scheme` counts where that needs it."""

    connection_id: str
    scheme: Literal["hmac", "token", "basic", "standard_webhooks", "ecdsa_p256"] = "hmac"
    username: str = ""
    header: str = ""
    algorithm: Literal["sha256", "sha1"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    message: str = "{body}"  # of {body} {timestamp} {id} {method} {url} {form}
    timestamp_header: str = ""
    id_header: str = ""
    max_age_s: int = 300


class BaseTrigger(Model):
    id: StepId = "trigger"
    name: str = ""
    gaps: list[Gap] = []


class WebhookTrigger(BaseTrigger):
    """`items`: a JSONPath; each match becomes an event of its own ('' = the body is one event)."""

    kind: Literal["webhook"] = "webhook"
    methods: list[Literal["GET", "POST", "PUT"]] = ["POST"]
    items: str = ""
    dedupe: str = ""  # JSONPath in the event, `header:X-Delivery-Id`, `none`; '' = the sender's usual ids
    signature: Signature | None = None


class HttpRequest(Model):
    """A request somebody described by hand; all texts may hold references."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
    url: MappingField = Mapping()
    query: list[NamedMapping] = []
    headers: list[NamedMapping] = []
    body_kind: Literal["none", "json", "json_text", "form", "multipart", "raw"] = "none"
    body: list[NamedMapping] = []  # json, form, multipart; a json name may be a dotted path
    body_text: MappingField = Mapping()  # json_text, raw
    content_type: str = ""  # raw
    connection_id: str = ""
    timeout_s: float = Field(default=30, gt=0, le=300)
    follow_redirects: bool = False
    parse: Literal["auto", "json", "xml", "text"] = "auto"


class PollTrigger(BaseTrigger):
    """Looks at an address again and again; `items` finds the records in its answer."""

    kind: Literal["poll"] = "poll"
    request: HttpRequest
    items: str = "$[*]"
    dedupe: str = ""  # JSONPath in a record; '' = its id, guid or link, else the whole record
    cursor: str = ""  # JSONPath in a record whose largest value is kept as {{cursor}}
    every_s: int = Field(default=300, ge=10, le=31 * 86400)


class ScheduleTrigger(BaseTrigger):
    """`when`: five cron fields, or words such as `every weekday at 07:00`."""

    kind: Literal["schedule"] = "schedule"
    when: str
    catch_up: Literal["once", "skip"] = "once"  # a fire missed while the server was down


class ManualTrigger(BaseTrigger):
    kind: Literal["manual"] = "manual"


class ConnectorTrigger(BaseTrigger):
    """A trigger that a connector describes: a poll, or a webhook with its own verification."""

    kind: Literal["connector"] = "connector"
    connector: str
    trigger: str
    connection_id: str = ""
    input: dict[str, MappingField] = {}
    every_s: int | None = Field(default=None, ge=10, le=31 * 86400)
    accept_unsigned: bool = False


Trigger = Annotated[
    WebhookTrigger | PollTrigger | ScheduleTrigger | ManualTrigger | ConnectorTrigger,
    Field(discriminator="kind"),
]


# --------------------------------------------------------------------------------------- steps


class RetryPolicy(Model):
    """`standard`: quick tries, then slow ones over 28 hours.  `quick`: three within seconds.
    `custom`: `attempts` in all.  None ever tries more often or longer than `standard`."""

    preset: Literal["standard", "quick", "none", "custom"] = "standard"
    attempts: int = Field(default=4, ge=1, le=10)
    first_wait_s: int = Field(default=1, ge=1, le=86400)


class BaseStep(Model):
    id: StepId
    name: str = ""
    note: str = ""
    on_error: Literal["stop", "continue"] = "stop"
    default_output: Any = None  # what later steps see when this one failed and the run goes on
    retry: RetryPolicy = RetryPolicy()
    gaps: list[Gap] = []


class HttpStep(BaseStep):
    """`repeat`: may a call whose outcome is unknown be sent again under the same key?
    None = by method: GET, HEAD, OPTIONS, PUT, DELETE yes; POST and PATCH ask a person."""

    kind: Literal["http"] = "http"
    request: HttpRequest = HttpRequest()
    success: Conditions | None = None  # sees {{answer:$.status}}, {{answer:$.body…}}, {{answer:$.headers…}}
    repeat: Literal["safe", "ask"] | None = None


class ActionStep(BaseStep):
    kind: Literal["action"] = "action"
    connector: str
    action: str
    connection_id: str = ""
    input: dict[str, MappingField] = {}
    extra: list[NamedMapping] = []  # the account's own fields, for inputs of type `fields`
    together: bool = False  # in one call with the records of other runs, where the action can


class FilterStep(BaseStep):
    kind: Literal["filter"] = "filter"
    conditions: Conditions


class Path(Model):
    """`conditions` None = "Everyone else": taken when no other path was."""

    id: StepId
    name: str
    conditions: Conditions | None = None
    steps: list[Step] = []


class PathsStep(BaseStep):
    kind: Literal["paths"] = "paths"
    take: Literal["first", "all"] = "all"  # of the paths whose conditions hold
    paths: list[Path] = Field(min_length=1)


class ForEachStep(BaseStep):
    """Inside, `{{<id>:$['item']}}` and `{{<id>:$['index']}}`; afterwards `{{<id>:$['results']}}`:
    a list with, for each item, the output of the last step inside."""

    kind: Literal["for_each"] = "for_each"
    items: MappingField
    concurrency: int = Field(default=1, ge=1, le=20)
    steps: list[Step] = []


class DelayStep(BaseStep):
    kind: Literal["delay"] = "delay"
    mode: Literal["for", "until"] = "for"
    amount: MappingField = Mapping(value="1")
    unit: Literal["seconds", "minutes", "hours", "days", "weeks"] = "hours"
    until: MappingField = Mapping()


class SetStep(BaseStep):
    kind: Literal["set"] = "set"
    values: list[NamedMapping] = []


class StopStep(BaseStep):
    kind: Literal["stop"] = "stop"
    outcome: Literal["succeeded", "failed"] = "succeeded"
    message: MappingField = Mapping()


class EmailStep(BaseStep):
    """Sent over SMTP: by the connection (connector `smtp`), else by the server's own setting."""

    kind: Literal["email"] = "email"
    connection_id: str = ""
    to: MappingField = Mapping()
    cc: MappingField = Mapping()
    reply_to: MappingField = Mapping()
    sender: MappingField = Mapping()
    subject: MappingField = Mapping()
    text: MappingField = Mapping()


Step = Annotated[
    HttpStep | ActionStep | FilterStep | PathsStep | ForEachStep | DelayStep | SetStep | StopStep | EmailStep,
    Field(discriminator="kind"),
]

Path.model_rebuild()
PathsStep.model_rebuild()
ForEachStep.model_rebuild()


class FlowDefinition(Model):
    """`format`: the version of this model, for files written by earlier releases.  `one_by_one`: runs
    for which this gives the same value go one after another, in the order their events came."""

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=200)
    description: str = ""
    time_zone: str = "UTC"
    one_by_one: MappingField = Mapping()
    most_at_once: int | None = Field(default=None, ge=1, le=1000)
    trigger: Trigger
    steps: list[Step] = []


def walk(steps: list[Step]) -> Iterator[Step]:
    """Each step in the order of the page, those inside paths and loops included."""
    for step in steps:
        yield step
        for inner in children(step):
            yield from walk(inner)


def children(step: Step) -> list[list[Step]]:
    """The lists of steps inside this one: a list per path, one for a loop, none otherwise."""
    if isinstance(step, PathsStep):
        return [path.steps for path in step.paths]
    if isinstance(step, ForEachStep):
        return [step.steps]
    return []
