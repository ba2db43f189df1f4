"""The looks of a flow's poll: what each found, what was new, and the calls it made."""

from __future__ import annotations

from flask import Blueprint, Response, request

from app.errors import NotFound
from app.storage.database.db import pages_db
from app.storage.flows.flows import FlowRow, get_flow
from app.storage.flows.polls import get_poll, list_polls
from app.storage.flows.triggers import get_trigger
from app.storage.history.detail import calls_for
from app.storage.history.rows import clean
from app.web.frame.hx import page
from app.web.runs.calls import body_download, call_page, call_view

blueprint = Blueprint("polls", __name__)

_PAGE = 50
_CALLS_IN_FULL = 20


@blueprint.get("/flows/<flow_id>/polls")
def of_flow(flow_id: str) -> Response:
    flow = get_flow(pages_db.session, flow_id)
    before = clean(request.args.get("before", "")[:64])
    rows = list_polls(pages_db.session, flow_id, limit=_PAGE + 1, before=before)
    return page(
        "flows/polls/index.html",
        flow=flow,
        polls=rows[:_PAGE],
        next_before=rows[_PAGE - 1].id if len(rows) > _PAGE else "",
        before=before,
        trigger=get_trigger(pages_db.session, flow_id),
    )


@blueprint.get("/polls/<poll_id>")
def show_poll(poll_id: str) -> Response:
    poll = get_poll(pages_db.session, clean(poll_id))
    calls = calls_for(pages_db.session, poll_id)
    return page(
        "flows/polls/show.html",
        poll=poll,
        flow=_flow(poll.flow_id),
        calls=[
            call_view(call, is_full=number < _CALLS_IN_FULL, is_open=call.error_kind is not None)
            for number, call in enumerate(calls)
        ],
    )


@blueprint.get("/polls/<poll_id>/calls/<int(max=1000000):number>")
def show_call(poll_id: str, number: int) -> Response:
    poll = get_poll(pages_db.session, clean(poll_id))
    return call_page(poll.id, number, back=f"/polls/{poll.id}", title="A look of the poll")


@blueprint.get("/polls/<poll_id>/calls/<int(max=1000000):number>/<any(request, answer):side>")
def download_body(poll_id: str, number: int, side: str) -> Response:
    return body_download(get_poll(pages_db.session, clean(poll_id)).id, number, side)


def _flow(flow_id: str) -> FlowRow | None:
    try:
        return get_flow(pages_db.session, flow_id)
    except NotFound:
        return None
