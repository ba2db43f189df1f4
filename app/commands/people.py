"""What people do about accounts: the first one, signing in and out, their own, and those of others."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from datetime import timedelta
from functools import partial

from sqlalchemy import Connection

from app.commands.who import Who
from app.errors import FlowInvalid, NotAllowed, NotFound
from app.parts import Parts
from app.storage.people import audit, passwords, users
from app.storage.people.users import UserRow

SESSION_DAYS = 14
LONGEST_NAME = 100
_OWN_NAME = "Write the name colleagues know you by."


class PersonInvalid(FlowInvalid):
    """`problems`: a sentence for each of `email`, `name` and `password` that cannot be used."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(next(iter(problems.values())))
        self.problems = problems


class TooManyTries(NotAllowed):
    """So many wrong passwords came that a while has to go by."""


class Failures:
    """Counts wrong passwords per account and address, so that nobody can lock somebody else out, and
    per address, so that nobody tries one password on many accounts."""

    PER_ACCOUNT, PER_ADDRESS, WITHIN_S = 5, 40, 900.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], deque[float]] = {}

    def blocked(self, email: str, address: str, now: float) -> bool:
        """Says whether no password of this account or from this address is looked at now."""
        with self._lock:
            return (
                self._count((email, address), now) >= self.PER_ACCOUNT
                or self._count(("", address), now) >= self.PER_ADDRESS
            )

    def add(self, email: str, address: str, now: float) -> None:
        """Counts a wrong password."""
        with self._lock:
            for key in ((email, address), ("", address)):
                self._times.setdefault(key, deque(maxlen=self.PER_ADDRESS)).append(now)
            if len(self._times) > 10_000:
                self._times = {key: times for key, times in self._times.items() if self._count(key, now)}

    def forget(self, email: str, address: str) -> None:
        """Begins anew for an account whose password was right."""
        with self._lock:
            self._times.pop((email, address), None)

    def _count(self, key: tuple[str, str], now: float) -> int:
        times = self._times.get(key, deque())
        while times and times[0] <= now - self.WITHIN_S:
            times.popleft()
        return len(times)


_failures = Failures()


# ------------------------------------------------------------------------------------ the first account


def make_setup_link(parts: Parts) -> str | None:
    """Returns the address that makes the first account, None once there is one.  Each call makes a new
    link and ends the earlier one."""
    with parts.database.read() as db:
        if users.count_users(db):
            return None
    token = secrets.token_urlsafe(24)
    parts.database.write(partial(users.keep_setup_token, token=token))
    return f"{parts.settings.base_url}/setup/{token}"


def set_up(parts: Parts, token: str, *, email: str, name: str, password: str) -> UserRow:
    """Makes the first account for whoever has the set-up link, signs that person in and returns it.
    Raises NotFound for a link that was used or is not the newest, and PersonInvalid."""
    _refuse_person(email=email, name=name, password=password)
    kept, now = passwords.hash_password(password), parts.clock.now()

    def work(db: Connection) -> UserRow:
        user_id = users.create_owner(db, token, email=email, name=name, password_hash=kept, now=now)
        users.record_login(db, user_id, now)
        _record(parts, db, user_id, "made the first account", user_id)
        return users.get_user(db, user_id)

    return parts.database.write(work)


def _refuse_person(*, email: str, name: str, password: str) -> None:
    problems = {}
    if not users.is_email(email):
        problems["email"] = "This is not an email address, such as ana@example.com."
    if not name or len(name) > LONGEST_NAME:
        problems["name"] = _OWN_NAME
    if objection := passwords.objection(password, email=email, name=name):
        problems["password"] = objection
    if problems:
        raise PersonInvalid(problems)


def _record(parts: Parts, db: Connection, by: str | None, action: str, user_id: str) -> None:
    audit.record(db, now=parts.clock.now(), user_id=by, action=action, noun="user", noun_id=user_id)


# ------------------------------------------------------------------------------------------ in and out


def sign_in(parts: Parts, *, email: str, password: str, address: str) -> UserRow:
    """Returns the person with this address and password; `address`: where the request comes from.  Raises
    NotAllowed for another password, and TooManyTries."""
    email, now = email.strip().lower()[:254], parts.clock.monotonic()
    if _failures.blocked(email, address, now):
        raise TooManyTries("Too many wrong passwords from here. Please wait 15 minutes, then try again.")
    with parts.database.read() as db:
        user = users.find_user(db, email)
        kept = users.password_hash(db, user.id) if user else None
    if not passwords.is_right(password[: passwords.LONGEST + 1], kept) or user is None:
        _failures.add(email, address, now)
        raise NotAllowed("This email address and password do not belong together.")
    _failures.forget(email, address)
    return parts.database.write(partial(_let_in, parts, user.id))


