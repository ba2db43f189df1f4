"""Passwords: what is accepted, and how they are kept (argon2id)."""

from __future__ import annotations

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 8, 128

_hasher = PasswordHasher()
# One hash takes 64 MB and a core for a moment: guessers must not take all of either.
_at_once = threading.BoundedSemaphore(2)
_COMMON_TEXT = """
    password password1 password12 password123 password1234 passw0rd p@ssword p@ssw0rd 12345678 123456789
    1234567890 11111111 00000000 87654321 12341234 11223344 66666666 88888888 qwertyui qwertyuiop qwerty123
    qwerty12 1q2w3e4r 1qaz2wsx q1w2e3r4 asdfghjk asdfghjkl zxcvbnm1 iloveyou sunshine princess football
    baseball superman batman123 trustno1 welcome1 welcome123 letmein1 letmein123 monkey123 dragon123 master123
    shadow123 michael1 jennifer computer whatever starwars internet abcd1234 abc12345 abcdefgh changeme
    changeme1 changeme123 admin123 admin1234 administrator secret123 default1 testtest test1234 hello123
    summer2024 summer2025 summer2026 winter2024 winter2025 winter2026 spring2026 autumn2026 marketing
    marketing1 marketing123 plumbline plumbline1 plumbline123 workflow workflow1
"""
_COMMON = frozenset(_COMMON_TEXT.split())


def hash_password(password: str) -> str:
    with _at_once:
        return _hasher.hash(password)


def is_right(password: str, kept: str | None) -> bool:
    """Takes as long for an account that does not exist (`kept` None)."""
    with _at_once:
        try:
            return _hasher.verify(kept or _nobody(), password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def objection(password: str, *, email: str = "", name: str = "") -> str:
    """Why this password is not accepted, as a sentence; '' if it is."""
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters; this has {len(password)}."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST} characters; this has {len(password)}."
    plain = password.lower()
    if plain in _COMMON or len(set(plain)) < 3:
        return "This password is one of the first that guessers try. A few unrelated words are better."
    if plain in (email.lower(), email.lower().partition("@")[0], name.lower()):
        return "This password is your own name or email address. Choose something others do not know."
    return ""


_kept_for_nobody = ""


def _nobody() -> str:
    global _kept_for_nobody
    if not _kept_for_nobody:
        _kept_for_nobody = _hasher.hash("nobody")
    return _kept_for_nobody
