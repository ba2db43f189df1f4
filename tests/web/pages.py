"""The pages as an application, quicker to make: what templates compile to is kept for the whole run."""

from __future__ import annotations

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache

from app.parts import Parts
from app.web import create_app


class _Kept(BytecodeCache):
    """In memory; a template that changed has another checksum."""

    def __init__(self) -> None:
        self._codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._codes:
            bucket.bytecode_from_string(self._codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.bytecode_to_string()


_kept = _Kept()


def pages_over(parts: Parts) -> Flask:
    app = create_app(parts)
    app.jinja_env.bytecode_cache = _kept
    return app
