"""A mistake of Plumbline's own in a step: tried once more a little later, then laid before a person."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from app.engine.context import RunContext
from app.engine.signals import BranchEnds, RunEnds, RunWaits
from app.errors import AppError
from app.log import fields

log = logging.getLogger("plumbline.engine")

_AGAIN_S = 30


_MEANT = (BranchEnds, RunEnds, RunWaits, AppError, SQLAlchemyError)


def once_more(ctx: RunContext, key: str, reason: Exception) -> RunWaits | None:
    """None where `reason` is no mistake, or the second one.  Only a step that has begun nothing yet is
    tried again: of one that has, nobody knows what a second attempt would do."""
    if isinstance(reason, _MEANT) or key in ctx.records:
        return None
    log.error("%s", fields(event="step_broke", run=ctx.run_id, step=key), exc_info=reason)
    sentence = f"Plumbline itself made a mistake ({type(reason).__name__}). Nothing was sent."
    ctx.end_step(key, "retry", error_kind="unavailable", sentence=sentence)
    return RunWaits(
        "retry",
        step_key=key,
        wake_at=ctx.now() + timedelta(seconds=_AGAIN_S),
        error_kind="unavailable",
        sentence=f"{sentence} It is tried once more by itself.",
    )
