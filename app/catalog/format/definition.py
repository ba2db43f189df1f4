"""What a connector's files may say; everything else is refused.

`connector.yaml` is the Connector; each file in `triggers/`, `actions/` and `lookups/` is one
Trigger, Action or Lookup.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from app.catalog.format.auth import Auth, AuthField
from app.catalog.format.later import Batch, Later
from app.catalog.format.paging import Paginate
from app.catalog.format.request import BodyKind, Check, ErrorRule, Limit, Request, Success
from app.catalog.format.subscribe import Look, Subscribe
from app.catalog.format.values import (
    Day,
    Duration,
    FixedAddress,
    HeaderName,
    JsonPath,
    Key,
    Model,
    Pattern,
    Place,
    Url,
    Words,
)
from app.catalog.templates import Filler, TemplateText, filler, references_in

__all__ = [
    "Auth",
    "AuthField",
    "BodyKind",
    "Check",
    "ErrorRule",
    "Limit",
    "Look",
    "Paginate",
    "Request",
    "Subscribe",
    "Success",
]

FieldType = Literal[
    "string",
    "text",
    "email",
    "url",
    "phone",
    "number",
    "integer",
    "bool",
    "date",
    "datetime",
    "choice",
    "list",
    "json",
    "fields",
]
OutputType = Literal["string", "number", "integer", "bool", "date", "datetime", "list", "object"]
Category = Literal["ads", "analytics", "commerce", "content", "crm", "email", "forms", "messaging", "other"]


# ------------------------------------------------------------------------------ fields in, fields out


class InputField(Model):
    """`fields`: the account's own fields, found by the lookup.  `apart`: used by name, not part of
    `${fields}`, where each other one stands under its key or `sent_as`.  `lookup`: where the choices
    (or, for `fields`, the fields) come from."""

    key: Key
    label: Words
    type: FieldType = "string"
    required: bool = False
    help: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    lookup: Key | None = None
    pattern: Pattern | None = None
    longest: int | None = Field(default=None, ge=1)
    apart: bool = False
    sent_as: str = ""

    @model_validator(mode="after")
    def _fits_its_type(self) -> InputField:
        if self.type == "choice" and not (self.choices or self.lookup):
            raise ValueError(f"the choice '{self.key}' has neither choices nor a lookup")
        if self.choices and self.type not in ("choice", "list"):
            raise ValueError(f"'{self.key}' has choices, so its type has to be choice or list")
        if self.type == "fields" and (self.required or self.apart):
            raise ValueError(f"'{self.key}' stands for other fields: it is neither required nor apart")
        return self


class OutputField(Model):
    """`path` is seen from what `select` finds."""

    path: JsonPath
    label: Words
    type: OutputType = "string"
    sample: Any = None


class Output(Model):
    select: JsonPath = "$"
    fields: tuple[OutputField, ...] = ()


# -------------------------------------------------------------------------- actions and triggers


class Operation(Model):
    key: Key
    label: Words
    description: Words
    docs: Url
    scopes: tuple[str, ...] = ()
    input: tuple[InputField, ...] = ()
    output: Output = Output()
    success: Success | None = None
    exempt: str = ""

    @model_validator(mode="after")
    def _each_input_once(self) -> Operation:
        keys = [field.key for field in self.input]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"the input '{twice[0]}' is there twice")
        if sum(field.type == "fields" for field in self.input) > 1:
            raise ValueError("only one input may have the type fields")
        return self


class Idempotency(Model):
    """The header under which the service remembers a call, and answers a second one as the first."""

    header: HeaderName = "Idempotency-Key"


class Action(Operation):
    """`idempotent`: doing it twice leaves the service as doing it once.  `identity`: the inputs by
    which it finds what it changes.  `one_of`: at least one of these has to be mapped, or there is
    nothing to do.  Requests are tried in order (see `Request.next_on`)."""

    idempotent: bool
    idempotency: Idempotency | None = None
    identity: tuple[Key, ...] = ()
    one_of: tuple[Key, ...] = ()
    requests: tuple[Request, ...] = Field(min_length=1, max_length=3)
    later: Later | None = None
    batch: Batch | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Action:
        known = {field.key for field in self.input}
        for word, keys in (("identity", self.identity), ("one_of", self.one_of)):
            if missing := sorted(set(keys) - known):
                raise ValueError(f"{word} names '{missing[0]}', which is no input")
        if self.requests[-1].next_on:
            raise ValueError("the last request says next_on, but there is no next one")
        if any(not request.next_on for request in self.requests[:-1]):
            raise ValueError("a request that is not the last needs next_on, or the next is never tried")
        ids = [request.id for request in self.requests]
        if len(set(ids)) < len(ids):
            raise ValueError("two requests have the same id")
        if self.later is not None and self.batch is not None:
            raise ValueError("an action that is done later cannot go out in batches as well")
        if self.batch is not None and not self.idempotent:
            raise ValueError("only an idempotent action can go out in batches: a part may have to go again")
        return self


class Cursor(Model):
    """The largest value at `path` is kept and handed to the next poll as `${cursor}`, less the
    overlap; records that come again are known by `dedupe`."""

    path: JsonPath
    type: Literal["datetime", "number", "string"] = "datetime"
    start: Literal["now", "beginning"] = "now"
    overlap: Duration | None = None

    @property
    def overlap_s(self) -> float:
        return self.overlap or 0.0


class PollTrigger(Operation):
    """Asks the service every so often.  `dedupe`: the path of what makes a record the same one.
    `table`: the first record is a heading, and each other one becomes `{row, cells}`.  `reads`: not
    the answer of an API but the feed at the input `url`, or a mailbox; these need no request.
    `may_lack_items`: the service leaves the list out of its answer when nothing is in it."""

    kind: Literal["poll"]
    reads: Literal["answer", "feed", "mailbox"] = "answer"
    every: Duration
    at_least: Duration = 60.0
    request: Request = Request(method="GET", path="/")
    paginate: Paginate | None = None
    items: JsonPath = "$"
    may_lack_items: bool = False
    table: bool = False
    cursor: Cursor | None = None
    dedupe: JsonPath
    remember: Duration = 30 * 86400.0

    @model_validator(mode="after")
    def _holds_together(self) -> PollTrigger:
        if self.every < self.at_least:
            raise ValueError("every is shorter than at_least")
        described = {"request", "items"} & self.model_fields_set
        if self.reads == "answer" and len(described) < 2:
            raise ValueError("request and items have to be there: what is asked, and where the records are")
        if self.reads != "answer" and (described or self.paginate or self.cursor):
            raise ValueError(f"a {self.reads} is read by itself: it needs no request, items, pages or cursor")
        if self.request.next_on:
            raise ValueError("a poll has one request: next_on cannot stand here")
        return self


class Verify(Model):
    """How it is known that a delivery is genuine.  `message`: what is signed, put together from
    {body}, {timestamp}, {id}, {method}, {url}, {form} (the fields of a form body in order, each name
    followed by its value).  `secret`: the key of a secret connection field; for `ecdsa_p256` it holds
    the sender's public key.  `basic`: the name and password of a web server, the secret being the
    password.  `scheme: none` needs a `reason`, which the builder shows."""

    scheme: Literal["hmac_sha256", "hmac_sha1", "ecdsa_p256", "standard_webhooks", "token", "basic", "none"]
    secret: Key | Literal[""] = ""
    header: HeaderName | Literal[""] = ""
    prefix: str = ""
    message: str = "{body}"
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | Literal[""] = ""
    timestamp_unit: Literal["s", "ms", "iso"] = "s"
    id_header: HeaderName | Literal[""] = ""
    username: str = ""
    max_age: Duration = 300.0
    reason: str = ""

    @model_validator(mode="after")
    def _holds_together(self) -> Verify:
        if self.scheme == "none":
            if not self.reason:
                raise ValueError("scheme none needs a reason: why can nobody check who sends this?")
            return self
        if not self.secret:
            raise ValueError(f"scheme {self.scheme} needs secret: the connection field that holds it")
        if not self.header and self.scheme not in ("standard_webhooks", "basic"):
            raise ValueError(f"scheme {self.scheme} needs header: where the signature stands")
        for word, header in (("timestamp", self.timestamp_header), ("id", self.id_header)):
            if "{" + word + "}" in self.message and not header:
                raise ValueError(f"message holds {{{word}}}, so {word}_header has to be there")
        return self

    @property
    def algorithm(self) -> Literal["sha256", "sha1"]:
        return "sha1" if self.scheme == "hmac_sha1" else "sha256"

    @property
    def max_age_s(self) -> int:
        return int(self.max_age)


class HandshakeToken(Model):
    """What the service sends back to us: the value at `place` has to be the secret field's."""

    place: Place
    secret: Key


