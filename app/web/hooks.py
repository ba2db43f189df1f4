"""Where senders reach flows: `/hooks/<token>`.  No session, no cookies, answers in JSON."""

from __future__ import annotations

import logging

import orjson
from flask import Blueprint, Response, request
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from app.errors import AppError, DeliveryRefused, NotFound, Unavailable
from app.intake.inbound import MethodRefused
from app.log import fields
from app.web.context import parts

log = logging.getLogger("plumbline.hooks")
blueprint = Blueprint("hooks", __name__)

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


@blueprint.route("/hooks/<token>", methods=_METHODS, provide_automatic_options=False)
def receive(token: str) -> Response:
    if request.method == "OPTIONS":
        return _preflight()
    try:
        body, fits = _body()
        accepted = parts().intake.accept(
            token,
            method=request.method,
            path_url=request.path,
            query=request.query_string.decode("latin-1"),
            headers=list(request.headers.items()),
            body=body,
            remote_addr=request.remote_addr or "",
            too_large=not fits,
        )
    except AppError as reason:
        return _refused(reason)
    except Exception:  # a mistake of ours must not cost the sender's event: it is told to come again
        log.exception("%s", fields(event="accept_failed"))
        return _refused(Unavailable("Something went wrong here; nothing was accepted."))
    if accepted.reply is not None:
        reply = Response(accepted.reply, accepted.status, content_type=accepted.reply_type)
        reply.headers.update(accepted.reply_headers)
        return _open(reply)
    return _answer(accepted.status, accepted.document())


def _body() -> tuple[bytes, bool]:
    """What was sent, unless it is too large; then it is not read to its end."""
    most = parts().settings.max_body_mb * 1024 * 1024
    request.max_content_length = most
    if (request.content_length or 0) > most:
        return b"", False
    try:
        return request.get_data(cache=False), True
    except RequestEntityTooLarge:
        return b"", False
    except ClientDisconnected as reason:
        raise DeliveryRefused("The body was cut off on its way.") from reason


def _refused(reason: AppError) -> Response:
    status = (
        reason.status if isinstance(reason, DeliveryRefused) else 404 if isinstance(reason, NotFound) else 503
    )
    response = _answer(status, {"error": reason.sentence})
    if isinstance(reason, Unavailable):
        response.headers["Retry-After"] = str(reason.retry_after_s)
    if isinstance(reason, MethodRefused):
        response.headers["Allow"] = ", ".join(reason.allowed)
    return response


def _answer(status: int, document: dict[str, object]) -> Response:
    return _open(Response(orjson.dumps(document), status, content_type="application/json"))


def _open(response: Response) -> Response:
    """A form on any page may post here: the secret is in the address, there is no cookie to misuse."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "no-store"
    return response


def _preflight() -> Response:
    response = _open(Response(status=204))
    response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, Idempotency-Key"
    response.headers["Access-Control-Max-Age"] = "600"
    return response
