"""What a server hands from one part to the next, taken out of its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from app.engine.dispatch.tickets import RunTicket
from app.engine.runtime import Runtime
from app.errors import Stale
from app.intake.deliveries.inbound import Accepted
from app.intake.intake import Intake
from app.intake.polls.polling import LEASE, Looked, poll_once
from app.intake.ticks import RunEngine
from app.storage.flows import triggers


def accept(intake: Intake, token: str, **request: Any) -> Accepted:
    """Sends a delivery and waits for its answer; from any thread, in a loop or not."""
    with ThreadPoolExecutor(1) as sender:
        return sender.submit(lambda: asyncio.run(intake.deliveries.accept(token, **request))).result()


def hand_over(runtime: Runtime, take: Callable[[Sequence[RunTicket]], object]) -> None:
    """From now on tickets go to `take`, and no run is performed by itself."""
    runtime.dispatcher.enqueue = take  # type: ignore[method-assign,assignment]


def poll_now(runtime: Runtime, engine: RunEngine, flow_id: str) -> Looked:
    """Looks at once, besides the plan, and waits for the outcome.  Raises Stale when a look is under way."""
    now = runtime.clock.now()
    taken = runtime.database.write(lambda db: triggers.take_lease(db, flow_id, now=now, until=now + LEASE))
    if not taken:
        raise Stale("This flow is being polled right now, or does not poll.", flow=flow_id)
    looked = engine.spawn(poll_once(runtime, flow_id)).result((LEASE + timedelta(minutes=1)).total_seconds())
    assert looked is not None
    return looked