class HandshakeProof(Model):
    """The answer becomes JSON: what stands at `answer`, signed with the secret field, under
    `signed_as`, and as it came under `plain_as`."""

    secret: Key
    signed_as: str
    plain_as: str = ""
    prefix: str = ""
    encoding: Literal["hex", "base64"] = "hex"


class Handshake(Model):
    """A request by which the service asks whether somebody is there; it starts no run.  It is one
    when all of `when` hold.  `answer`: what is sent back as text, '' = nothing.  `echo_header`: a
    header that is sent back as it came.  `keeps`: where the secret stands that the service signs with
    from now on; taken only while it is being told.  `signed`: it has to pass `verify` too."""

    method: Literal["GET", "POST", "HEAD"] = "POST"
    when: dict[Place, str] = {}
    token: HandshakeToken | None = None
    answer: Place | Literal[""] = ""
    proof: HandshakeProof | None = None
    echo_header: HeaderName | Literal[""] = ""
    keeps: Place | Literal[""] = ""
    signed: bool = True


class WebhookTrigger(Operation):
    """The service calls us.  `items`: each match becomes an event of its own ('' = the body is one).
    `where`: only items (or deliveries) with these values are taken; '' = nothing may stand there.
    `dedupe`: a path in the item, or `header:Name` of the delivery."""

    kind: Literal["webhook"]
    subscribe: Subscribe
    verify: Verify
    handshakes: tuple[Handshake, ...] = ()
    items: JsonPath | Literal[""] = ""
    where: dict[Place, str | tuple[str, ...]] = {}
    dedupe: Place | Literal[""] = ""
    remember: Duration = 7 * 86400.0