def _let_in(parts: Parts, user_id: str, db: Connection) -> UserRow:
    now = parts.clock.now()
    users.record_login(db, user_id, now)
    users.forget_ended_sessions(db, before=now - timedelta(days=SESSION_DAYS + 1))
    return users.get_user(db, user_id)


def sign_out(parts: Parts, session_id: str) -> None:
    """Ends one session: a copy of its cookie no longer signs anybody in."""
    parts.database.write(partial(users.end_session, session_id=session_id, now=parts.clock.now()))


def sign_out_everywhere(who: Who, parts: Parts) -> UserRow:
    """Ends all sessions of the person who gives the command, and returns that person with the number that
    a new session needs.  Raises NotAllowed."""
    who.must("own_account")

    def work(db: Connection) -> UserRow:
        user_id = _own_id(who)
        users.sign_out_everywhere(db, user_id)
        _record(parts, db, user_id, "signed out everywhere", user_id)
        return _let_in(parts, user_id, db)

    return parts.database.write(work)


# ------------------------------------------------------------------------------------------- one's own


def rename(who: Who, parts: Parts, name: str) -> None:
    """Gives the person another name.  Raises NotAllowed, and FlowInvalid for an empty or long one."""
    who.must("own_account")
    name = name.strip()
    if not name or len(name) > LONGEST_NAME:
        raise FlowInvalid("Write the name colleagues know you by, up to 100 characters.", where="name")

    def work(db: Connection) -> None:
        user_id = _own_id(who)
        users.rename_user(db, user_id, name)
        _record(parts, db, user_id, "changed the name", user_id)

    parts.database.write(work)


def change_password(who: Who, parts: Parts, *, present: str, wanted: str) -> UserRow:
    """Sets another password and ends all sessions; returns the person with the number that a new session
    needs.  Raises NotAllowed, and PersonInvalid naming `password` or `new_password`."""
    who.must("own_account")
    with parts.database.read() as db:
        user = users.get_user(db, _own_id(who))
        kept = users.password_hash(db, user.id)
    if not passwords.is_right(present, kept):
        raise PersonInvalid({"password": "This is not your present password."})
    if objection := passwords.objection(wanted, email=user.email, name=user.name):
        raise PersonInvalid({"new_password": objection})
    hashed = passwords.hash_password(wanted)

    def work(db: Connection) -> UserRow:
        users.set_password(db, user.id, hashed)
        _record(parts, db, user.id, "changed the password", user.id)
        return _let_in(parts, user.id, db)

    return parts.database.write(work)


def _own_id(who: Who) -> str:
    if who.id is None:
        raise NotAllowed("The command line has no account of its own.")
    return who.id


# -------------------------------------------------------------------------------------------- of others


def add(who: Who, parts: Parts, *, email: str, name: str, role: str, password: str) -> str:
    """Gives a person an account and returns its id; without a name the address stands for it.  Raises
    NotAllowed, PersonInvalid, and FlowInvalid for an address that has an account."""
    who.must("people")
    _refuse_person(email=email, name=name or email[:LONGEST_NAME], password=password)
    kept, now = passwords.hash_password(password), parts.clock.now()

    def work(db: Connection) -> str:
        user_id = users.create_user(
            db, email=email, name=name or email, password_hash=kept, role=role, now=now
        )
        _record(parts, db, who.id, "added", user_id)
        return user_id

    return parts.database.write(work)


def reset_password(who: Who, parts: Parts, *, email: str, password: str) -> None:
    """Sets the password of another person and signs that person out everywhere.  Raises NotAllowed,
    NotFound, PersonInvalid."""
    who.must("people")
    with parts.database.read() as db:
        user = users.find_user(db, email)
    if user is None:
        raise NotFound(f"Nobody here has the address {email}.", remedy="See `plumbline users list`.")
    if objection := passwords.objection(password, email=email):
        raise PersonInvalid({"password": objection})
    hashed = passwords.hash_password(password)

    def work(db: Connection) -> None:
        users.set_password(db, user.id, hashed)
        _record(parts, db, who.id, "set a new password", user.id)

    parts.database.write(work)
