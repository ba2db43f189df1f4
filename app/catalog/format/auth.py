"""What a connection asks for and how it proves who one is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from app.catalog.format.auth_fields import AuthBase, AuthField
from app.catalog.format.sign_in import ClientCredentialsAuth, OAuth2Auth, ServiceAccountAuth, TokenAuth
from app.catalog.format.signing import HmacAuth
from app.catalog.format.values import HeaderName
from app.catalog.templates import TemplateText, references_in

__all__ = ["Auth", "AuthField", "HmacAuth", "OAuth2Auth", "TokenAuth"]


class BearerAuth(AuthBase):
    """`Authorization: Bearer …` unless `value` says otherwise."""

    type: Literal["bearer"]
    value: TemplateText = ""

    @model_validator(mode="after")
    def _has_a_secret(self) -> BearerAuth:
        if not any(field.secret for field in self.fields):
            raise ValueError("none of the fields is secret: the token has to be")
        return self


class ApiKeyAuth(AuthBase):
    type: Literal["api_key"]
    location: Literal["header", "query"] = "header"
    name: HeaderName
    value: TemplateText


class BasicAuth(AuthBase):
    type: Literal["basic"]
    username: TemplateText
    password: TemplateText


class HeadersAuth(AuthBase):
    """Several headers at once, for services that want more than one."""

    type: Literal["headers"]
    headers: dict[HeaderName, TemplateText] = Field(min_length=1)


class NoAuth(AuthBase):
    type: Literal["none"]


Auth = Annotated[
    BearerAuth
    | ApiKeyAuth
    | BasicAuth
    | HeadersAuth
    | OAuth2Auth
    | ClientCredentialsAuth
    | ServiceAccountAuth
    | HmacAuth
    | NoAuth,
    Field(discriminator="type"),
]


def check_auth(auth: Auth, fields: set[str]) -> None:
    """Its templates may name only the connection's own fields.  Raises ValueError."""
    for reference in references_in(auth.model_dump(exclude={"fields", "label", "help", "key"})):
        if reference.root != "connection" or reference.pipes:
            raise ValueError(
                f"auth.{auth.key}: {reference.text} cannot stand here, only ${{connection.field}}"
            )
        if reference.path[:1] == () or reference.path[0] not in fields:
            raise ValueError(f"auth.{auth.key}: {reference.text}: the connection has no such field")
