"""Dead letters as a screen: groups by their cause, the runs of one, the orders about them, and what was
put away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, flash, g, request
from sqlalchemy.exc import DBAPIError

from app.engine import dead_letters as decisions
from app.engine.replay import Mode, WhichVersion
from app.storage.database.db import pages_db
from app.storage.letters import dead_letters
from app.storage.letters import orders as bulk_orders
from app.storage.letters.discards import discards
from app.web.dead_letters.view import OrderView, group_view, order_views
from app.web.frame.context import my_id, parts
from app.web.frame.hx import page, redirect

blueprint = Blueprint("dead_letters", __name__)

_GROUPS = 50
_PAGE = 50
_MOST_COUNTED = 1000  # from there on the navigation says 999+
_ORDERS_SHOWN_FOR = timedelta(hours=12)


@blueprint.record_once
def _register(state: object) -> None:
    app: Flask = state.app  # type: ignore[attr-defined]
    app.jinja_env.globals |= {"dead_letter_count": _count, "orders_under_way": _under_way}


def _count() -> int:
    """For the navigation of every page, also of those that say that the database is in trouble."""
    if "dead_letter_count" not in g:
        try:
            g.dead_letter_count = dead_letters.count(pages_db.session, most=_MOST_COUNTED)
        except DBAPIError:
            g.dead_letter_count = 0
    return int(g.dead_letter_count)


def _under_way() -> list[OrderView]:
    """For the list of runs."""
    found = bulk_orders.under_way(pages_db.session)
    return order_views(pages_db.session, found) if found else []


# ------------------------------------------------------------------------------------- looking


@blueprint.get("/dead-letters")
def index() -> Response:
    found = dead_letters.groups(pages_db.session, limit=_GROUPS + 1)
    return page(
        "dead_letters/index.html",
        block="live",
        groups=[group_view(pages_db.session, group) for group in found[:_GROUPS]],
        has_more=len(found) > _GROUPS,
        orders=_orders(""),
    )


@blueprint.get("/dead-letters/group")
def show_group() -> Response:
    cause = dead_letters.clean_cause(request.args.get("cause", ""))
    group = dead_letters.get_group(pages_db.session, cause)
    rows, older = dead_letters.letters(
        pages_db.session, cause, before=request.args.get("before"), limit=_PAGE
    )
    query = urlencode({"cause": cause, "before": older}) if older else ""
    return page(
        "dead_letters/group.html",
        block="live",
        cause=cause,
        view=group_view(pages_db.session, group) if group else None,
        runs=rows,
        older=f"/dead-letters/group?{query}" if query else "",
        orders=_orders(cause),
    )


@blueprint.get("/dead-letters/discarded")
def discarded() -> Response:
    rows = discards(pages_db.session, before=_place(request.args.get("before", "")), limit=_PAGE + 1)
    older = ""
    if len(rows) > _PAGE:
        last = rows[_PAGE - 1]
        at = int(last.at.timestamp() * 1000)
        older = "/dead-letters/discarded?" + urlencode({"before": f"{at}.{last.run_id}"})
    return page("dead_letters/discarded.html", rows=rows[:_PAGE], older=older)


def _orders(cause: str) -> list[object]:
    since = parts().clock.now() - _ORDERS_SHOWN_FOR
    found = bulk_orders.recent(pages_db.session, since=since)
    letters = [one for one in found if one.what != "cancel"]
    chosen = [one for one in letters if not cause or one.cause == cause or one.chosen is not None]
    return [*order_views(pages_db.session, chosen)]


def _place(text: str) -> tuple[datetime, str] | None:
    at, _, run_id = text.partition(".")
    if not at.isdecimal() or len(at) > 14:
        return None
    return datetime.fromtimestamp(int(at) / 1000, UTC), run_id


# ------------------------------------------------------------------------------------ deciding


@blueprint.post("/dead-letters/resend")
def resend() -> Response:
    """All of a group."""
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    decisions.resend_group(
        parts().database, parts().clock, cause, mode=_mode(), version=_version(), by=my_id()
    )
    _said("They are sent again, a few at a time; this page shows how far it is.")
    return redirect(_group_address(cause))


@blueprint.post("/dead-letters/discard")
def discard() -> Response:
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    reason = request.form.get("reason", "")
    decisions.discard_group(parts().database, parts().clock, cause, reason=reason, by=my_id())
    _said("They are put away; their runs stay in the history.")
    return redirect(_group_address(cause))


@blueprint.post("/dead-letters/chosen")
def decide_chosen() -> Response:
    """Those that were ticked."""
    cause = dead_letters.clean_cause(request.form.get("cause", ""))
    ids = request.form.getlist("run")
    if request.form.get("do") == "discard":
        reason = request.form.get("reason", "")
        decisions.discard_chosen(parts().database, parts().clock, ids, reason=reason, by=my_id())
        _said("They are put away; their runs stay in the history.")
    else:
        decisions.resend_chosen(
            parts().database, parts().clock, ids, mode=_mode(), version=_version(), by=my_id()
        )
        _said("They are sent again, a few at a time.")
    return redirect(_group_address(cause))


@blueprint.post("/orders/<order_id>/stop")
def stop(order_id: str) -> Response:
    order = bulk_orders.get_order(pages_db.session, order_id)
    if decisions.stop_order(parts().database, parts().clock, order.id, by=my_id()):
        flash("Stopped. What had been begun goes on; the rest stays as it was.", "success")
    else:
        flash("It had ended already.", "info")
    return redirect(_group_address(order.cause) if order.cause else f"/orders/{order.id}")


def _said(sentence: str) -> None:
    """The first portion at once, so that the page that follows shows it."""
    if parts().engine.is_started:
        parts().engine.work_orders()
    flash(sentence, "success")


def _group_address(cause: str) -> str:
    """The group as long as something of it is left."""
    pages_db.session.rollback()  # what was just written is not in what this request has read
    left = dead_letters.get_group(pages_db.session, cause) if cause else None
    return f"/dead-letters/group?{urlencode({'cause': cause})}" if left else "/dead-letters"


def _mode() -> Mode:
    return "whole" if request.form.get("mode") == "whole" else "failed"


def _version() -> WhichVersion:
    return "current" if request.form.get("version") == "current" else "same"
