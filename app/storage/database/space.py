"""How much room the disk of the data folder has left, and a reserve for what must still be written.

Below `min_free_mb` nothing new is accepted and no run is begun; what calls under way bring back fits
into the room that is left.  Should other programs use that up too, the reserve, a file that holds
nothing, is given back to the disk.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from app.clock import Clock

_LOOKED_AT_S = 1.0
_MB = 1024 * 1024
_MOST_RESERVED = 64 * _MB
_PART_RESERVED = 4
_RESERVE = "reserve.bin"


class Space:
    """May be asked from any thread; looks at most once a second."""

    def __init__(self, folder: Path, min_free_mb: int, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_until: float | None = None
        self._is_low = False
        self.wanted = max(min_free_mb, 0) * _MB
        self.free = 0
        self._reserve = folder / _RESERVE
        self._reserved = min(_MOST_RESERVED, self.wanted // _PART_RESERVED)

    @property
    def is_low(self) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            if self._looked_until is None or now >= self._looked_until:
                self._looked_until = now + _LOOKED_AT_S
                self._look()
            return self._is_low

    @property
    def sentence(self) -> str:
        return (
            f"The disk is almost full: {max(self.free, 0) // _MB:,} MB are free, "
            f"and Plumbline needs {self.wanted // _MB:,} MB."
        )

    def _look(self) -> None:
        self.free = self._measure()
        self._is_low = self.free < self.wanted

    def _measure(self) -> int:
        try:
            free = shutil.disk_usage(self._folder).free
            facts = os.statvfs(self._folder)
        except OSError:
            return 0
        return 0 if facts.f_files and not facts.f_favail else free  # a disk may run out of file entries

    # ------------------------------------------------------------------------------ the reserve

    def keep_reserve(self) -> None:
        """Called now and then: makes the reserve while there is plenty of room, gives it up when there
        is almost none."""
        self.free = self._measure()
        if self.free >= self.wanted + 2 * self._reserved:
            self._make_reserve()
        elif self.free < self._reserved:
            self.give_up_reserve()

    def give_up_reserve(self) -> None:
        """What waits to be written gets this room."""
        with contextlib.suppress(OSError):
            self._reserve.unlink()
            self._looked_until = None

    def _make_reserve(self) -> None:
        if not self._reserved or self._reserve.exists():
            return
        try:
            with self._reserve.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._reserved)
        except OSError:
            self.give_up_reserve()
