"""Reading the body of an answer: inflated by us in small steps, never more than the cap in memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable

MAX_BODY = 10 * 1024 * 1024
_STEP = 64 * 1024
_GZIP_OR_ZLIB = 47  # window bits: the header says which
_GZIP_START = b"\x1f\x8b"


class BadEncoding(Exception):
    """The body is not what its Content-Encoding says."""


class Body:
    """What has arrived so far; `full` once the cap is passed, then nothing more is read."""

    __slots__ = ("_inflater", "_parts", "encoding", "full", "size")

    def __init__(self, encoding: str = "") -> None:
        self.encoding = encoding.strip().lower()
        self.size = 0
        self.full = False
        self._parts: list[bytes] = []
        packed = self.encoding in ("gzip", "x-gzip", "deflate")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB) if packed else None

    async def read(self, stream: AsyncIterable[bytes]) -> None:
        """Raises BadEncoding; what arrived before stays."""
        if self._inflater is None and self.encoding not in ("", "identity"):
            raise BadEncoding(self.encoding)
        begun = False
        async for chunk in stream:
            begun = begun or bool(chunk)
            if self._inflater is None:
                self._take(chunk)
            else:
                self._inflate(self._inflater, chunk)
            if self.full:
                return
        if begun and self._inflater is not None and not self._inflater.eof:
            raise BadEncoding(f"{self.encoding}, cut off")

    def _inflate(self, inflater: zlib._Decompress, chunk: bytes) -> None:
        try:
            while not self.full:
                piece = inflater.decompress(chunk, _STEP)
                self._take(piece)
                chunk = inflater.unconsumed_tail
                if inflater.eof and inflater.unused_data.startswith(_GZIP_START):
                    chunk = inflater.unused_data
                    inflater = self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
                elif inflater.eof or (not chunk and len(piece) < _STEP):
                    return
        except zlib.error as reason:
            raise BadEncoding(self.encoding) from reason

    def _take(self, data: bytes) -> None:
        room = MAX_BODY - self.size
        if len(data) > room:
            data, self.full = data[:room], True
        self.size += len(data)
        if data:
            self._parts.append(data)

    def data(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
