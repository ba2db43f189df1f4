"""Errors as sentences with a way back: pages for browsers, a toast where htmx asked for a part."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import cast

from flask import Flask, Response, g, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from app import errors
from app.log import fields
from app.web.frame.hx import hx, page, respond

logger = logging.getLogger(__name__)

_STATUS: tuple[tuple[type[errors.AppError], int], ...] = (
    (errors.NotFound, 404),
    (errors.NotAllowed, 403),
    (errors.Stale, 409),
    (errors.FlowInvalid, 422),
    (errors.MappingFailed, 422),
    (errors.ConnectorInvalid, 422),
    (errors.ConnectionBroken, 409),
    (errors.CallFailed, 502),
    (errors.Unavailable, 503),
)


@dataclass(frozen=True)
class Words:
    title: str
    sentence: str
    remedy: str = ""


_WORDS = {
    400: Words("That request did not work", "Part of what your browser sent is missing or damaged."),
    401: Words("Please sign in", "You are not signed in."),
    403: Words("That is not allowed", "Your account may not do this."),
    404: Words("Nothing is here", "This address leads nowhere, or what was here has been deleted."),
    405: Words("That request did not work", "This address cannot be used in that way."),
    409: Words("Somebody was faster", "This was changed in the meantime."),
    413: Words("That is too large", "What you sent is larger than this server accepts."),
    422: Words("Something has to be corrected", "Part of what you sent cannot be used."),
    429: Words("Too many tries", "Please wait a few minutes before the next try."),
    502: Words("The other service did not answer well", "The service that was asked gave no good answer."),
    503: Words("Plumbline cannot do that now", "Please try again in a moment. Nothing was lost."),
}
_BROKEN = Words(
    "Something went wrong on our side",
    "Plumbline met an error of its own while making this page. Nothing that was accepted is lost.",
    "Try again. If it stays, the server's log has the details.",
)
_TOO_OLD = Words(
    "This page is too old",
    "You have signed in or out since this page was opened, so nothing was changed.",
    "Load the page again and repeat what you did.",
)


def init_errors(app: Flask) -> None:
    app.register_error_handler(errors.AppError, _app_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _app_error(error: errors.AppError) -> Response:
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status >= 500:
        logger.warning("answered %s: %s", status, error)
    title = _WORDS.get(status, _BROKEN).title
    answer = _show(status, Words(title, error.sentence, error.remedy))
    if isinstance(error, errors.Unavailable):
        answer.headers["Retry-After"] = str(error.retry_after_s)
    return answer


def _csrf_error(_error: CSRFError) -> Response:
    return _show(400, _TOO_OLD)


def _http_error(error: HTTPException) -> Response:
    if error.response is not None or (error.code or 500) < 400:
        return cast(Response, error.get_response())
    status = error.code or 500
    answer = _show(status, _WORDS.get(status, _BROKEN))
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "www-authenticate"):
            answer.headers[name] = value
    return answer


def _unexpected(error: Exception) -> Response:
    logger.error("page failed %s", fields(path=request.path, method=request.method), exc_info=error)
    return _show(500, _BROKEN)


def _show(status: int, words: Words) -> Response:
    if status >= 500 and "user" not in g:
        g.user = None  # the database may be what is broken: do not ask it again for this page
    if hx().partial:
        return respond(status=status, toast=("error", f"{words.sentence} {words.remedy}".strip()))
    return page("errors/error.html", status=status, code=status, words=words)