Trigger = Annotated[PollTrigger | WebhookTrigger, Field(discriminator="kind")]


# --------------------------------------------------------------------------------------- lookups


class LookupOptions(Model):
    """Items as choices of a dropdown; paths are seen from the item."""

    value: JsonPath
    label: JsonPath
    note: JsonPath | Literal[""] = ""


class LookupType(Model):
    """What the service calls its kinds of fields, in our words; others become `string`."""

    path: JsonPath
    map: dict[str, FieldType]


class LookupChoices(Model):
    items: JsonPath
    value: JsonPath = "$"
    label: JsonPath = "$"


class LookupFields(Model):
    """Items as the account's own fields."""

    key: JsonPath
    label: JsonPath
    type: LookupType | None = None
    choices: LookupChoices | None = None
    help: JsonPath | Literal[""] = ""


class Lookup(Model):
    """What only the account knows.  `needs`: inputs that have to be filled in first.  `where`: only
    items with these values.  `inner`: not the items themselves are meant, but what lies there in each.
    `table`: the items are the heading of a table, and each becomes `{letter, name}`."""

    key: Key
    label: Words
    docs: Url | None = None
    needs: tuple[Key, ...] = ()
    request: Request
    success: Success | None = None
    paginate: Paginate | None = None
    items: JsonPath
    table: bool = False
    where: dict[JsonPath, TemplateText | int | bool | None] = {}
    inner: JsonPath | Literal[""] = ""
    cache: Duration = 600.0
    options: LookupOptions | None = None
    fields: LookupFields | None = None

    @model_validator(mode="after")
    def _gives_one_thing(self) -> Lookup:
        if (self.options is None) == (self.fields is None):
            raise ValueError("a lookup gives either options or fields")
        return self


# ------------------------------------------------------------------------------------ connector


class Api(Model):
    """`also_at`: other addresses of the same service, which single requests name; the connection's
    secrets go there too, and nowhere else.  `checked`: the day somebody last compared these files with
    the service's documentation.  `contract`: the published document that tests hold the requests to,
    '' = there is none."""

    base_url: TemplateText
    also_at: tuple[FixedAddress, ...] = Field(default=(), max_length=10)
    version: str = ""
    supported_until: Day | None = None
    changelog: Url | None = None
    checked: Day
    contract: str = ""


class Connector(Model):
    """`connection_fields`: what every connection has, whatever its auth.  `success`: for all
    operations that state none of their own.  `at_once`: calls under way at a time, where the service
    states a number."""

    format: Literal[1] = 1
    key: Key
    name: Words
    category: Category
    description: Words
    owner: Words
    docs: Url
    api: Api
    connection_fields: tuple[AuthField, ...] = ()
    auth: tuple[Auth, ...] = Field(min_length=1)
    headers: dict[HeaderName, TemplateText] = {}
    check: Check | None = None
    limits: tuple[Limit, ...] = ()
    at_once: int | None = Field(default=None, ge=1, le=500)
    errors: tuple[ErrorRule, ...] = ()
    success: Success | None = None
    known_gaps: tuple[str, ...] = ()
    triggers: dict[str, Trigger] = {}
    actions: dict[str, Action] = {}
    lookups: dict[str, Lookup] = {}

    @cached_property
    def secret_keys(self) -> frozenset[str]:
        return frozenset(field.key for field in self.all_fields() if field.secret)

    @cached_property
    def base_url_parts(self) -> tuple[tuple[str, AuthField | None], ...]:
        """The connection fields that the base address is put together from."""
        used = references_in(self.api.base_url)
        keys = [one.path[0] for one in used if one.root == "connection" and one.path]
        return tuple((key, self.field_of(key)) for key in keys)

    @cached_property
    def base_url_filler(self) -> Filler:
        return filler(self.api.base_url)

    @cached_property
    def headers_filler(self) -> Filler:
        return filler(self.headers)

    @cached_property
    def default_limits(self) -> tuple[Limit, ...]:
        return tuple(limit for limit in self.limits if limit.default)

    def field_of(self, key: str) -> AuthField | None:
        """The connection field of that key, whichever auth block asks for it."""
        return next((field for field in self.all_fields() if field.key == key), None)

    def all_fields(self) -> Iterator[AuthField]:
        """Those that a sign-in brings along included."""
        yield from self.connection_fields
        for auth in self.auth:
            yield from auth.fields
            yield from auth.given
