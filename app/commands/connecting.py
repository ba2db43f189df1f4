"""What a person does to connect at a service in the browser: the way there, the way back with a token or the
reason why not, and what Plumbline is registered as at the service."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from app.calls.connections.book import seal_secrets
from app.calls.connections.tokens import open_app
from app.calls.oauth.grants import Asked, Asker
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
from app.changes import ConnectionChanged
from app.commands.checks import Checked
from app.commands.connections import check_now, free_name, record
from app.commands.who import Who
from app.errors import AppError, CallFailed, FlowInvalid, NotFound
from app.ids import new_id
from app.parts import Parts
from app.storage.connections import connections as store
from app.storage.connections import grants
from app.storage.connections.sign_ins import (
    AppRow,
    begin_sign_in,
    delete_app,
    get_app,
    id_of,
    place_of,
    put_app,
    take_sign_in,
)
from app.storage.people import audit

_LONGEST_S = 40
_ONCE_MORE = "Nothing was changed. Sign in once more."
_LONGEST_CODE = 4096
_LONGEST_SAID = 300
_LONGEST_NAME = 90
_APP_WORDS = (
    *("unauthorized_client", "invalid_client", "invalid_client_id", "redirect_uri_mismatch"),
    *("invalid_redirect_uri", "bad_redirect_uri", "bad_client_id"),
)


class SignInRefused(AppError):
    """`status`: of the page that says so.  `blames_app`: what Plumbline is registered as at the service has
    to be looked at.  `ticket`: what was begun, where that is known."""

    kind = "sign_in_refused"

    def __init__(
        self,
        sentence: str,
        remedy: str = "",
        status: int = 409,
        *,
        blames_app: bool = False,
        ticket: Ticket | None = None,
    ) -> None:
        super().__init__(sentence, remedy=remedy)
        self.status = status
        self.blames_app = blames_app
        self.ticket = ticket


@dataclass
class Connected:
    """`remarks`: (kind, sentence) of what somebody should know.  `wanted`: the page to go to afterwards."""

    connection_id: str
    sentence: str
    checked: Checked
    wanted: str = ""
    remarks: list[tuple[str, str]] = field(default_factory=list)


# ---------------------------------------------------------------------------------- the way there


def begin_connect(who: Who, parts: Parts, connector: Connector, auth: OAuth2Auth, ticket: Ticket) -> str:
    """Begins a sign-in at the service; returns the address to send the browser to.  Raises NotAllowed, and
    ConnectorInvalid when the connector leads to no web page."""
    who.must("connections")
    state, now = new_state(), parts.clock.now()
    address = way_there(_asker(parts, connector, auth, ticket), ticket, state)
    sign_in_id = id_of(state)
    sealed = seal_ticket(parts.vault, sign_in_id, ticket)

    def work(db: Connection) -> None:
        begin_sign_in(db, sign_in_id, user_id=who.id or "", sealed=sealed, now=now)

    parts.database.write(work)
    return address


def _asker(parts: Parts, connector: Connector, auth: OAuth2Auth, ticket: Ticket) -> Asker:
    with parts.database.read() as db:
        app = open_app(parts.vault, get_app(db, connector.key, auth.key), auth)
    return asker_for(ticket, auth, connector.name, app)


# ------------------------------------------------------------------------------------ and back


def finish_connect(who: Who, parts: Parts, connector: Connector, answer: Mapping[str, str]) -> Connected:
    """Ends a sign-in with what the service sent back: the token is kept in a new connection, or in the one
    that was there, and tested.  Raises NotAllowed, and SignInRefused with the reason."""
    who.must("connections")
    ticket = _take(who, parts, connector, answer.get("state", ""))
    auth = next((one for one in connector.auth if one.key == ticket.auth), None)
    if not isinstance(auth, OAuth2Auth) or ticket.connector != connector.key:
        raise _refusal_of_another(connector.name)
    try:
        refusal = _refusal_of_answer(connector.name, auth, answer)
        if refusal is not None:
            raise refusal
        began = parts.clock.now()
        asked = _exchange(parts, connector, auth, ticket, answer["code"])
        return _keep(who, parts, connector, ticket, asked, began)
    except NotFound as gone:  # somebody deleted the connection meanwhile
        raise SignInRefused(gone.sentence, ticket=replace(ticket, connection_id="")) from gone
    except SignInRefused as refused:
        refused.ticket = ticket
        raise


def _take(who: Who, parts: Parts, connector: Connector, state: str) -> Ticket:
    """What was remembered when this person left, once."""
    if not state or len(state) > LONGEST_STATE:
        raise _refusal_of_state(connector.name, "unknown")
    sign_in_id, now = id_of(state), parts.clock.now()
    taken = parts.database.write(lambda db: take_sign_in(db, sign_in_id, user_id=who.id or "", now=now))
    ticket = None if taken.reason else open_ticket(parts.vault, sign_in_id, taken.sealed)
    if ticket is None:
        raise _refusal_of_state(connector.name, taken.reason or "unknown")
    return ticket


def _exchange(parts: Parts, connector: Connector, auth: OAuth2Auth, ticket: Ticket, code: str) -> Asked:
    if not parts.engine.is_started:
        in_a_moment = "Nothing was changed. Sign in once more in a moment."
        raise SignInRefused("Plumbline is just starting.", in_a_moment, 503)
    asker = _asker(parts, connector, auth, ticket)
    exchange = parts.tokens.exchange(
        asker, code=code, redirect_uri=ticket.redirect_uri, verifier=ticket.verifier
    )
    try:
        asked = parts.engine.spawn(exchange).result(_LONGEST_S)
    except TooLate as late:
        raise SignInRefused(f"{connector.name} did not answer in time.", _ONCE_MORE, 502) from late
    except AppError as reason:
        raise SignInRefused(reason.sentence, reason.remedy) from reason
    if asked.failure is not None:
        raise _refusal_of_failure(connector.name, asked.failure)
    return asked


def _keep(
    who: Who, parts: Parts, connector: Connector, ticket: Ticket, asked: Asked, began: datetime
) -> Connected:
    with parts.database.read() as db:
        row = store.get_connection(db, ticket.connection_id) if ticket.connection_id else None
    connection_id = row.id if row is not None else new_id("con")
    _store(who, parts, connector, ticket, asked, began, is_new=row is None, connection_id=connection_id)
    checked = check_now(parts, connection_id)
    if row is None:
        name = ticket.name or _name(parts, connector, connection_id)
        made = Connected(connection_id, f"“{name}” is connected.", checked, ticket.wanted)
        with parts.database.read() as db:
            others = store.list_connections(db, connector=connector.key)
        twins = [one.name for one in others if one.account == checked.account and one.id != connection_id]
        if checked.account and twins:
            same = f"“{twins[0]}” leads to the same account ({checked.account})."
            made.remarks.append(("warn", f"{same} Flows can use either of them."))
        return made
    made = Connected(connection_id, f"“{ticket.name}” is signed in again.", checked, ticket.wanted)
    if row.account and checked.account and row.account != checked.account:
        another = (
            f"This is another account: “{checked.account}” in place of “{row.account}”. The flows that use "
            "this connection work with it from now on. If that is not meant, sign in with the other one."
        )
        made.remarks.append(("warn", another))
    return made


def _store(
    who: Who,
    parts: Parts,
    connector: Connector,
    ticket: Ticket,
    asked: Asked,
    began: datetime,
    *,
    is_new: bool,
    connection_id: str,
) -> None:
    assert asked.token is not None
    now, call = parts.clock.now(), asked.row
    public = {**ticket.public, **asked.token.kept}
    sealed = seal_secrets(parts.vault, connection_id, ticket.secrets) if ticket.secrets else None
    grant = parts.tokens.new_grant(connection_id, asked.token, "", ticket.scopes, began)
    name = ticket.name or connector.name
    definition_hash = parts.registry.hash_of(connector.key)

    def work(db: Connection) -> None:
        if is_new:
            store.create_connection(
                db,
                connection_id=connection_id,
                connector=connector.key,
                name=name,
                auth=ticket.auth,
                public=public,
                sealed=sealed,
                owner_id=who.id,
                now=now,
                definition_hash=definition_hash,
            )
        else:
            store.update_connection(
                db,
                connection_id,
                name=name,
                auth=ticket.auth,
                public=public,
                sealed=sealed,
                now=now,
                definition_hash=definition_hash,
            )
            store.fix_connection(db, connection_id)
        grants.put_grant(db, connection_id, grant)
        if call is not None:
            grants.add_token_call(db, connection_id, call, what="sign_in")
        record(db, who, now, "connected" if is_new else "reconnected", connection_id)

    parts.database.write(work)
    parts.changes.tell(ConnectionChanged(connection_id))


def _name(parts: Parts, connector: Connector, connection_id: str) -> str:
    """Who gave none gets the service's name with that of the account."""
    now = parts.clock.now()

    def work(db: Connection) -> str:
        account = store.get_connection(db, connection_id).account
        wanted = f"{connector.name} · {account}"[:_LONGEST_NAME] if account else connector.name
        name = free_name(db, wanted, besides=[connection_id])
        store.rename_connection(db, connection_id, name, now=now)
        return name

    name = parts.database.write(work)
    parts.changes.tell(ConnectionChanged(connection_id))
    return name


