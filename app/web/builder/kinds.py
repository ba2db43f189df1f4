"""What the forms of the kinds of steps and triggers say in another way than the model does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from app.flows.conditions import OPERATORS
from app.flows.model import BaseStep, BaseTrigger, Step, Trigger
from app.web.builder.forms import Data, Typed, as_model, at, blank_condition, merged

Errors = dict[str, str]
INTERVALS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}

_MOST_DEFAULT_TEXT = 100_000
_USUAL_REPEAT = {"data": "$.id", "header": "X-Delivery-Id", "query": "id"}


def read_step(step: Step, typed: Data) -> Typed[Any]:
    """`typed` over the step as it is."""
    errors: Errors = {}
    data = _over(step.model_dump(mode="json"), typed)
    _default_output(data, errors)
    if step.kind in _STEP_FORMS:
        _STEP_FORMS[step.kind](data, errors)
    return _as_typed(type(step), data, errors)


def read_trigger(trigger: Trigger, typed: Data) -> Typed[Any]:
    errors: Errors = {}
    data = _over(trigger.model_dump(mode="json"), typed)
    if trigger.kind in _TRIGGER_FORMS:
        _TRIGGER_FORMS[trigger.kind](data, errors)
    return _as_typed(type(trigger), data, errors)


def shown_data(part: Step | Trigger) -> Data:
    """What a form shows of a step or trigger that nobody has typed in."""
    data = part.model_dump(mode="json")
    if "every_s" in data:
        data["every"] = _interval_parts(data["every_s"])
    if data["kind"] == "webhook":
        data["repeat_by"], data["repeat_value"] = _repeat_parts(data["dedupe"])
    if isinstance(part, BaseStep):
        default = data["default_output"]
        data["default_text"] = "" if default is None else json.dumps(default, ensure_ascii=False, indent=2)
    return data


def shape(part: Step | Trigger) -> tuple[Any, ...]:
    """What decides which fields a form has: when it changes, the form is drawn again."""
    data = part.model_dump(mode="json")
    keys = (
        "request.method",
        "request.body_kind",
        "request.connection_id",
        "connection_id",
        "on_error",
        "retry.preset",
        "mode",
        "outcome",
        "take",
        "signature.connection_id",
        "signature.scheme",
    )
    else_paths = tuple(path["conditions"] is None for path in data.get("paths", ()))
    switches = [*(at(data, key) for key in keys), bool(data.get("success")), else_paths]
    return (part.kind, *switches, _repeat_parts(str(data.get("dedupe") or ""))[0], *_right_sides(data))


def interval_words(seconds: int) -> str:
    parts = _interval_parts(seconds)
    amount = int(parts["amount"])
    return f"every {parts['unit'][:-1]}" if amount == 1 else f"every {amount} {parts['unit']}"


def _interval_parts(seconds: int | None) -> dict[str, str]:
    if not seconds:
        return {"amount": "", "unit": "minutes"}
    for unit, size in sorted(INTERVALS.items(), key=lambda item: -item[1]):
        if seconds % size == 0:
            return {"amount": str(seconds // size), "unit": unit}
    return {"amount": str(seconds), "unit": "seconds"}


def _repeat_parts(dedupe: str) -> tuple[str, str]:
    """How a repeat is known: by the sender's own id, a header, a value in the data, or not at all."""
    if dedupe in ("", "none"):
        return dedupe or "sender", ""
    kind, _, name = dedupe.partition(":")
    return (kind, name) if kind in ("header", "query") else ("data", dedupe)


def _repeat(data: Data, errors: Errors) -> None:
    by = data.get("repeat_by")
    usual = _USUAL_REPEAT.get(str(by), "")  # the field for it was not in the form yet
    value = str(data.get("repeat_value", usual) or "").strip()[:500]
    if by in ("sender", "none"):
        data["dedupe"] = "" if by == "sender" else "none"
    elif by in ("header", "query"):
        data["dedupe"] = f"{by}:{value}"
    elif by == "data":
        data["dedupe"] = value
    if by in ("header", "query", "data") and not value:
        errors["repeat_value"] = "Say which one, for example X-Delivery-Id for a header or $.id for the data."


def _right_sides(data: Any) -> list[tuple[bool, bool, bool]]:
    """Which fields each condition has beside its left one: another operator may need others."""
    if isinstance(data, list):
        return [sides for row in data for sides in _right_sides(row)]
    if not isinstance(data, dict):
        return []
    operator = data.get("operator")
    facts = None if operator is None else OPERATORS[operator]
    own = [] if facts is None else [(facts.needs_right, operator == "between", facts.group == "Text")]
    return own + [sides for key, row in data.items() if key != "steps" for sides in _right_sides(row)]


def _over(old: Data, typed: Data) -> Data:
    """A form cannot change what a step is, nor the steps inside it."""
    kept = {key: old[key] for key in ("id", "kind", "steps", "connector", "action", "trigger") if key in old}
    result: Data = merged(old, typed) | kept
    if "paths" in old:
        # Paths are matched by their id, so that a form drawn earlier never moves steps.
        rows = {row["id"]: row for row in typed.get("paths") or () if isinstance(row, dict) and "id" in row}
        result["paths"] = [
            merged(path, rows.get(path["id"], {})) | {"id": path["id"], "steps": path["steps"]}
            for path in old["paths"]
        ]
    return result


