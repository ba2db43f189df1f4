"""The states that the database keeps as text: of runs, steps, connections, deliveries and others."""

from __future__ import annotations

from typing import Literal

RunState = Literal["queued", "running", "waiting", "succeeded", "filtered", "failed", "dead", "cancelled"]

StepState = Literal["started", "gathered", "accepted", "succeeded", "retry", "failed", "skipped", "unknown"]

# Why a run waits.
WaitReason = Literal[
    "retry",
    "rate_limit",
    "away",
    "delay",
    "turn",
    "batch",
    "status",
    "callback",
    "held_flow",
    "held_connection",
    "unknown",
]

NoReason = Literal[""]  # of a run that does not wait

ConnectionState = Literal["ok", "broken"]

DeliveryOutcome = Literal["accepted", "duplicate", "refused", "sample", "handshake", "callback"]

EventSource = Literal["webhook", "poll", "schedule", "manual", "test"]

PollState = Literal["succeeded", "failed", "skipped"]

OrderState = Literal["open", "done", "stopped"]

# Of a subscription at a service.  asked: the service was not told yet; making: it was told, its answer is
# not known; unsure: nobody can find out; by_hand: a person looks after it; left: it could not be ended.
SubscriptionState = Literal[
    "asked", "making", "live", "refused", "unsure", "by_hand", "leaving", "left", "gone"
]
