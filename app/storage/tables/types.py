"""Column types: moments as integers, documents and bodies as compressed bytes."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_RAW, _DEFLATED = b"\x00", b"\x01"
_WORTH_DEFLATING = 2048  # deflating lets go of the interpreter, and a burst of small ones waits for it
# A deflater clears its tables first, which for a document of 1 KB costs five times its deflating:
# small documents get small tables (8 KB of window), and come out as small.
_SMALL = 32_000
_SMALL_TABLES = (1, zlib.DEFLATED, 13, 6)


def to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS


def from_ms(value: int) -> datetime:
    return _EPOCH + value * _MS


def pack(data: bytes) -> bytes:
    """One byte that says how, then the data, deflated where that saves room."""
    if len(data) < _WORTH_DEFLATING:
        return _RAW + data
    if len(data) < _SMALL:
        deflater = zlib.compressobj(*_SMALL_TABLES)
        small = deflater.compress(data) + deflater.flush()
    else:
        small = zlib.compress(data, 1)
    return _DEFLATED + small if len(small) < len(data) else _RAW + data


def unpack(stored: bytes) -> bytes:
    return zlib.decompress(stored[1:]) if stored[:1] == _DEFLATED else bytes(stored[1:])


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC, kept as milliseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - _EPOCH) // _MS

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + value * _MS


class PackedBytes(TypeDecorator[bytes]):
    """A body as it came or went, deflated when large."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else pack(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else unpack(value)


class PackedJson(TypeDecorator[Any]):
    """A JSON document, deflated when large; for history, which is written often and read seldom."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else pack(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(unpack(value))


class JsonText(TypeDecorator[Any]):
    """A JSON document kept as readable text; for configuration."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)
