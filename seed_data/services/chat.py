"""The demo team chat: like its model it answers 200 to everything and says `ok: false` in the body."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, jsonify, render_template, request

from seed_data.services.shared import KEYS, bearer, once, remember, services
from seed_data.services.shelf import now_text

blueprint = Blueprint("chat", __name__, url_prefix="/chat")

CHANNELS = {"C01": "marketing", "C02": "sales-north", "C03": "sales-south"}
_LONGEST = 4000


@blueprint.get("/")
def index() -> str:
    shelf = services().shelf
    return render_template(
        "chat.html",
        channels=CHANNELS,
        messages=shelf.newest("chat.message", 60),
        calls=shelf.newest("chat.call", 15),
    )


@blueprint.before_request
def _check_key() -> Response | None:
    if not request.path.startswith("/chat/api/"):
        return None
    if (fault := services().faults.answer("chat")) is not None:
        return _failed("token_revoked") if fault.status_code == 401 else fault
    if not hmac.compare_digest(bearer().encode(), KEYS["chat"].encode()):
        return _failed("invalid_auth")
    return None


@blueprint.get("/api/me")
def me() -> Response:
    return jsonify({"ok": True, "team": "Demo team", "user": "plumbline"})


@blueprint.get("/api/channels")
def channels() -> Response:
    rows = [{"id": id_, "name": name} for id_, name in CHANNELS.items()]
    return jsonify({"ok": True, "channels": rows})


@blueprint.post("/api/messages")
def post_message() -> Response:
    document = request.get_json(silent=True)
    values = document if isinstance(document, dict) else {}
    channel, text = _channel(str(values.get("channel", ""))), str(values.get("text", ""))
    key = request.headers.get("Idempotency-Key", "")
    if (answered := once("chat", key)) is not None:
        return jsonify(answered)
    if channel is None:
        return _failed("channel_not_found")
    if not text.strip():
        return _failed("no_text")
    message = {"channel": channel, "text": text[:_LONGEST], "at": now_text()}
    number = services().shelf.add("chat.message", message)
    done = {"ok": True, "ts": str(number), "channel": channel}
    remember("chat", key, done)
    return jsonify(done)


def _channel(text: str) -> str | None:
    """By id or by name, with or without the #."""
    by_name = {name: id_ for id_, name in CHANNELS.items()}
    return text if text in CHANNELS else by_name.get(text.removeprefix("#"))


def _failed(error: str) -> Response:
    return jsonify({"ok": False, "error": error})
