"""Signing in at a service: the way there, and the way back with a token or a sentence that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, replace
from typing import Any

from flask import Blueprint, Response, flash, request
from sqlalchemy import Connection

from app.calls.oauth.grants import Asked
from app.calls.oauth.journey import (
    LONGEST_STATE,
    Ticket,
    asker_for,
    new_state,
    open_ticket,
    seal_ticket,
    way_there,
)
from app.catalog.format.auth import OAuth2Auth
from app.catalog.format.definition import Connector
from app.errors import AppError, CallFailed, NotAllowed, NotFound
from app.storage.connections import connections as store
from app.storage.connections.sign_ins import begin_sign_in, id_of, take_sign_in
from app.storage.database.db import pages_db
from app.web.connections import forms
from app.web.connections.oauth.apps import app_address, oauth_of, redirect_address
from app.web.connections.oauth.finish import keep
from app.web.connections.page import app_of, read_change, read_form, show_connection, show_new, tell
from app.web.connections.rights import asked_scopes
from app.web.frame.context import may, my_id, parts
from app.web.frame.hx import page, redirect
from app.web.people.account import safe_next

blueprint = Blueprint("sign_in", __name__)

_LONGEST_S = 40
# where the page says it is: its own address holds the state and the code
_PLACE: dict[str, Any] = {"this_path": "/connections", "this_address": "/connections"}
_ONCE_MORE = "Nothing was changed. Sign in once more."
_IN_A_MOMENT = "Nothing was changed. Sign in once more in a moment."
_LONGEST_CODE = 4096
_LONGEST_SAID = 300
_APP_WORDS = (
    *("unauthorized_client", "invalid_client", "invalid_client_id", "redirect_uri_mismatch"),
    *("invalid_redirect_uri", "bad_redirect_uri", "bad_client_id"),
)


@dataclass(frozen=True)
class Refusal:
    """`blames_app`: what Plumbline is registered as at the service has to be looked at."""

    sentence: str
    remedy: str = ""
    status: int = 409
    blames_app: bool = False


# ---------------------------------------------------------------------------------- the way there


@blueprint.post("/sign-in/<key>")
def begin(key: str) -> Response:
    connector, auth = oauth_of(key, request.form.get("auth", ""))
    connection_id, wanted = request.form.get("connection", ""), request.form.get("next", "")
    row = store.get_connection(pages_db.session, connection_id) if connection_id else None
    if row is not None and row.connector != key:
        raise NotFound("This connection belongs to another service.")
    form, filled = read_change(row, connector) if row else read_form(connector, {}, may_be_unnamed=True)
    if form.problems or filled.problems:
        return show_connection(row, form, 422) if row else show_new(form, wanted, 422)
    if not app_of(key, auth).client_id:
        return redirect(app_address(key, auth.key, wanted=_back(key, auth.key, connection_id)))
    chosen = request.form.getlist("scope") if "rights" in request.form else [one.scope for one in form.rights]
    ticket = Ticket(
        connector=key,
        auth=auth.key,
        redirect_uri=redirect_address(key),
        connection_id=connection_id,
        name=form.name,
        wanted=wanted[:2000],
        public=filled.public,
        secrets=filled.secrets,
        scopes=asked_scopes(form.rights, chosen),
    )
    return _leave(connector, auth, ticket)


def _leave(connector: Connector, auth: OAuth2Auth, ticket: Ticket) -> Response:
    """By a page of our own: the rules for forms (CSP) let none of them lead to another site."""
    state = new_state()
    address = way_there(asker_for(ticket, auth, connector.name, app_of(connector.key, auth)), ticket, state)
    sign_in_id, me, now = id_of(state), my_id(), parts().clock.now()
    sealed = seal_ticket(parts().vault, sign_in_id, ticket)

    def work(db: Connection) -> None:
        begin_sign_in(db, sign_in_id, user_id=me, sealed=sealed, now=now)

    parts().database.write(work)
    answer = page("connections/oauth/leave.html", service=connector, address=address, **_PLACE)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _back(key: str, auth: str, connection_id: str) -> str:
    return (
        f"/connections/{connection_id}" if connection_id else f"/connections/new?connector={key}&auth={auth}"
    )


# ------------------------------------------------------------------------------------ and back


@blueprint.get("/sign-in/<key>/callback")
def come_back(key: str) -> Response:
    if request.method == "HEAD":
        return Response()  # who only looks uses nothing up
    if not may("editor"):
        raise NotAllowed("You may look, but not connect anything here.")
    connector = parts().registry.find(key)
    if connector is None:
        raise NotFound(f"There is no connector called “{key[:60]}” here.")
    ticket = _take(connector)
    if isinstance(ticket, Refusal):
        return _refuse(connector, None, ticket)
    auth = forms.block_of(connector, ticket.auth)
    if not isinstance(auth, OAuth2Auth) or auth.key != ticket.auth or ticket.connector != key:
        return _refuse(connector, None, refusal_of_another(connector.name))
    refusal = refusal_of_answer(connector.name, auth, request.args)
    if refusal is not None:
        return _refuse(connector, ticket, refusal)
    return _finish(connector, auth, ticket)


def _take(connector: Connector) -> Ticket | Refusal:
    """What was remembered when this person left, once."""
    state = request.args.get("state", "")
    if not state or len(state) > LONGEST_STATE:
        return refusal_of_state(connector.name, "unknown")
    sign_in_id, me, now = id_of(state), my_id(), parts().clock.now()
    taken = parts().database.write(lambda db: take_sign_in(db, sign_in_id, user_id=me, now=now))
    if taken.reason:
        return refusal_of_state(connector.name, taken.reason)
    return open_ticket(parts().vault, sign_in_id, taken.sealed) or refusal_of_state(connector.name, "unknown")


def _finish(connector: Connector, auth: OAuth2Auth, ticket: Ticket) -> Response:
    if not parts().engine.is_started:
        return _refuse(connector, ticket, Refusal("Plumbline is just starting.", _IN_A_MOMENT, 503))
    began = parts().clock.now()
    try:
        asked = _exchange(connector, auth, ticket)
    except TooLate:
        return _refuse(
            connector, ticket, Refusal(f"{connector.name} did not answer in time.", _ONCE_MORE, 502)
        )
    except AppError as reason:
        return _refuse(connector, ticket, Refusal(reason.sentence, reason.remedy))
    if asked.failure is not None:
        return _refuse(connector, ticket, refusal_of_failure(connector.name, asked.failure))
    try:
        made = keep(connector, auth, ticket, asked, began)
    except NotFound as gone:
        return _refuse(connector, replace(ticket, connection_id=""), Refusal(gone.sentence))
    tell(made.checked, made.sentence)
    for kind, sentence in made.remarks:
        flash(sentence, kind)
    if made.checked.ok is False or made.remarks or not ticket.wanted:
        return redirect(f"/connections/{made.connection_id}")
    return redirect(safe_next(ticket.wanted))


def _exchange(connector: Connector, auth: OAuth2Auth, ticket: Ticket) -> Asked:
    asker = asker_for(ticket, auth, connector.name, app_of(connector.key, auth))
    exchange = parts().tokens.exchange(
        asker, code=request.args["code"], redirect_uri=ticket.redirect_uri, verifier=ticket.verifier
    )
    return parts().engine.spawn(exchange).result(_LONGEST_S)


def _refuse(connector: Connector, ticket: Ticket | None, refusal: Refusal) -> Response:
    again = f"/connections/new?connector={connector.key}"
    app = ""
    if ticket is not None:
        again = _back(connector.key, ticket.auth, ticket.connection_id)
        app = app_address(connector.key, ticket.auth, wanted=again) if refusal.blames_app else ""
    answer = page(
        "connections/oauth/refused.html",
        **_PLACE,
        status=refusal.status,
        service=connector,
        refusal=refusal,
        again=again,
        app=app,
        is_new=ticket is None or not ticket.connection_id,
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


# ------------------------------------------------------------------------- why it came to nothing


def refusal_of_state(service: str, reason: str) -> Refusal:
    if reason == "late":
        return Refusal(
            f"You came back from {service} more than 15 minutes after you left.",
            "That is too late, so nothing was changed. Sign in once more.",
        )
    if reason == "used":
        return Refusal(
            f"This sign-in at {service} has been used already. Each one counts once.",
            "If the connection is there, all is well. If not, sign in once more.",
        )
    return Refusal(
        f"Plumbline does not know this sign-in at {service}: it was not begun here by you.",
        "Nothing was changed. Begin here, with the button below, in this browser.",
        status=400,
    )


def refusal_of_another(service: str) -> Refusal:
    return Refusal(
        f"This answer came to the address of {service}, but the sign-in was begun for another service.",
        "Nothing was changed. Sign in once more; if it happens again, compare the redirect address.",
        status=400,
    )


def refusal_of_answer(service: str, auth: OAuth2Auth, answer: Mapping[str, str]) -> Refusal | None:
    """None: it brings a code that may be changed for a token."""
    if issuer := _strange_issuer(auth, answer):
        return Refusal(
            f"The answer does not come from {service}: {issuer}",
            "Nothing was sent to anybody. Sign in once more; if it happens again, tell your administrator.",
            status=400,
        )
    if word := answer.get("error", ""):
        return _refusal_of_error(service, word, _said(answer))
    code = answer.get("code", "")
    if not code or len(code) > _LONGEST_CODE:
        return Refusal(
            f"{service} sent you back without the code that a sign-in ends with.",
            "Sign in once more. If it stays, the service may be in trouble.",
            status=400,
        )
    return None


def _strange_issuer(auth: OAuth2Auth, answer: Mapping[str, str]) -> str:
    """Only where the connector says what the service calls itself."""
    said = answer.get("iss", "")
    if not auth.issuer or said == auth.issuer:
        return ""
    return f"it names “{said[:100]}”." if said else "it does not say who sent it."


def _refusal_of_error(service: str, word: str, said: str) -> Refusal:
    told = f" It says: “{said}”" if said else f" It says: “{word[:60]}”"
    if word in ("access_denied", "user_denied", "user_cancelled", "consent_required"):
        more = told if said else ""
        return Refusal(
            f"You did not allow Plumbline to use {service}, or {service} did not let you.{more}",
            "Sign in once more and allow it. If you may not, ask whoever administers the account there.",
        )
    if word == "invalid_scope":
        return Refusal(
            f"{service} does not give one of the rights that were asked for.{told}",
            "Add the right to the app there, or ask for fewer: under “Rights asked for” before you sign in.",
            blames_app=True,
        )
    if word in _APP_WORDS:
        return Refusal(
            f"{service} does not accept what Plumbline is registered as.{told}",
            "Compare client ID and redirect address with what the service shows.",
            blames_app=True,
        )
    if word in ("temporarily_unavailable", "server_error"):
        return Refusal(
            f"{service} cannot sign you in at the moment.{told}", "Try again in a few minutes.", 503
        )
    return Refusal(f"{service} refused the sign-in.{told}", "Sign in once more.")


def _said(answer: Mapping[str, str]) -> str:
    return " ".join(answer.get("error_description", "").split())[:_LONGEST_SAID]


def refusal_of_failure(service: str, failure: CallFailed) -> Refusal:
    """The code was not changed for a token."""
    app = "client ID" in failure.sentence
    return Refusal(
        failure.sentence,
        failure.remedy if app else _ONCE_MORE,
        status=409 if failure.kind == "auth_expired" else 502,
        blames_app=app or failure.kind == "auth_expired",
    )
