"""One run under way: what its steps see, what is already on record, what is still to be committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from app.calls.message.call import CallRequest
from app.engine.runtime import Runtime
from app.engine.signals import RunEnds, RunWaits
from app.engine.versions import Version
from app.errors import MappingFailed
from app.flows.mapping.template import Finding
from app.states import StepState
from app.storage.cluster.crashes import GOT_FURTHER, got_further
from app.storage.database.writer import Row, Rows
from app.storage.history import progress
from app.storage.history.progress import StepFacts
from app.storage.letters.dead_letters import cause_of

DONE: tuple[StepState, ...] = ("succeeded", "skipped")
MOST_MISSED = 50


class Renames(Protocol):
    """What knows of values that have another name now."""

    async def why(self, ctx: RunContext, failed: MappingFailed, scope: dict[str, Any]) -> str: ...


class RunContext:
    """Rows are gathered and committed together: always before the next call goes out (a finished
    step is never sent again) and when the run ends or waits."""

    def __init__(
        self,
        runtime: Runtime,
        run_id: str,
        version: Version,
        scope: dict[str, Any],
        *,
        records: dict[str, StepFacts] | None = None,
        calls: int = 0,
        findings: int = 0,
        started_at: datetime | None = None,
        crashes: int = 0,
        position: str | None = None,
        kept_keys: dict[str, str] | None = None,
        renames: Renames | None = None,
    ) -> None:
        self.runtime = runtime
        self.run_id = run_id
        self.version = version
        self.scope = scope
        self.records = records or {}
        self.calls = calls
        self.findings = findings
        self.cancelled = False
        self.found_nothing: list[Finding] = []  # of the step that has just ended
        self.missed: dict[str, dict[str, Any]] = {}  # the references that found nothing, with what they saw
        self.crashes = crashes
        self._kept_keys = kept_keys or {}
        self._renames = renames
        self._position = position
        self._started_at = started_at
        self._began = False
        self._own: set[str] = set()  # steps begun since this process took the run up
        self._rows: Rows = []
        self._committing: asyncio.Future[Any] | None = None

    def now(self) -> datetime:
        return self.runtime.clock.now()

    @property
    def is_one_by_one(self) -> bool:
        return bool(self.version.definition.one_by_one.value)

    # ------------------------------------------------------------------------------ committing

    async def commit(self) -> None:
        """Everything gathered so far, by whichever loop item, is on disk when this returns."""
        self.commit_soon()
        if self._committing is not None:
            await asyncio.shield(self._committing)

    def commit_soon(self) -> None:
        if self._rows:
            self._committing = self.runtime.database.writer.awrite(self.take_rows(), patient=True)

    def take_rows(self) -> Rows:
        rows, self._rows = self._rows, []
        return rows

    # ----------------------------------------------------------------------------------- steps

    def done(self, key: str) -> StepFacts | None:
        record = self.records.get(key)
        return record if record is not None and record.state in DONE else None

    def attempt(self, key: str) -> int:
        """The number of the attempt that comes now."""
        record = self.records.get(key)
        return record.attempt + 1 if record is not None and record.state in ("retry", "unknown") else 1

    def is_own(self, key: str) -> bool:
        """Begun here; a `started` that is not our own was left behind by a stop of the server."""
        return key in self._own

    def is_back(self, key: str) -> bool:
        """The run had lain down at this step before."""
        return self._position == key

    def call_key(self, key: str, part: str = "") -> str:
        """What a service knows the call of a step by: the same on every attempt, and in a run made from
        one of which nobody knows whether its call arrived."""
        return f"{self._kept_keys.get(key, self.run_id)}:{key}{part}"

    def mark_unknown(self, key: str) -> None:
        self.records[key] = replace(self.records[key], state="unknown")

    def is_unknown(self, key: str) -> bool:
        record = self.records.get(key)
        return record is not None and record.state == "unknown"

    def begin_run(self, position: str) -> None:
        if not self._began:
            self._began = True
            row = progress.run_change(
                self.run_id,
                state="running",
                reason="",
                wake_at=None,
                started_at=self._started_at or self.now(),
                position=position,
            )
            self._rows.append((progress.RUN_BEGIN, row))

    async def mark_under_way(self) -> None:
        self.begin_run(self._position or "")
        await self.commit()

    def begin_step(self, key: str, *, attempt: int = 1, output: Any = None) -> None:
        """`output`: what a container decided (the paths taken), to be kept over a stop."""
        self.begin_run(key)
        at = self.now()
        if key in self.records:
            change = {"of_run": self.run_id, "of_step": key, "to_state": "started"}
            row = {**change, "to_attempt": attempt, "to_started_at": at}
            self._rows.append((progress.STEP_AGAIN, row))
        else:
            row = progress.step_begins(self.run_id, key, at=at, attempt=attempt)
            row["output"] = output
            self._rows.append((progress.STEP_BEGIN, row))
        self.records[key] = StepFacts("started", attempt, at, output, None)
        self._own.add(key)

    def end_step(
        self,
        key: str,
        state: StepState,
        *,
        mapped: Any = None,
        output: Any = None,
        findings: Sequence[Finding] = (),
        error_kind: str | None = None,
        sentence: str = "",
        remedy: str = "",
    ) -> None:
        record = self.records.get(key)
        now = self.now()
        attempt = record.attempt if record is not None else 1
        values: Row = {
            "state": state,
            "attempt": attempt,
            "finished_at": now,
            "input": mapped,
            "output": output,
            "findings": [finding.as_json() for finding in findings] or None,
            "error_kind": error_kind,
            "sentence": sentence,
            "remedy": remedy,
        }
        self._keep_step(key, values, record is None, now)
        self.findings += len(findings)
        if findings:
            self.found_nothing += findings
        began = record.started_at if record is not None else now
        self.records[key] = StepFacts(state, attempt, began, output, error_kind)
        if state in DONE and "[" not in key:
            self._get_further()

    def _keep_step(self, key: str, values: Row, new: bool, now: datetime) -> None:
        if new:
            self.begin_run(key)
            row = progress.step_begins(self.run_id, key, at=now, attempt=1)
            self._rows.append((progress.STEP_BEGIN, {**row, **values}))
        else:
            self._rows.append((progress.STEP_END, progress.step_ends(self.run_id, key, values)))

    def _get_further(self) -> None:
        """Only a step at which the server ends again and again is given up.  (Items of a loop do not
        count: all others would excuse the one that does it.)"""
        if self.crashes:
            self.crashes = 0
            self._rows.append((GOT_FURTHER, got_further(self.run_id)))

    def keep_missed(self, scope: dict[str, Any]) -> None:
        """`scope`: what the step that has just ended saw."""
        for finding in self.found_nothing:
            if finding.reference and len(self.missed) < MOST_MISSED:
                self.missed.setdefault(finding.reference, scope)
        self.found_nothing.clear()

    # ----------------------------------------------------------------------------------- calls

    def add_call(self, key: str, attempt: int, row: Row) -> None:
        """`row`: the columns of a call but for those that say which run and step it was made for."""
        self.calls += 1
        place = {"made_for": self.run_id, "number": self.calls, "step_key": key, "attempt": attempt}
        self._rows.append((progress.CALL, {**row, **place}))

    def add_lost_call(self, key: str, request: CallRequest) -> None:
        """The server ended while this call was under way: it may have reached the service."""
        record = self.records[key]
        row = self.runtime.caller.row_without_answer(
            replace(request),
            started_at=record.started_at,
            sentence="Plumbline stopped before the answer came: the service may have received this call.",
        )
        self.add_call(key, record.attempt, row)

    # --------------------------------------------------------------------------- end and pause

    def end(self, ends: RunEnds) -> None:
        row = progress.run_change(
            self.run_id,
            state=ends.state,
            reason="",
            wake_at=None,
            finished_at=self.now(),
            position=ends.step_key,
            error_kind=ends.error_kind,
            sentence=ends.sentence,
            findings=self.findings,
            calls=self.calls,
        )
        if ends.state in ("failed", "dead"):
            cause = cause_of(self.version.flow_id, ends.step_key, ends.error_kind, ends.about)
            self._rows.append((progress.RUN_FAIL, {**row, "to_cause": cause}))
        else:
            self._rows.append((progress.RUN_END, row))

    def wait(self, waits: RunWaits) -> None:
        row = progress.run_change(
            self.run_id,
            state="waiting",
            reason=waits.reason,
            wake_at=waits.wake_at,
            position=waits.step_key,
            waits_for=waits.waits_for,
            sentence=waits.sentence,
            error_kind=waits.error_kind,
            findings=self.findings,
            calls=self.calls,
        )
        self._rows.append((progress.RUN_WAIT, row))
        self._get_further()

    async def why_missing(self, failed: MappingFailed, scope: dict[str, Any]) -> str:
        """Returns a sentence where what a field looks at has another name now; else ''."""
        return "" if self._renames is None else await self._renames.why(self, failed, scope)

    def check_cancelled(self, key: str) -> None:
        if self.cancelled:
            raise RunEnds("cancelled", "Cancelled.", step_key=key)
