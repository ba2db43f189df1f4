"""How the builder answers: parts of the page for htmx, a redirect or the whole page for plain browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, render_template, request

from app.errors import AppError, CallFailed, ConnectionBroken, FlowInvalid, MappingFailed, Stale, Unavailable
from app.flows.model import FlowDefinition
from app.storage.database.db import pages_db
from app.storage.flows.flows import get_flow, save_draft
from app.web.builder.panel import Panel, open_panel
from app.web.builder.view import Editor, open_editor
from app.web.frame.context import parts
from app.web.frame.hx import hx, redirect, respond

_REFUSALS = (CallFailed, ConnectionBroken, FlowInvalid, MappingFailed, Stale, Unavailable)


def change_draft(flow_id: str, change: Callable[[FlowDefinition], FlowDefinition]) -> Editor:
    """Saves what `change` makes of the draft, if it differs; refuses one that is based on an older
    revision than the stored one."""
    flow = get_flow(pages_db.session, flow_id)
    if request.form.get("revision") != str(flow.draft_revision):
        raise Stale(
            "This flow was changed in another window or by somebody else.",
            remedy="Load the page again to see that change, then make yours.",
            flow=flow_id,
        )
    wanted = change(flow.draft)
    if wanted != flow.draft:
        now = parts().clock.now()
        parts().database.write(
            lambda db: save_draft(db, flow_id, wanted, revision=flow.draft_revision, now=now)
        )
    return open_editor(flow_id)


def show_parts(
    editor: Editor,
    panel: Panel | None = None,
    *,
    draw_panel: bool = True,
    status: int = 200,
    announce: str = "",
    push_url: str | None = None,
    template: str = "builder/_panel.html",
    **more: Any,
) -> Response:
    """The canvas and the bar anew, the panel too if `draw_panel`; else only its errors."""
    if not hx().partial:
        if status == 200:
            return redirect(push_url or editor.url(step=panel.part.id if panel else "trigger"))
        return show_page(editor, panel, status=status, template=template, **more)
    body = render_template(
        "builder/_answer.html",
        editor=editor,
        panel=panel,
        draw_panel=draw_panel,
        panel_template=template,
        selected=panel.part.id if panel else "",
        **more,
    )
    return respond(body, status=status, announce=announce, push_url=push_url)


def show_page(
    editor: Editor,
    panel: Panel | None,
    *,
    status: int = 200,
    template: str = "builder/_panel.html",
    **more: Any,
) -> Response:
    """The whole editor; only the panel where htmx asks for a part of it."""
    context = {
        "editor": editor,
        "panel": panel,
        "panel_template": template,
        "selected": panel.part.id if panel else "",
        **more,
    }
    if hx().partial:
        return respond(render_template("builder/_panel_answer.html", **context), status=status)
    return respond(render_template("builder/edit.html", **context), status=status)


def say_refusals(blueprint: Blueprint) -> None:
    """What cannot be done is said above the canvas; what was typed stays where it is."""
    for kind in _REFUSALS:
        blueprint.register_error_handler(kind, _refuse)


def _refuse(reason: AppError) -> Response:
    status = 409 if isinstance(reason, Stale) else 422
    editor = open_editor(str((request.view_args or {})["flow_id"]))
    shown = request.form.get("step") or (request.view_args or {}).get("step_id", "")
    if hx().partial:
        body = render_template("builder/_refused.html", editor=editor, reason=reason, selected=shown)
        return respond(body, status=status, announce=reason.sentence)
    panel = open_panel(editor, shown)
    return show_page(editor, panel, status=status, refused=reason)
