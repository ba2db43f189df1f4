"""A call waits for its turn: for a moment in place, for longer as a row; without keeping others out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from app.calls.limits.limits import Lane, Wait, host_of
from app.calls.limits.model import IN_PLACE_S
from app.calls.message.call import CallRequest
from app.engine.context import RunContext
from app.engine.signals import RunWaits
from app.errors import CallFailed
from app.states import WaitReason

_REASONS: dict[str, WaitReason] = {
    "turn": "rate_limit",
    "pause": "rate_limit",
    "away": "away",
    "retries": "retry",
}


async def wait_for_room(ctx: RunContext, lane: Lane) -> None:
    """As many calls as may be under way at once are.  The run keeps its memory, but not a place among
    those that are performed: other flows go on."""
    ctx.runtime.dispatcher.stand_aside(ctx.version.flow_id, 1)
    try:
        await lane.wait()
    finally:
        ctx.runtime.dispatcher.stand_aside(ctx.version.flow_id, -1)


async def wait_for_turn(ctx: RunContext, key: str, request: CallRequest, attempt: int = 1) -> float:
    """Seconds waited.  Raises RunWaits for a longer wait, which becomes a row."""
    waited, is_back = 0.0, ctx.is_back(key)
    limits, flow = ctx.runtime.caller.limits, ctx.version.flow_id
    while (wait := await limits.turn(request, flow=flow, is_back=is_back, attempt=attempt)) is not None:
        if not wait.is_mine and waited + wait.seconds > IN_PLACE_S:
            raise lie_down(ctx, key, request, wait)
        await asyncio.sleep(wait.seconds)
        waited += wait.seconds
        if wait.is_mine:
            break
        is_back = True
    return waited


def lie_down(
    ctx: RunContext, key: str, request: CallRequest, wait: Wait, failure: CallFailed | None = None
) -> RunWaits:
    connection = request.connection
    return RunWaits(
        _REASONS[wait.why],
        step_key=key,
        wake_at=ctx.now() + timedelta(seconds=wait.seconds),
        waits_for=connection.id if connection is not None else None,
        error_kind=failure.kind if failure is not None else None,
        sentence=_sentence(ctx, request, wait),
    )


def wait_for_the_host(ctx: RunContext, key: str, request: CallRequest, failure: CallFailed) -> RunWaits:
    """It is left alone for a while, and this run waits with the others."""
    limits = ctx.runtime.caller.limits
    wait = limits.away(request) or Wait(1.0, "away")
    return lie_down(ctx, key, request, wait, failure)


def _sentence(ctx: RunContext, request: CallRequest, wait: Wait) -> str:
    name = f"“{request.connection.name}”" if request.connection is not None else host_of(request.url)
    if wait.why == "turn":
        return f"Waits its turn: {name} takes only so many calls at a time."
    lane = ctx.runtime.caller.limits.lane_for(request)
    if wait.why == "pause" and lane.pause_said:
        return f"Waits because nothing is left of {name}’s limit for now, as it says. It goes on by itself."
    if wait.why == "pause":
        return f"Waits because {name} asked for a pause. It goes on by itself."
    if wait.why == "retries":
        return f"Waits because {name} gets too many repeated calls already. It goes on by itself."
    return f"{name} failed so often that it is left alone until the next try. {lane.sentence}".strip()
