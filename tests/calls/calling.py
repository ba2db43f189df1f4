"""Short ways to make one call in a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from app.calls.connections.book import ConnectionFacts
from app.calls.connections.builtin import HTTP
from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from app.clock import Clock, SystemClock
from app.settings import Settings
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService

T = TypeVar("T")
API = "https://api.example.com"
TOKEN = "tok-canary-9f8e7d6c5b4a"


def call(method: str = "GET", path: str = "/things", **facts: Any) -> CallRequest:
    return CallRequest(method, path if "://" in path else f"{API}{path}", **facts)


def send(
    service: FakeService, request: CallRequest, clock: Clock | None = None, **judged: Any
) -> CallOutcome:
    """One call against a fake service."""

    async def work() -> CallOutcome:
        caller = Caller(Settings(), clock or FakeClock(), transport=service.transport)
        await caller.start()
        return await caller.send(request, **judged)

    return asyncio.run(work())


def over_the_wire(work: Callable[[Caller], Awaitable[T]], *, allow: Sequence[str] = ()) -> T:
    """With the real transport and its guard."""

    async def run() -> T:
        caller = Caller(Settings(allow_targets=tuple(allow)), SystemClock())
        await caller.start()
        try:
            return await work(caller)
        finally:
            await caller.close()

    return asyncio.run(run())


def connection(
    auth: str = "bearer",
    *,
    public: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    hosts: tuple[str, ...] = ("api.example.com",),
    **facts: Any,
) -> ConnectionFacts:
    return ConnectionFacts(
        id="con_1",
        connector=facts.pop("connector", "http"),
        name="Example",
        auth=facts.pop("block", next((one for one in HTTP.auth if one.key == auth), None)),
        public=public or {},
        secrets=secrets if secrets is not None else {"token": TOKEN},
        hosts=hosts,
        **facts,
    )
