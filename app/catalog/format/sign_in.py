"""Ways to prove who one is that end in a token: a sign-in in the browser, a client's own id and
secret, a key that signs an assertion.  The token is fetched, renewed and kept by Plumbline."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from app.catalog.format.auth_fields import AuthBase, AuthField
from app.catalog.format.values import Duration, HeaderName, JsonPath, Key, Url
from app.catalog.templates import TemplateText

ACCESS_TOKEN = AuthField(key="access_token", label="Access token", secret=True)
CLIENT_ID = AuthField(key="client_id", label="Client ID")
CLIENT_SECRET = AuthField(key="client_secret", label="Client secret", secret=True)
KEY_FILE = AuthField(
    key="key_file",
    label="Key file",
    secret=True,
    multiline=True,
    help="The whole content of the JSON file that the service gave you.",
)


class TokenAuth(AuthBase):
    """`scopes`: asked for whatever the flows do; those of the operations come on top.  `implies`: a
    scope that includes others which the service then does not list.  `keep`: facts of the token's
    answer that become public connection fields.  `lasts`: where the answer does not say how long."""

    token_url: TemplateText
    scopes: tuple[str, ...] = ()
    scope_separator: Literal[" ", ","] = " "
    implies: dict[str, tuple[str, ...]] = {}
    client_auth: Literal["body", "basic", "none"] = "body"
    token_body: Literal["form", "json"] = "form"  # noqa: S105 - no password
    token_params: dict[str, TemplateText] = {}
    token_path: JsonPath = "$"  # noqa: S105 - no password
    header: HeaderName = "Authorization"
    value: TemplateText = "Bearer ${connection.access_token}"
    keep: dict[Key, JsonPath] = {}
    lasts: Duration | None = None

    @property
    def given(self) -> tuple[AuthField, ...]:
        return (ACCESS_TOKEN,)

    @model_validator(mode="after")
    def _asks_for_nothing_it_gets(self) -> TokenAuth:
        both = sorted({field.key for field in self.fields} & {field.key for field in self.given})
        if both:
            raise ValueError(f"the field '{both[0]}' comes by itself: nobody has to fill it in")
        return self


class OAuth2Auth(TokenAuth):
    """Sign-in at the service in the browser: authorization code with PKCE.  Client ID and secret are
    entered once per installation, for all connections.  `register_url`: where one gets them.  `issuer`:
    what the service calls itself when it sends the browser back."""

    type: Literal["oauth2"]
    authorize_url: TemplateText
    authorize_params: dict[str, TemplateText] = {}
    pkce: bool = True
    refresh_url: TemplateText = ""
    revoke_url: TemplateText = ""
    register_url: Url | Literal[""] = ""
    issuer: str = ""

    @property
    def given(self) -> tuple[AuthField, ...]:
        return (ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET)


class ClientCredentialsAuth(TokenAuth):
    """The account's own client ID and secret are changed for a token whenever one is needed.
    `grant_type`: for services that call it something else."""

    type: Literal["client_credentials"]
    fields: tuple[AuthField, ...] = (CLIENT_ID, CLIENT_SECRET)
    grant_type: str = "client_credentials"

    @model_validator(mode="after")
    def _has_its_fields(self) -> ClientCredentialsAuth:
        fields = {field.key: field for field in self.fields}
        secret = fields.get("client_secret")
        if "client_id" not in fields or secret is None or not secret.secret:
            raise ValueError("the fields have to hold client_id, and client_secret with secret: true")
        return self


class ServiceAccountAuth(TokenAuth):
    """A private key signs an assertion, which is changed for a token.  The key stands in the field
    `key_file` (Google's JSON file, which names its account) or `private_key` (PEM, with `issuer`).
    `subject`: whose data it acts on.  `audience`: the token_url, if nothing is said."""

    type: Literal["service_account"]
    fields: tuple[AuthField, ...] = (KEY_FILE,)
    algorithm: Literal["RS256", "ES256"] = "RS256"
    issuer: TemplateText = ""
    subject: TemplateText = ""
    audience: TemplateText = ""

    @model_validator(mode="after")
    def _has_its_key(self) -> ServiceAccountAuth:
        keys = {field.key for field in self.fields if field.secret}
        if not keys & {"key_file", "private_key"}:
            raise ValueError("the fields have to hold key_file or private_key, with secret: true")
        if "key_file" not in keys and not self.issuer:
            raise ValueError("with private_key it has to say who issues the assertion: issuer")
        return self
