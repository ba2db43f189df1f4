"""What each HTTP status usually means: the kind, whether trying again can help, and the words."""

from __future__ import annotations

from typing import NamedTuple

from app.errors import ErrorKind


class Meaning(NamedTuple):
    """`words` follow the name of the host in a sentence.  `ambiguous`: what stands in between gave up
    on the service, which may have got the request all the same."""

    kind: ErrorKind
    permanent: bool
    words: str
    remedy: str = ""
    ambiguous: bool = False


_CHECK_FIELDS = "Look at the answer below and correct the field it names."
_PERMISSION = "Give the account the permission for this, then replay."
_PLAN = "Check the plan of the account."
_LOOK = "Look at the record in the service."
_METHOD = "Choose another method in the step."
_BODY_KIND = "Choose another kind of body in the step."
_SHORTER_URL = "Move data from the address into the body."

_BY_STATUS: dict[int, Meaning] = {
    400: Meaning("invalid_payload", True, "did not accept the data", _CHECK_FIELDS),
    401: Meaning("auth_expired", True, "does not accept the credentials", "Reconnect the account."),
    402: Meaning("permission_missing", True, "asks for a payment or a higher plan", _PLAN),
    403: Meaning("permission_missing", True, "does not allow this", _PERMISSION),
    404: Meaning("not_found", True, "does not know this address or record", "Check the ids in the address."),
    405: Meaning("invalid_payload", True, "does not allow this method here", _METHOD),
    406: Meaning("invalid_payload", True, "cannot answer in the form asked for", "Check the header Accept."),
    407: Meaning("permission_missing", True, "is behind a proxy that wants a sign-in"),
    408: Meaning("unavailable", False, "waited too long for the request"),
    409: Meaning("conflict", True, "says that this conflicts with what is there", _LOOK),
    410: Meaning("gone", True, "says that this no longer exists", "Choose another record."),
    411: Meaning("invalid_payload", True, "wants to know the length of the body", "Send a body."),
    412: Meaning("conflict", True, "says that the record was changed meanwhile", _LOOK),
    413: Meaning("invalid_payload", True, "finds the body too large", "Send less data at once."),
    414: Meaning("invalid_payload", True, "finds the address too long", _SHORTER_URL),
    415: Meaning("invalid_payload", True, "does not accept this kind of body", _BODY_KIND),
    422: Meaning("invalid_payload", True, "did not accept the data", _CHECK_FIELDS),
    423: Meaning("conflict", False, "has locked this record for the moment"),
    425: Meaning("unavailable", False, "was not ready for the request"),
    429: Meaning("rate_limited", False, "got too many calls"),
    431: Meaning("invalid_payload", True, "finds the headers too large", "Send fewer or shorter headers."),
    451: Meaning("permission_missing", True, "may not answer this for legal reasons"),
    500: Meaning("unavailable", False, "had an error of its own"),
    501: Meaning("invalid_payload", True, "cannot do this", _METHOD),
    502: Meaning("unavailable", False, "is unreachable behind its gateway", ambiguous=True),
    503: Meaning("unavailable", False, "is unavailable at the moment"),
    504: Meaning("unavailable", False, "took too long behind its gateway", ambiguous=True),
    520: Meaning("unavailable", False, "gave its gateway no proper answer", ambiguous=True),
    521: Meaning("unavailable", False, "refuses its gateway: it is down"),
    524: Meaning("unavailable", False, "took too long behind its gateway", ambiguous=True),
    505: Meaning("invalid_payload", True, "does not speak this version of HTTP"),
    529: Meaning("unavailable", False, "is overloaded"),
}
_GATEWAY = Meaning("unavailable", False, "is unreachable behind its gateway")
_ODD_SERVER = Meaning("unavailable", True, "had an error of its own", "Ask the service what this means.")
_REDIRECT = Meaning("invalid_payload", True, "redirects", "Put the final address into the step.")
_REFUSED = Meaning("invalid_payload", True, "refused the call", "Look at the answer below.")
_UNFINISHED = Meaning("unavailable", False, "broke off its answer", ambiguous=True)


def meaning_of(status: int) -> Meaning:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return _GATEWAY if 520 <= status <= 524 else _ODD_SERVER
    if status < 200:
        return _UNFINISHED
    return _REDIRECT if status < 400 else _REFUSED
