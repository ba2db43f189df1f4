"""Ids that sort by time and say what they name: `run_0mj3k…`, `evt_…`.

Twenty characters after the prefix: 48 bits of milliseconds and 52 random bits, in base 32 without
look-alikes.  Within one process ids rise strictly, so that inserts append and pages sort by id.
"""

from __future__ import annotations

import os
import random
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 52
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_DIGITS = {letter: digit for digit, letter in enumerate(_ALPHABET)}

_lock = threading.Lock()
_last = 0
# Ids are no secrets, and a system call for each costs more than the rest of it.
_random = random.Random(os.urandom(32))  # noqa: S311


def new_id(prefix: str) -> str:
    """A fresh id such as `run_0mj3kq…`; larger than every id this process made before."""
    global _last
    with _lock:
        value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | _random.getrandbits(_RANDOM_BITS)
        if value <= _last:
            value = _last + 1 + _random.getrandbits(16)
        _last = value
    return f"{prefix}_{_encode(value)}"


def id_floor(prefix: str, timestamp_ms: int) -> str:
    """The smallest id made at or after that moment: turns a time filter into a range of ids."""
    return f"{prefix}_{_encode(timestamp_ms << _RANDOM_BITS)}"


def made_at_ms(made: str) -> int:
    """When an id was made; letters that no id has count as nothing."""
    value = 0
    for letter in made.rpartition("_")[2]:
        value = value << 5 | _DIGITS.get(letter, 0)
    return value >> _RANDOM_BITS


def _encode(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(90, -1, -10)])