# --------------------------------------------------------------------------- registered apps


def register_app(
    who: Who, parts: Parts, connector: Connector, auth: OAuth2Auth, *, client_id: str, secret: str
) -> None:
    """Keeps what Plumbline is registered as at a service, for all its connections; an empty `secret` leaves
    the one that was entered before.  Raises NotAllowed."""
    who.must("apps")
    now, key = parts.clock.now(), connector.key
    if not secret:
        with parts.database.read() as db:
            secret = open_app(parts.vault, get_app(db, key, auth.key), auth).client_secret
    sealed = parts.vault.seal(secret.encode(), place_of(key, auth.key)) if secret else None
    row = AppRow(key, auth.key, client_id, sealed, auth.token_url, now)

    def work(db: Connection) -> list[str]:
        put_app(db, row)
        audit.record(db, now=now, user_id=who.id, action="registered", noun="oauth_app", noun_id=key)
        return [one.id for one in store.list_connections(db, connector=key)]

    for connection_id in parts.database.write(work):
        parts.changes.tell(ConnectionChanged(connection_id))


def remove_app(who: Who, parts: Parts, connector: Connector, auth: OAuth2Auth) -> None:
    """Deletes client ID and secret for a service.  Raises NotAllowed, and FlowInvalid while a connection
    needs them."""
    who.must("apps")
    now, key = parts.clock.now(), connector.key

    def work(db: Connection) -> None:
        rows = store.list_connections(db, connector=key)
        users = [row.name for row in rows if row.auth == auth.key]
        if users:
            number = "1 connection" if len(users) == 1 else f"{len(users):,} connections"
            raise FlowInvalid(
                f"“{users[0]}” still needs it, of {number} to {connector.name}.",
                remedy="Delete those connections first.",
            )
        delete_app(db, key, auth.key)
        audit.record(db, now=now, user_id=who.id, action="removed", noun="oauth_app", noun_id=key)

    parts.database.write(work)


