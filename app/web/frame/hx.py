"""What htmx asks and what it is told.  The only file that knows `htmx_flask` and htmx 4's headers."""

from __future__ import annotations

import json
from typing import Any, cast

from flask import Flask, Response, render_template, request
from flask import redirect as plain_redirect
from htmx_flask.requests import HtmxAwareRequest, HtmxHeaders
from htmx_flask.response import make_response
from jinja2_fragments.flask import render_block


class Hx(HtmxHeaders):  # type: ignore[misc]
    """htmx 4 says by `HX-Request-Type` whether it wants a part of the page.  Boosted links and the
    back button send `HX-Request` too, or nothing at all, and need the whole page."""

    @property
    def partial(self) -> bool:
        return bool(self._headers.get("HX-Request-Type", "") == "partial")

    @property
    def source(self) -> str:
        """The element that asked, as `tag#id`."""
        return str(self._headers.get("HX-Source", ""))


class HxRequest(HtmxAwareRequest):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.htmx = Hx(self.headers)


def init_hx(app: Flask) -> None:
    app.request_class = HxRequest


def hx() -> Hx:
    """The htmx side of the request that is being answered."""
    return cast(Hx, cast(Any, request).htmx)


def page(template: str, *, block: str = "", status: int = 200, **context: Any) -> Response:
    """The whole page; or only `block`, where htmx asks for a part of it."""
    if block and hx().partial:
        return respond(render_block(template, block, **context), status=status)
    return respond(render_template(template, **context), status=status)


def respond(
    body: str = "",
    *,
    status: int = 200,
    announce: str = "",
    toast: tuple[str, str] | None = None,
    trigger: dict[str, Any] | None = None,
    push_url: str | None = None,
    replace_url: str | None = None,
    reswap: str = "",
    reselect: str = "",
    retarget: str | None = None,
) -> Response:
    """`announce` is read out by screen readers; `toast` is (kind, sentence), kind = success | error |
    info; `trigger` fires events on the element that asked."""
    events = dict(trigger or {}) | ({"announce": announce} if announce else {})
    if toast:
        body += render_template("_layout/toast_partial.html", kind=toast[0], sentence=toast[1])
    answer = cast(
        Response,
        make_response(
            (body, status),
            trigger=json.dumps(events) if events else None,
            push_url=push_url,
            replace_url=replace_url,
            retarget=retarget,
        ),
    )
    # htmx_flask refuses the swap styles of htmx 4 (`innerMorph`) and does not know `HX-Reselect`.
    for name, value in (("HX-Reswap", reswap), ("HX-Reselect", reselect)):
        if value:
            answer.headers[name] = value
    return answer


def redirect(url: str) -> Response:
    """After a form: a plain browser follows 303; htmx, which would put the page into a part of
    itself, is told to go there."""
    if hx():
        answer = Response(status=204)
        answer.headers["HX-Redirect"] = url
        return answer
    return cast(Response, plain_redirect(url, 303))
