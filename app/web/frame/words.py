"""The words of the pages: states of runs, steps and connections as people read them."""

from __future__ import annotations

_RUN_WORDS = {
    "queued": "Queued",
    "running": "Running",
    "waiting": "Waiting",
    "succeeded": "Success",
    "filtered": "Filtered",
    "failed": "Failed",
    "dead": "Stopped",
    "cancelled": "Cancelled",
}
_WAITING_WORDS = {
    "retry": "Retrying",
    "rate_limit": "Waiting",
    "away": "Waiting",
    "delay": "Waiting",
    "held_connection": "Held",
    "held_flow": "Held",
    "unknown": "Held",
    "turn": "Waiting",
    "batch": "Waiting",
    "status": "Waiting",
    "callback": "Waiting",
}
_OTHER_WORDS = {
    "started": "Running",
    "gathered": "Waiting",
    "retry": "Retrying",
    "skipped": "Skipped",
    "unknown": "Unknown",
    "on": "On",
    "off": "Off",
    "held": "Held",
    "ok": "Ready",
    "broken": "Needs you",
    "draft": "Draft",
    "accepted": "Accepted",
    "duplicate": "Duplicate",
    "refused": "Refused",
    "sample": "Sample",
    "handshake": "Handshake",
    "callback": "Callback",
}
# Icons of Plumbline's own triggers, steps and connections; every other key is a connector's.
OWN_KINDS = {
    "webhook": "webhook",
    "poll": "radio",
    "schedule": "calendar-clock",
    "manual": "hand",
    "http": "globe",
    "smtp": "mail",
    "email": "mail",
    "filter": "filter",
    "paths": "split",
    "for_each": "repeat",
    "delay": "hourglass",
    "set": "variable",
    "stop": "circle-stop",
}
STATE_LOOKS = {
    "Success": "ok",
    "Accepted": "ok",
    "Sample": "quiet",
    "Handshake": "quiet",
    "Callback": "quiet",
    "Ready": "ok",
    "On": "ok",
    "Filtered": "quiet",
    "Duplicate": "quiet",
    "Skipped": "quiet",
    "Off": "quiet",
    "Draft": "quiet",
    "Cancelled": "quiet",
    "Queued": "quiet",
    "Waiting": "busy",
    "Running": "busy",
    "Retrying": "busy",
    "Held": "warn",
    "Unknown": "warn",
    "Needs you": "warn",
    "Refused": "bad",
    "Stopped": "bad",
    "Failed": "bad",
}


def state_word(state: str, reason: str = "") -> str:
    """`waiting` says why: Waiting, Retrying or Held."""
    if state == "waiting" and reason:
        return _WAITING_WORDS.get(reason, "Waiting")
    return _RUN_WORDS.get(state) or _OTHER_WORDS.get(state) or state.replace("_", " ").capitalize()