def _as_typed(kind: type[BaseStep] | type[BaseTrigger], data: Data, errors: Errors) -> Typed[Any]:
    """Returns the model with all that was typed, the form's own fields among it."""
    own = {key: value for key, value in data.items() if key in kind.model_fields}
    typed = as_model(kind, own, errors)
    return Typed(data, typed.model, typed.errors)


# ------------------------------------------------------------------------------- one per kind


def _default_output(data: Data, errors: Errors) -> None:
    text = str(data.get("default_text") or "").strip()
    if "default_text" not in data:
        return
    try:
        data["default_output"] = json.loads(text[:_MOST_DEFAULT_TEXT]) if text else None
    except (ValueError, RecursionError):
        errors["default_text"] = (
            'Write JSON here, for example {"status": "unknown"} or "none". '
            f"This could not be read: “{text[:40]}”."
        )


def _every(data: Data, errors: Errors) -> None:
    every = data.get("every")
    if not isinstance(every, dict):
        return
    amount, unit = str(every.get("amount") or "").strip(), str(every.get("unit") or "minutes")
    if not amount and data["kind"] == "connector":
        data["every_s"] = None
        return
    try:
        data["every_s"] = round(float(amount) * INTERVALS.get(unit, 60))
    except (ValueError, OverflowError):
        errors["every"] = f"Write how often as a number, for example 5. “{amount[:40]}” is none."
        return
    if not 10 <= data["every_s"] <= 31 * 86400:
        errors["every"] = "Choose between every 10 seconds and every 31 days."


def _webhook(data: Data, errors: Errors) -> None:
    signature = data.get("signature")
    if isinstance(signature, dict) and not signature.get("connection_id"):
        data["signature"] = None
    _repeat(data, errors)
    if not data.get("methods"):
        errors["methods"] = "Choose at least one method; senders nearly always use POST."


def _http(data: Data, errors: Errors) -> None:
    wanted = data.pop("success_on", None)
    if wanted is not None:
        data["success"] = _conditions_if(wanted == "1", data.get("success"))


def _paths(data: Data, errors: Errors) -> None:
    for number, path in enumerate(data["paths"]):
        wanted = path.pop("taken", None)
        if wanted is not None:
            path["conditions"] = _conditions_if(wanted == "when", path.get("conditions"))
        if not str(path.get("name") or "").strip():
            errors[f"paths.{number}.name"] = "Give this path a name."


def _conditions_if(wanted: bool, conditions: Any) -> Any:
    """Asked for and not there yet: one condition to be filled in."""
    if not wanted:
        return None
    has_some = isinstance(conditions, dict) and conditions.get("groups")
    return conditions if has_some else {"groups": [[blank_condition()]]}


_STEP_FORMS: dict[str, Callable[[Data, Errors], None]] = {"http": _http, "paths": _paths}
_TRIGGER_FORMS: dict[str, Callable[[Data, Errors], None]] = {
    "webhook": _webhook,
    "poll": _every,
    "connector": _every,
}


# ------------------------------------------------------------------------------- signatures of senders

# How well-known senders sign, so that nobody has to copy it from their documentation into a form.
PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "standard": ("Standard Webhooks (Svix, Resend, Clerk)", {"scheme": "standard_webhooks"}),
    "mandrill": (
        "Mailchimp Transactional (Mandrill)",
        {
            "header": "X-Mandrill-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "message": "{url}{form}",
        },
    ),
    "stripe": (
        "Stripe",
        {
            "header": "Stripe-Signature",
            "prefix": "v1=",
            "message": "{timestamp}.{body}",
            "timestamp_header": "Stripe-Signature",
        },
    ),
    "shopify": (
        "Shopify",
        {
            "header": "X-Shopify-Hmac-Sha256",
            "encoding": "base64",
            "id_header": "X-Shopify-Event-Id",
        },
    ),
    "github": (
        "GitHub, Meta",
        {
            "header": "X-Hub-Signature-256",
            "prefix": "sha256=",
            "id_header": "X-GitHub-Delivery",
        },
    ),
    "twilio": (
        "Twilio",
        {
            "header": "X-Twilio-Signature",
            "algorithm": "sha1",
            "encoding": "base64",
            "message": "{url}{form}",
        },
    ),
    "sendgrid": (
        "SendGrid",
        {
            "scheme": "ecdsa_p256",
            "header": "X-Twilio-Email-Event-Webhook-Signature",
            "message": "{timestamp}{body}",
            "timestamp_header": "X-Twilio-Email-Event-Webhook-Timestamp",
        },
    ),
    "gitlab": ("GitLab", {"scheme": "token", "header": "X-Gitlab-Token"}),
}
_BARE: dict[str, Any] = {
    "scheme": "hmac",
    "username": "",
    "header": "",
    "algorithm": "sha256",
    "encoding": "hex",
    "prefix": "",
    "message": "{body}",
    "timestamp_header": "",
    "id_header": "",
}


def signature_presets() -> list[tuple[str, str]]:
    return [(key, label) for key, (label, _) in PRESETS.items()]


def fill_in_signature(data: dict[str, Any], change: str) -> None:
    """`signed-as:<sender>`: the fields of the check become those of that sender; its secret stays."""
    verb, _, key = change.partition(":")
    signature = data.get("signature")
    if verb == "signed-as" and key in PRESETS and isinstance(signature, dict):
        signature.update(_BARE | PRESETS[key][1])
