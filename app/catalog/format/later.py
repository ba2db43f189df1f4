"""What a connector says of calls that are accepted first and done later, or made for many at once."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, model_validator

from app.catalog.format.request import Request
from app.catalog.format.values import Duration, JsonPath, Model, Place
from app.catalog.templates import Filler, TemplateText, TemplateTree, filler
from app.errors import ErrorKind

Wanted = dict[JsonPath, str | tuple[str, ...]]


class Verdict(Model):
    """How the final word is read: it is a failure when all of `failed` hold, and `message` says why."""

    failed: Wanted = {}
    message: JsonPath = ""
    kind: ErrorKind = "invalid_payload"


class StatusCheck(Verdict):
    """Asks until it is done.  What is asked: the address that the first answer names at `at`, or a
    request of its own, which sees `${accepted.path}`.  It is not done yet while the answer has one of
    the `pending` statuses, or while one of `done` does not hold."""

    at: Place | str = Field(default="", pattern=r"^(header:[A-Za-z0-9-]{1,80}|\$.*)?$")
    request: Request | None = None
    done: Wanted = {}
    pending: tuple[int, ...] = ()
    every: Duration = 10.0
    at_most: Duration = 3600.0

    @model_validator(mode="after")
    def _holds_together(self) -> StatusCheck:
        if bool(self.at) == (self.request is not None):
            raise ValueError("check needs either at (where the address stands) or a request")
        if not self.done and not self.pending:
            raise ValueError("check needs done or pending, or it is never known when it is over")
        if self.request is not None and (self.request.method != "GET" or self.request.next_on):
            raise ValueError("the request of a check is one GET")
        return self


class Callback(Verdict):
    """The service calls the one-time address `${callback}`, which one of the action's requests sends it;
    what it says there is the action's answer."""

    at_most: Duration = 86400.0


class Later(Model):
    """The service takes the call and does it afterwards.  It did so when the answer has one of these
    statuses and all of `when` hold; any other answer is final."""

    status: tuple[int, ...] = (202,)
    when: Wanted = {}
    check: StatusCheck | None = None
    callback: Callback | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Later:
        if (self.check is None) == (self.callback is None):
            raise ValueError("later needs either check or callback")
        if not self.status:
            raise ValueError("later needs at least one status")
        return self


class Part(Model):
    """Where an answer speaks of single records.  `match`: what tells them apart, seen from an item.
    `select`: the part of a result that is the action's output."""

    items: JsonPath
    match: JsonPath
    select: JsonPath = "$"
    message: JsonPath = ""
    kind: ErrorKind = "invalid_payload"


class Batch(Model):
    """One call for up to `max` records, gathered from runs for at most `within`.  `record`: what stands
    in `${records}` for each.  `match`: what tells a record apart in the answer; two with the same never
    go together.  A record that is neither among `results` nor among `errors` goes out once more, alone;
    so do all when the service refuses the call because of what it holds."""

    max: int = Field(ge=2, le=1000)
    within: Duration = 2.0
    request: Request
    record: TemplateTree
    match: TemplateText
    results: Part | None = None
    errors: Part | None = None

    @cached_property
    def record_filler(self) -> Filler:
        return filler(self.record)

    @cached_property
    def match_filler(self) -> Filler:
        return filler(self.match)

    @model_validator(mode="after")
    def _holds_together(self) -> Batch:
        if self.request.next_on:
            raise ValueError("a batch has one request: next_on cannot stand here")
        if self.within > 3600:
            raise ValueError("within can be one hour at most")
        return self
