"""People at the door: the first account by a one-time link, signing in and out, one's own account."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Blueprint, Response, flash, request, session

from app.commands import people
from app.errors import FlowInvalid, NotAllowed, NotFound
from app.storage.database.db import pages_db
from app.storage.people import users
from app.storage.people.users import UserRow
from app.web.frame.context import THEMES, me, parts, who
from app.web.frame.hx import page, redirect
from app.web.frame.security import for_viewers, public

if TYPE_CHECKING:
    pass

blueprint = Blueprint("account", __name__)

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
    try:
        user = people.set_up(parts(), token, **values, password=request.form.get("password", ""))
    except people.PersonInvalid as reason:
        return page("people/setup.html", status=422, values=values, problems=reason.problems)
    _begin_session(user)
    return redirect("/")


def _check_setup(token: str) -> None:
    if not users.is_setup_token(pages_db.session, token):
        raise NotFound(
            "This set-up link was used already or is not the newest one.",
            remedy="If you have an account, sign in. The newest link is printed when Plumbline starts.",
        )


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
    email, wanted = request.form.get("email", "").strip().lower()[:254], request.form.get("next", "")
    try:
        user = people.sign_in(
            parts(),
            email=email,
            password=request.form.get("password", ""),
            address=request.remote_addr or "",
        )
    except NotAllowed as reason:
        status = 429 if isinstance(reason, people.TooManyTries) else 422
        problem = reason.sentence
        return page(
            "people/login.html", status=status, email=email, problem=problem, next=wanted, first=False
        )
    _begin_session(user)
    return redirect(safe_next(wanted))


@blueprint.post("/logout")
@public
def logout() -> Response:
    session_id = session.get("id")
    if me() is not None and isinstance(session_id, str):
        people.sign_out(parts(), session_id)
    session.clear()
    answer = redirect("/login")
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


def _begin_session(user: UserRow) -> None:
    """A session of its own for every login: nothing of an earlier one is taken over."""
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
    try:
        people.rename(who(), parts(), request.form.get("name", ""))
    except FlowInvalid as reason:
        return _account({"name": reason.reason})
    flash("Your name is saved.", "success")
    return redirect("/account")


@blueprint.post("/account/password")
@for_viewers
def change_password() -> Response:
    present, wanted = (request.form.get(name, "") for name in ("password", "new_password"))
    try:
        user = people.change_password(who(), parts(), present=present, wanted=wanted)
    except people.PersonInvalid as reason:
        return _account(reason.problems)
    _begin_session(user)
    flash("Your password is changed. You are signed out everywhere else.", "success")
    return redirect("/account")


@blueprint.post("/account/sign-out-everywhere")
@for_viewers
def sign_out_everywhere() -> Response:
    _begin_session(people.sign_out_everywhere(who(), parts()))
    flash("Every other browser is signed out.", "success")
    return redirect("/account")


def _account(problems: dict[str, str]) -> Response:
    everybody = users.list_users(pages_db.session)
    return page("people/account.html", status=422 if problems else 200, problems=problems, people=everybody)


@blueprint.post("/theme")
@public
def choose_theme() -> Response:
    answer = redirect(safe_next(request.form.get("next", "")))
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        answer.set_cookie("plumbline_theme", chosen, max_age=31536000, samesite="Lax")
    return answer
