"""What a connection asks for and how it proves who one is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.catalog.templates import TemplateText, references_in
from app.catalog.values import HeaderName, Key, Model, Pattern, Words


class AuthField(Model):
    """One thing a person fills in once per connection.  A secret one is sealed, never shown, and put
    into a call only inside the transport."""

    key: Key
    label: Words
    secret: bool = False
    required: bool = True
    help: str = ""
    pattern: Pattern | None = None
    default: str = ""
    choices: tuple[str, ...] = ()


class _Auth(Model):
    key: Key
    label: Words
    help: str = ""
    fields: tuple[AuthField, ...] = ()

    @model_validator(mode="after")
    def _each_field_once(self) -> _Auth:
        keys = [field.key for field in self.fields]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"the field '{twice[0]}' is there twice")
        return self


class BearerAuth(_Auth):
    """`Authorization: Bearer …` unless `value` says otherwise."""

    type: Literal["bearer"]
    value: TemplateText = ""

    @model_validator(mode="after")
    def _has_a_secret(self) -> BearerAuth:
        if not any(field.secret for field in self.fields):
            raise ValueError("none of the fields is secret: the token has to be")
        return self


class ApiKeyAuth(_Auth):
    type: Literal["api_key"]
    location: Literal["header", "query"] = "header"
    name: HeaderName
    value: TemplateText


class BasicAuth(_Auth):
    type: Literal["basic"]
    username: TemplateText
    password: TemplateText


class HeadersAuth(_Auth):
    """Several headers at once, for services that want more than one."""

    type: Literal["headers"]
    headers: dict[HeaderName, TemplateText] = Field(min_length=1)


class NoAuth(_Auth):
    type: Literal["none"]


Auth = Annotated[BearerAuth | ApiKeyAuth | BasicAuth | HeadersAuth | NoAuth, Field(discriminator="type")]


def check_auth(auth: Auth, fields: set[str]) -> None:
    """Its templates may name only the connection's own fields.  Raises ValueError."""
    for reference in references_in(auth.model_dump(exclude={"fields", "label", "help", "key"})):
        if reference.root != "connection" or reference.pipes:
            raise ValueError(
                f"auth.{auth.key}: {reference.text} cannot stand here, only ${{connection.field}}"
            )
        if reference.path[:1] == () or reference.path[0] not in fields:
            raise ValueError(f"auth.{auth.key}: {reference.text}: the connection has no such field")
