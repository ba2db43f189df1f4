"""Why a sign-in at a service came to nothing, in sentences with a way on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.catalog.format.auth import OAuth2Auth
from app.errors import CallFailed

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


def of_state(service: str, reason: str) -> Refusal:
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


def of_another_service(service: str) -> Refusal:
    return Refusal(
        f"This answer came to the address of {service}, but the sign-in was begun for another service.",
        "Nothing was changed. Sign in once more; if it happens again, compare the redirect address.",
        status=400,
    )


def of_answer(service: str, auth: OAuth2Auth, answer: Mapping[str, str]) -> Refusal | None:
    """None: it brings a code that may be changed for a token."""
    if issuer := _strange_issuer(auth, answer):
        return Refusal(
            f"The answer does not come from {service}: {issuer}",
            "Nothing was sent to anybody. Sign in once more; if it happens again, tell your administrator.",
            status=400,
        )
    if word := answer.get("error", ""):
        return _of_error(service, word, _said(answer))
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


def _of_error(service: str, word: str, said: str) -> Refusal:
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


def of_failure(service: str, failure: CallFailed) -> Refusal:
    """The code was not changed for a token."""
    app = "client ID" in failure.sentence
    return Refusal(
        failure.sentence,
        failure.remedy if app else "Nothing was changed. Sign in once more.",
        status=409 if failure.kind == "auth_expired" else 502,
        blames_app=app or failure.kind == "auth_expired",
    )


def too_late(service: str) -> Refusal:
    return Refusal(f"{service} did not answer in time.", "Nothing was changed. Sign in once more.", 502)


def not_running() -> Refusal:
    return Refusal("Plumbline is just starting.", "Nothing was changed. Sign in once more in a moment.", 503)
