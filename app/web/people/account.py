"""People at the door: the first account by a one-time link, signing in and out, one's own account."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, request, session

from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.people import audit, passwords, users
from app.web.frame.context import THEMES, me, my_id, parts
from app.web.frame.hx import page, redirect
from app.web.frame.security import for_viewers, public

if TYPE_CHECKING:
    from app.parts import Parts

blueprint = Blueprint("account", __name__)

_SESSION_DAYS = 14


class _Failures:
    """Counts wrong passwords per account and address, so that nobody can lock somebody else out, and
    per address, so that nobody tries one password on many accounts."""

    PER_ACCOUNT, PER_ADDRESS, WITHIN_S = 5, 40, 900.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[tuple[str, str], deque[float]] = {}

    def blocked(self, email: str, address: str, now: float) -> bool:
        with self._lock:
            return (
                self._count((email, address), now) >= self.PER_ACCOUNT
                or self._count(("", address), now) >= self.PER_ADDRESS
            )

    def add(self, email: str, address: str, now: float) -> None:
        with self._lock:
            for key in ((email, address), ("", address)):
                self._times.setdefault(key, deque(maxlen=self.PER_ADDRESS)).append(now)
            if len(self._times) > 10_000:
                self._times = {key: times for key, times in self._times.items() if self._count(key, now)}

    def forget(self, email: str, address: str) -> None:
        with self._lock:
            self._times.pop((email, address), None)

    def _count(self, key: tuple[str, str], now: float) -> int:
        times = self._times.get(key, deque())
        while times and times[0] <= now - self.WITHIN_S:
            times.popleft()
        return len(times)


_failures = _Failures()


def setup_link(parts: Parts) -> str | None:
    """The address that makes the first account; None once there is one.  Each call makes a new link
    and ends the earlier one."""
    with parts.database.read() as db:
        if users.count_users(db):
            return None
    token = secrets.token_urlsafe(24)
    parts.database.write(lambda db: users.keep_setup_token(db, token))
    return f"{parts.settings.base_url}/setup/{token}"


# ----------------------------------------------------------------------------------- first account


@blueprint.get("/setup/<token>")
@public
def show_setup(token: str) -> Response:
    _check_setup(token)
    return page("people/setup.html", values={"email": "", "name": ""}, problems={})


@blueprint.post("/setup/<token>")
@public
def set_up(token: str) -> Response:
    _check_setup(token)
    values = {name: request.form.get(name, "").strip() for name in ("email", "name")}
    password = request.form.get("password", "")
    problems = _problems(values, password)
    if problems:
        return page("people/setup.html", status=422, values=values, problems=problems)
    kept, now = passwords.hash_password(password), parts().clock.now()
    user_id = parts().database.write(
        lambda db: users.create_owner(
            db, token, email=values["email"], name=values["name"], password_hash=kept, now=now
        )
    )
    _sign_in(user_id)
    return redirect("/")


def _check_setup(token: str) -> None:
    if not users.is_setup_token(pages_db.session, token):
        raise NotFound(
            "This set-up link was used already or is not the newest one.",
            remedy="If you have an account, sign in. The newest link is printed when Plumbline starts.",
        )


def _problems(values: dict[str, str], password: str) -> dict[str, str]:
    problems = {}
    if not users.is_email(values["email"]):
        problems["email"] = "This is not an e-mail address, such as ana@example.com."
    if not values["name"] or len(values["name"]) > 100:
        problems["name"] = "Write the name colleagues know you by."
    objection = passwords.objection(password, email=values["email"], name=values["name"])
    if objection:
        problems["password"] = objection
    return problems


# -------------------------------------------------------------------------------------- in and out


@blueprint.get("/login")
@public
def show_login() -> Response:
    if me() is not None:
        return redirect(safe_next(request.args.get("next", "")))
    first = users.count_users(pages_db.session) == 0
    return page("people/login.html", email="", problem="", next=request.args.get("next", ""), first=first)


@blueprint.post("/login")
@public
def login() -> Response:
    email = request.form.get("email", "").strip().lower()[:254]
    wanted, address, now = request.form.get("next", ""), request.remote_addr or "", parts().clock.monotonic()
    if _failures.blocked(email, address, now):
        problem = "Too many wrong passwords from here. Please wait 15 minutes, then try again."
        return page("people/login.html", status=429, email=email, problem=problem, next=wanted, first=False)
    user = users.find_user(pages_db.session, email)
    kept = users.password_hash(pages_db.session, user.id) if user else None
    password = request.form.get("password", "")[: passwords.LONGEST + 1]
    if not passwords.is_right(password, kept) or user is None:
        _failures.add(email, address, now)
        problem = "This e-mail address and password do not belong together."
        return page("people/login.html", status=422, email=email, problem=problem, next=wanted, first=False)
    _failures.forget(email, address)
    _sign_in(user.id)
    return redirect(safe_next(wanted))


@blueprint.post("/logout")
@public
def logout() -> Response:
    session_id = session.get("id")
    now = parts().clock.now()
    if me() is not None and isinstance(session_id, str):
        parts().database.write(lambda db: users.end_session(db, session_id, now=now))
    session.clear()
    answer = redirect("/login")
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


def _sign_in(user_id: str) -> None:
    """A session of its own for every login: nothing of an earlier one is taken over."""
    now = parts().clock.now()
    before = now - timedelta(days=_SESSION_DAYS + 1)
    with parts().database.read() as db:
        user = users.get_user(db, user_id)
    parts().database.write(lambda db: users.record_login(db, user_id, now))
    parts().database.write(lambda db: users.forget_ended_sessions(db, before=before))
    session.clear()
    session.permanent = True
    session["user"], session["epoch"], session["id"] = user.id, user.session_epoch, secrets.token_hex(16)


def safe_next(wanted: str) -> str:
    """Only a path of this server: no other host, no scheme, nothing a browser reads as one."""
    parsed = urlsplit(wanted)
    is_path = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted
    clean = not any(ord(letter) < 33 for letter in wanted)
    return wanted if is_path and clean and not parsed.scheme and not parsed.netloc else "/"


# ------------------------------------------------------------------------------------- one's own


@blueprint.get("/account")
def show_account() -> Response:
    return _account({})


@blueprint.post("/account/name")
@for_viewers
def rename() -> Response:
    name = request.form.get("name", "").strip()
    if not name or len(name) > 100:
        return _account({"name": "Write the name colleagues know you by, up to 100 characters."})
    user_id = my_id()
    parts().database.write(lambda db: users.rename_user(db, user_id, name))
    flash("Your name is saved.", "success")
    return redirect("/account")


@blueprint.post("/account/password")
@for_viewers
def change_password() -> Response:
    user = users.get_user(pages_db.session, my_id())
    wanted = request.form.get("new_password", "")
    objection = passwords.objection(wanted, email=user.email, name=user.name)
    if not passwords.is_right(
        request.form.get("password", ""), users.password_hash(pages_db.session, user.id)
    ):
        return _account({"password": "This is not your present password."})
    if objection:
        return _account({"new_password": objection})
    kept, now = passwords.hash_password(wanted), parts().clock.now()
    parts().database.write(lambda db: users.set_password(db, user.id, kept))
    parts().database.write(
        lambda db: audit.record(
            db, now=now, user_id=user.id, action="changed the password", noun="user", noun_id=user.id
        )
    )
    _sign_in(user.id)
    flash("Your password is changed. You are signed out everywhere else.", "success")
    return redirect("/account")


@blueprint.post("/account/sign-out-everywhere")
@for_viewers
def sign_out_everywhere() -> Response:
    user_id = my_id()
    parts().database.write(lambda db: users.sign_out_everywhere(db, user_id))
    _sign_in(user_id)
    flash("Every other browser is signed out.", "success")
    return redirect("/account")


def _account(problems: dict[str, str]) -> Response:
    people = users.list_users(pages_db.session)
    return page("people/account.html", status=422 if problems else 200, problems=problems, people=people)


@blueprint.post("/theme")
@public
def choose_theme() -> Response:
    answer = redirect(safe_next(request.form.get("next", "")))
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        answer.set_cookie("plumbline_theme", chosen, max_age=31536000, samesite="Lax")
    return answer
