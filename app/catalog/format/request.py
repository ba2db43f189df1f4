"""One described request, and what its answers mean."""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from app.catalog.format.values import Duration, FixedAddress, HeaderName, JsonPath, Key, Model
from app.catalog.templates import Filler, Reference, TemplateText, TemplateTree, filler, references_in
from app.errors import ErrorKind

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
BodyKind = Literal["none", "json", "form", "multipart", "raw"]


class ErrorRule(Model):
    """First match wins.  `says`: only when the answer holds this text.  `message` may use
    `${response.path}`, and does not count when the answer has nothing there.  `wait`: `header:Name`
    or a number of seconds such as `10s`."""

    status: tuple[int, ...] = Field(min_length=1)
    says: str = ""
    kind: ErrorKind
    message: TemplateText = ""
    wait: str = Field(default="", pattern=r"^(header:[A-Za-z0-9-]+|\d{1,5}s)?$")


class Success(Model):
    """For services that answer 200 and say in the body whether it worked.  `kinds`: what the text
    found at `message` means; `kind` for all others."""

    path: JsonPath
    equals: str | int | bool | None
    message: JsonPath = ""
    kind: ErrorKind = "invalid_payload"
    kinds: dict[str, ErrorKind] = {}

    @model_validator(mode="after")
    def _kinds_need_a_message(self) -> Success:
        if self.kinds and not self.message:
            raise ValueError("kinds are looked up by the text at message, which is missing")
        return self


class Request(Model):
    """`at`: one of the connector's `also_at`, where this request does not go to its base address.
    `next_on`: with these statuses the next request is tried.  `limits`: the windows it counts in,
    None = those marked as default."""

    id: Key = "request"
    method: Method
    at: FixedAddress | Literal[""] = ""
    path: TemplateText
    query: TemplateTree = {}
    headers: dict[HeaderName, TemplateText] = {}
    body: TemplateTree = None
    body_kind: BodyKind | None = None
    content_type: str = ""
    limits: tuple[Key, ...] | None = None
    next_on: tuple[int, ...] = ()
    errors: tuple[ErrorRule, ...] = ()

    @model_validator(mode="after")
    def _holds_together(self) -> Request:
        if not self.path.startswith("/"):
            raise ValueError(f"the path '{self.path[:60]}' has to begin with /")
        if not isinstance(self.query, dict):
            raise ValueError("query has to be a table of names and values")
        if self.method == "GET" and self.body is not None:
            raise ValueError("a GET request has no body")
        if self.body_kind == "none" and self.body is not None:
            raise ValueError("there is a body, but body_kind says none")
        return self

    @property
    def kind_of_body(self) -> BodyKind:
        return self.body_kind or ("none" if self.body is None else "json")

    @cached_property
    def path_filler(self) -> Filler:
        return filler(self.path)

    @cached_property
    def path_parts(self) -> tuple[tuple[Reference, Filler], ...]:
        """What has to be filled in for the path to be an address."""
        return tuple((one, filler(one.text)) for one in references_in(self.path))

    @cached_property
    def query_filler(self) -> Filler:
        return filler(self.query)

    @cached_property
    def headers_filler(self) -> Filler:
        return filler(self.headers)

    @cached_property
    def body_filler(self) -> Filler:
        return filler(self.body)


class Check(Model):
    """“Test connection”.  `account`: the part of the answer that names the account."""

    request: Request
    account: JsonPath = ""
    success: Success | None = None


class Limit(Model):
    """At most `requests` calls in any `per` seconds, for one connection.  `default`: counts for
    every request that does not say otherwise."""

    key: Key
    requests: int = Field(ge=1, le=100_000_000)
    per: Duration
    default: bool = False
