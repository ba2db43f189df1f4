"""Live pages: a few streams of server-sent events at a time, each of them short."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flask import Flask, Response

from app.clock import Clock

MOST_STREAMS = 8  # each holds a thread of the server
LONGEST_S = 300  # then the browser connects again
HEARTBEAT_S = 15
LOOK_EVERY_S = 0.7
_REST = 5  # a page that takes long to make (a loop over thousands) is made less often


@dataclass(frozen=True)
class Change:
    """What there is now: `seen` names it, `part` makes the HTML."""

    seen: str
    is_open: bool
    part: Callable[[], str]


class Room:
    """How many streams are open in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def is_full(self) -> bool:
        return self._taken >= MOST_STREAMS

    def take(self) -> bool:
        with self._lock:
            if self.is_full:
                return False
            self._taken += 1
            return True

    def give_back(self) -> None:
        with self._lock:
            self._taken -= 1


def _room(app: Flask) -> Room:
    room: Room = app.extensions.setdefault("plumbline_streams", Room())
    return room


def has_room(app: Flask) -> bool:
    return not _room(app).is_full


def stream(app: Flask, follow: Callable[[], Iterator[str]]) -> Response | None:
    """None when all places are taken: the page then asks again by itself, less often."""
    room = _room(app)
    if not room.take():
        return None
    answer = Response(follow(), mimetype="text/event-stream")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"
    answer.call_on_close(room.give_back)
    return answer


def follow(
    look: Callable[[], Change],
    clock: Clock,
    last_seen: str = "",
    *,
    pause: Callable[[float], bool],
) -> Iterator[str]:
    """A message whenever what is seen changes; `done` after the last one.  `last_seen`: what the
    browser had when its connection broke.  `pause` waits, and says whether the browser is gone."""
    begun = spoke = clock.monotonic()
    seen = last_seen
    yield "retry: 2000\n\n"
    while clock.monotonic() - begun < LONGEST_S:
        looked = clock.monotonic()
        now = look()
        if now.seen != seen:
            yield _message(now.seen, now.part())
            seen, spoke = now.seen, clock.monotonic()
        if not now.is_open:
            yield "event: done\ndata: done\n\n"
            return
        if clock.monotonic() - spoke >= HEARTBEAT_S:
            yield ": still here\n\n"
            spoke = clock.monotonic()
        if pause(max(LOOK_EVERY_S, _REST * (clock.monotonic() - looked))):
            return


def _message(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.replace("\r", "").split("\n"))
    return f"id: {name}\n{lines}\n"
