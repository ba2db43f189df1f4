"""Where senders reach flows: `/hooks/<token>`.  No session, no cookies, answers in JSON.

It stands before Flask: a delivery needs none of what pages need, and a burst of them is served with
a quarter of the work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wsgi import get_input_stream

from app.errors import AppError, DeliveryRefused, NotFound, Unavailable
from app.intake.inbound import Accepted, MethodRefused
from app.log import fields

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

    from app.intake.intake import Intake

log = logging.getLogger("plumbline.hooks")

PREFIX = "/hooks/"
Headers = list[tuple[str, str]]

# A form on any page may post here: the secret is in the address, there is no cookie to misuse.
_ALWAYS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
)
_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, POST, PUT"),
    ("Access-Control-Allow-Headers", "Content-Type, Idempotency-Key"),
    ("Access-Control-Max-Age", "600"),
)
_JSON = ("Content-Type", "application/json")


class HookDoor:
    """Takes the requests to addresses of flows and hands all others to the application."""

    def __init__(self, application: WSGIApplication, intake: Intake, *, most_bytes: int) -> None:
        self._application = application
        self._intake = intake
        self._most_bytes = most_bytes

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._application(environ, start_response)
        status, headers, body = self._answer(environ, path)
        headers += [*_ALWAYS, ("Content-Length", str(len(body)))]
        start_response(f"{status} {HTTP_STATUS_CODES.get(status, '')}", headers)
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _answer(self, environ: dict[str, Any], path: str) -> tuple[int, Headers, bytes]:
        if environ["REQUEST_METHOD"] == "OPTIONS":
            return 204, list(_PREFLIGHT), b""
        try:
            return _accepted(self._accept(environ, path))
        except AppError as reason:
            return _refused(reason)
        except Exception:  # a mistake of ours must not cost the sender's event: it is told to come again
            log.exception("%s", fields(event="accept_failed"))
            return _refused(Unavailable("Something went wrong here; nothing was accepted."))

    def _accept(self, environ: dict[str, Any], path: str) -> Accepted:
        body, fits = self._body(environ)
        return self._intake.accept(
            path[len(PREFIX) :],
            method=environ["REQUEST_METHOD"],
            path_url=path,
            query=environ.get("QUERY_STRING", ""),
            headers=_headers(environ),
            body=body,
            remote_addr=environ.get("REMOTE_ADDR") or "",
            too_large=not fits,
        )

    def _body(self, environ: dict[str, Any]) -> tuple[bytes, bool]:
        """What was sent, unless it is too large; then it is not read to its end."""
        length = environ.get("CONTENT_LENGTH")
        if "HTTP_TRANSFER_ENCODING" in environ and not (length or environ.get("wsgi.input_terminated")):
            raise DeliveryRefused("The length of the body has to be said (Content-Length).", status=411)
        try:
            body = get_input_stream(environ, max_content_length=self._most_bytes).read()
        except RequestEntityTooLarge:
            return b"", False
        except ClientDisconnected:
            body = b""
        if length and length.isdecimal() and len(body) < int(length):
            raise DeliveryRefused("The body was cut off on its way.")
        return body, True


def _headers(environ: dict[str, Any]) -> Headers:
    found = [
        (name[5:].replace("_", "-").title(), value)
        for name, value in environ.items()
        if name.startswith("HTTP_") and isinstance(value, str)
    ]
    for name, header in (("CONTENT_TYPE", "Content-Type"), ("CONTENT_LENGTH", "Content-Length")):
        if environ.get(name):
            found.append((header, environ[name]))
    return found


def _accepted(accepted: Accepted) -> tuple[int, Headers, bytes]:
    if accepted.reply is None:
        return accepted.status, [_JSON], orjson.dumps(accepted.document())
    headers = [("Content-Type", accepted.reply_type), *accepted.reply_headers.items()]
    return accepted.status, headers, accepted.reply


def _refused(reason: AppError) -> tuple[int, Headers, bytes]:
    headers = [_JSON]
    status = 404 if isinstance(reason, NotFound) else 503
    if isinstance(reason, DeliveryRefused):
        status = reason.status
    if isinstance(reason, Unavailable):
        headers.append(("Retry-After", str(reason.retry_after_s)))
    if isinstance(reason, MethodRefused):
        headers.append(("Allow", ", ".join(reason.allowed)))
    return status, headers, orjson.dumps({"error": reason.sentence})
