"""A document from an address somebody typed or another document names: one GET through the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from app.clock import SystemClock
from app.errors import CallFailed, ConnectorInvalid
from app.settings import Settings

Send = Callable[[CallRequest], CallOutcome]
_TIMEOUT_S = 20.0


class Documents:
    """`send`: how a call is made where a server runs already; else one is made for each document."""

    def __init__(self, settings: Settings, send: Send | None = None) -> None:
        self._settings = settings
        self._send = send or self._alone

    def fetch(self, address: str) -> bytes:
        """Raises ConnectorInvalid."""
        accepted = [("Accept", "application/json, application/yaml, text/yaml, */*;q=0.5")]
        request = CallRequest("GET", address, headers=accepted, timeout_s=_TIMEOUT_S, follow_redirects=True)
        outcome = self._send(request)
        if outcome.failure is not None:
            raise _refused(address, outcome.failure)
        if outcome.answer is None or outcome.answer.truncated:
            raise ConnectorInvalid("it is larger than what is read from an address.", file=address[:200])
        if outcome.answer.looks_like_html():
            raise ConnectorInvalid(
                "this is a page for people, not the document itself.",
                file=address[:200],
                remedy="Look there for a link to openapi.json, openapi.yaml or swagger.json.",
            )
        return outcome.answer.body

    def _alone(self, request: CallRequest) -> CallOutcome:
        async def once() -> CallOutcome:
            caller = Caller(self._settings, SystemClock())
            await caller.start()
            try:
                return await caller.send(request)
            finally:
                await caller.close()

        return asyncio.run(once())


def _refused(address: str, failure: CallFailed) -> ConnectorInvalid:
    return ConnectorInvalid(
        f"it could not be fetched. {failure.sentence}", file=address[:200], remedy=failure.remedy
    )
