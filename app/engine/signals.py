"""What can end or interrupt a run, as exceptions between the interpreter and the run's keeper."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.flows.mapping.template import Finding
from app.states import RunState, WaitReason


class RunEnds(Exception):
    """The run is over, in one of the final states.  `about`: what tells this failure from others of its
    kind at the step, the same for all that failed alike: `api.example.com 422`, `field Email`."""

    def __init__(
        self,
        state: RunState,
        sentence: str = "",
        *,
        step_key: str | None = None,
        error_kind: str | None = None,
        about: str = "",
    ) -> None:
        super().__init__(sentence)
        self.state = state
        self.sentence = sentence
        self.step_key = step_key
        self.error_kind = error_kind
        self.about = about


class RunWaits(Exception):
    """The run lies down as a row.  `wake_at` None: until a person or a connection moves it."""

    def __init__(
        self,
        reason: WaitReason,
        *,
        step_key: str,
        sentence: str,
        wake_at: datetime | None = None,
        waits_for: str | None = None,
        error_kind: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.step_key = step_key
        self.sentence = sentence
        self.wake_at = wake_at
        self.waits_for = waits_for
        self.error_kind = error_kind


class BranchEnds(Exception):
    """A filter did not let the record through: the steps after it in the same list are left out."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class StepFails(Exception):
    """A step gave up; whether the run goes on is the step's own setting.  `about`: see `RunEnds`."""

    def __init__(
        self,
        error_kind: str,
        sentence: str,
        *,
        remedy: str = "",
        attempt: int = 1,
        mapped: Any = None,
        findings: list[Finding] | None = None,
        about: str = "",
    ) -> None:
        super().__init__(sentence)
        self.error_kind = error_kind
        self.sentence = sentence
        self.remedy = remedy
        self.attempt = attempt
        self.mapped = mapped
        self.findings = findings or []
        self.about = about