# ------------------------------------------------------------------------- why it came to nothing


def _refusal_of_state(service: str, reason: str) -> SignInRefused:
    if reason == "late":
        return SignInRefused(
            f"You came back from {service} more than 15 minutes after you left.",
            "That is too late, so nothing was changed. Sign in once more.",
        )
    if reason == "used":
        return SignInRefused(
            f"This sign-in at {service} has been used already. Each one counts once.",
            "If the connection is there, all is well. If not, sign in once more.",
        )
    return SignInRefused(
        f"Plumbline does not know this sign-in at {service}: it was not begun here by you.",
        "Nothing was changed. Begin here, with the button below, in this browser.",
        status=400,
    )


def _refusal_of_another(service: str) -> SignInRefused:
    return SignInRefused(
        f"This answer came to the address of {service}, but the sign-in was begun for another service.",
        "Nothing was changed. Sign in once more; if it happens again, compare the redirect address.",
        status=400,
    )


def _refusal_of_answer(service: str, auth: OAuth2Auth, answer: Mapping[str, str]) -> SignInRefused | None:
    """None: it brings a code that may be changed for a token."""
    if issuer := _strange_issuer(auth, answer):
        return SignInRefused(
            f"The answer does not come from {service}: {issuer}",
            "Nothing was sent to anybody. Sign in once more; if it happens again, tell your administrator.",
            status=400,
        )
    if word := answer.get("error", ""):
        return _refusal_of_error(service, word, _said(answer))
    code = answer.get("code", "")
    if not code or len(code) > _LONGEST_CODE:
        return SignInRefused(
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


def _refusal_of_error(service: str, word: str, said: str) -> SignInRefused:
    told = f" It says: “{said}”" if said else f" It says: “{word[:60]}”"
    if word in ("access_denied", "user_denied", "user_cancelled", "consent_required"):
        more = told if said else ""
        return SignInRefused(
            f"You did not allow Plumbline to use {service}, or {service} did not let you.{more}",
            "Sign in once more and allow it. If you may not, ask whoever administers the account there.",
        )
    if word == "invalid_scope":
        return SignInRefused(
            f"{service} does not give one of the rights that were asked for.{told}",
            "Add the right to the app there, or ask for fewer: under “Rights asked for” before you sign in.",
            blames_app=True,
        )
    if word in _APP_WORDS:
        return SignInRefused(
            f"{service} does not accept what Plumbline is registered as.{told}",
            "Compare client ID and redirect address with what the service shows.",
            blames_app=True,
        )
    if word in ("temporarily_unavailable", "server_error"):
        return SignInRefused(
            f"{service} cannot sign you in at the moment.{told}", "Try again in a few minutes.", 503
        )
    return SignInRefused(f"{service} refused the sign-in.{told}", "Sign in once more.")


def _said(answer: Mapping[str, str]) -> str:
    return " ".join(answer.get("error_description", "").split())[:_LONGEST_SAID]


def _refusal_of_failure(service: str, failure: CallFailed) -> SignInRefused:
    """The code was not changed for a token."""
    app = "client ID" in failure.sentence
    return SignInRefused(
        failure.sentence,
        failure.remedy if app else _ONCE_MORE,
        status=409 if failure.kind == "auth_expired" else 502,
        blames_app=app or failure.kind == "auth_expired",
    )
