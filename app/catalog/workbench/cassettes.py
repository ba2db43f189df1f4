"""A recorded exchange with a service and what it has to lead to; kept in `cassettes/*.json`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from app.catalog.complaints import complaint
from app.catalog.format.values import Model, Words
from app.errors import ConnectorInvalid, ErrorKind

_MOST_BYTES = 1024 * 1024
_SECRETS = re.compile(
    r"(pat-[a-z0-9]+-[0-9a-f-]{20,}|xox[a-z]-\d[\w-]{10,}|shp(?:at|ca|pa|ss)_[0-9a-f]{16,}"
    r"|sk_live_\w{10,}|whsec_[A-Za-z0-9+/=]{20,}|gh[pousr]_\w{20,}|AKIA[0-9A-Z]{16}|[0-9a-f]{32}-us\d{1,3}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
)


class TapedRequest(Model):
    """What has to be sent; what is not named here may be anything."""

    method: str
    path: str
    query: dict[str, str | list[str]] | None = None
    headers: dict[str, str] = {}
    json_body: Any = Field(default=None, alias="json")
    form: dict[str, str] | None = None


class TapedResponse(Model):
    status: int = Field(ge=100, le=599)
    headers: dict[str, str] = {}
    json_body: Any = Field(default=None, alias="json")
    text: str | None = None


class Exchange(Model):
    request: TapedRequest
    response: TapedResponse


class Delivery(Model):
    """What a service sent to us, byte by byte.  `secrets`: those of the connection, made up for
    the tape.  `at`: when it came."""

    method: str = "POST"
    path: str = "/hooks/tape"
    query: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    secrets: dict[str, str] = {}
    at: str = "2026-11-21T08:00:00Z"


class Expectation(Model):
    """Which of these are named depends on the operation: `output` or `error` of an action, `keys`
    and `cursor` of a poll, `keys`, `refused` or `answer` of a delivery, `options` or `fields` of a
    lookup, `account` of the connection check."""

    output: Any = None
    error: ErrorKind | None = None
    message: str = ""
    wait_s: float | None = None
    keys: list[str] | None = None
    cursor: str | int | float | dict[str, str] | None = None
    refused: bool = False
    answer: str | None = None
    options: list[list[str]] | None = None
    fields: list[dict[str, Any]] | None = None
    account: str | None = None


class Cassette(Model):
    """`operation`: `check`, `actions/<key>`, `triggers/<key>` or `lookups/<key>`."""

    about: Words
    operation: str = Field(pattern=r"^(check|(actions|triggers|lookups)/[a-z][a-z0-9_]*)$")
    connection: dict[str, str] = {}
    input: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    cursor: str | None = None
    exchange: tuple[Exchange, ...] = ()
    delivery: Delivery | None = None
    expect: Expectation

    @model_validator(mode="after")
    def _has_something_to_play(self) -> Cassette:
        if bool(self.exchange) == (self.delivery is not None):
            raise ValueError("a cassette holds either an exchange or a delivery")
        return self

    @property
    def is_failure(self) -> bool:
        return self.expect.error is not None or self.expect.refused


def cassettes_of(folder: Path) -> Iterator[tuple[Path, Cassette]]:
    """Raises ConnectorInvalid for the first that cannot be read."""
    for file in sorted((folder / "cassettes").glob("*.json")):
        yield file, read_cassette(file, f"{folder.name}/cassettes/{file.name}")


def read_cassette(file: Path, shown: str) -> Cassette:
    try:
        text = file.read_text("utf-8") if file.stat().st_size <= _MOST_BYTES else ""
        data = json.loads(text)
    except (OSError, ValueError, RecursionError) as reason:
        raise ConnectorInvalid(f"this is not JSON that can be read: {reason}.", file=shown) from reason
    if found := _SECRETS.search(text):
        raise ConnectorInvalid(
            f"'{found[0][:8]}…' looks like a real secret.",
            file=shown,
            remedy="Put made-up values into cassettes.",
        )
    try:
        return Cassette.model_validate(data)
    except ValidationError as error:
        place, sentence = complaint(error, data, Cassette)
        raise ConnectorInvalid(sentence, file=shown, field=place) from error
