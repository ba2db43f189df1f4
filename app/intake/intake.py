"""How events come in: deliveries as they are sent, polls and schedules by the clock."""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.runtime import Runtime
from app.intake.deliveries.webhooks import Deliveries
from app.intake.ticks import Job, RunEngine, Ticks


class Intake:
    """`jobs`: what the layers above want done by the clock."""

    def __init__(self, runtime: Runtime, engine: RunEngine, jobs: Sequence[Job] = ()) -> None:
        self.deliveries = Deliveries(runtime)
        self.ticks = Ticks(runtime, engine, jobs)

    def start(self) -> None:
        """Begins to tick; only one process per data folder may."""
        self.ticks.start()

    def stop(self) -> None:
        """Waits for the tick under way, not for polls: those run in the engine's loop."""
        self.ticks.stop()
