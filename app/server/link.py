"""What two processes of one server tell each other: frames in their order, and connections with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable

# From the pages' process to the door's, and back.  `marshal`: both are the same interpreter, forked.
OPEN = b"O"  # the settings, pickled: the database is ready for it
CHANGE = b"H"  # what a person changed, in words
STOP = b"S"
READY = b"R"
TICKETS = b"T"  # runs that were committed, as a marshalled list
CONNECTION = b"C"  # either way: a connection, with the bytes that were read of its next request

_HEAD = struct.Struct("!cI")  # what it is, and how many bytes follow
_AT_ONCE = 256 * 1024
_MOST_SOCKETS = 64
_READS_AT_ONCE = 64  # each brings one connection: a burst of new ones must not wait a turn of the loop each

Hear = Callable[[bytes, bytes, "socket.socket | None"], None]


class Link:
    """One end of a socket pair.  All but `post_soon` belongs to the loop's thread."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox: deque[tuple[memoryview, int | None]] = deque()
        self._inbox = bytearray()
        self._sockets: deque[int] = deque()
        self._hear: Hear | None = None
        self._ended: Callable[[], None] | None = None
        self.is_open = True
        self.waiting = 0  # bytes that were posted and not yet taken by the other process

    def attach(self, loop: asyncio.AbstractEventLoop, hear: Hear, ended: Callable[[], None]) -> None:
        """`hear`: a frame and the connection that came with it, if one did.  `ended`: once, when the other
        process is gone."""
        self._loop, self._hear, self._ended = loop, hear, ended
        loop.add_reader(self._end.fileno(), self._read)
        self._send()

    def post(self, kind: bytes, body: bytes = b"", *, handed: int | None = None) -> None:
        """`handed`: the descriptor of a connection, which is closed here once it is on its way."""
        if not self.is_open:
            _close(handed)
            return
        frame = memoryview(_HEAD.pack(kind, len(body)) + body)
        self._outbox.append((frame, handed))
        self.waiting += len(frame)
        if len(self._outbox) == 1:
            self._send()

    def post_soon(self, kind: bytes, body: bytes = b"") -> None:
        """From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would hear
                self._loop.call_soon_threadsafe(self.post, kind, body)

    def flush(self, longest_s: float) -> None:
        """Waits until what was posted is on its way."""
        if self.is_open:
            self._end.settimeout(longest_s)
            with contextlib.suppress(OSError):
                while self._outbox:
                    self._send_first()

    def close(self) -> None:
        if not self.is_open:
            return
        self.is_open = False
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._end.fileno())
            self._loop.remove_writer(self._end.fileno())
        self._end.close()
        for fd in [*self._sockets, *(handed for _, handed in self._outbox)]:
            _close(fd)

    def _send(self) -> None:
        try:
            while self._outbox:
                self._send_first()
        except (BlockingIOError, InterruptedError):
            if self._loop is not None:
                self._loop.add_writer(self._end.fileno(), self._send_on)
        except OSError:
            self._end_here()

    def _send_on(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._end.fileno())
        self._send()

    def _send_first(self) -> None:
        frame, handed = self._outbox[0]
        if handed is None:
            sent = self._end.send(frame)
        else:
            sent = socket.send_fds(self._end, [frame], [handed])
            _close(handed)  # it travels with the first byte
        self.waiting -= sent
        if sent == len(frame):
            self._outbox.popleft()
        else:
            self._outbox[0] = (frame[sent:], None)

    def _read(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if not self._read_once():
                return

    def _read_once(self) -> bool:
        """Whether there may be more."""
        if not self.is_open:
            return False
        try:
            data, sockets, flags, _ = socket.recv_fds(self._end, _AT_ONCE, _MOST_SOCKETS)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            data, sockets, flags = b"", [], 0
        self._sockets.extend(sockets)
        # A connection that got lost, for want of free descriptors, must not be taken for the next one.
        if not data or flags & socket.MSG_CTRUNC:
            self._end_here()
            return False
        self._inbox += data
        self._take_frames()
        return True

    def _take_frames(self) -> None:
        at, inbox = 0, self._inbox
        while len(inbox) - at >= _HEAD.size and self._hear is not None:
            kind, length = _HEAD.unpack_from(inbox, at)
            end = at + _HEAD.size + length
            if len(inbox) < end:
                break
            body, at = bytes(inbox[at + _HEAD.size : end]), end
            self._hear(kind, body, self._socket() if kind == CONNECTION else None)
        del inbox[:at]

    def _socket(self) -> socket.socket:
        fd = self._sockets.popleft()
        os.set_inheritable(fd, False)
        return socket.socket(fileno=fd)

    def _end_here(self) -> None:
        was_open = self.is_open
        self.close()
        if was_open and self._ended is not None:
            self._ended()


def first_frame(end: socket.socket) -> tuple[bytes, bytes] | None:
    """Waits for it, before there is a loop.  None = the other process has ended."""
    head = end.recv(_HEAD.size, socket.MSG_WAITALL)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    body = end.recv(length, socket.MSG_WAITALL) if length else b""
    return (kind, body) if len(body) == length else None


def _close(fd: int | None) -> None:
    if fd is not None:
        with contextlib.suppress(OSError):
            os.close(fd)
