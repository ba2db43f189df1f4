"""The parts of the server, opened for one command and closed after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import orjson

from app.parts import Parts, open_parts
from app.settings import Settings


@contextmanager
def opened_parts(settings: Settings | None = None) -> Iterator[Parts]:
    """Works beside a running server: rows are what both share."""
    parts = open_parts(settings or Settings.from_env())
    try:
        yield parts
    finally:
        parts.database.close()


def print_json(document: Any) -> None:
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
    click.echo(orjson.dumps(document, option=options, default=str).decode())
