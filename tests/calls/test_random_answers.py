"""Whatever bytes a target sends, the outcome is an answer or a failure in words, and a row."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from app.errors import ERROR_KINDS
from tests.calls.calling import connection, over_the_wire
from tests.fakes.target import target

STATUS = st.sampled_from(
    [b"200 OK", b"204 No Content", b"302 Found", b"429 Slow", b"500 Oops", b"101 X", b"7"]
)
HEADER = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Content-Encoding: gzip",
        b"Content-Encoding: br",
        b"Content-Type: application/json; charset=\xff",
        b"Location: http://[::1",
        b"Location: \xff\x00",
        b"Retry-After: \xd9\xa3",
        b"Connection: close",
        b"Set-Cookie: a=b",
        b": x",
        b"X" * 70_000,
    ]
)
WELL_STARTED = st.builds(
    lambda status, headers, body: b"HTTP/1.1 " + b"\r\n".join([status, *headers, b"", b""]) + body,
    STATUS,
    st.lists(HEADER, max_size=4),
    st.binary(max_size=200) | st.sampled_from([b"5\r\nhello\r\n0\r\n\r\n", b"zz\r\n", b"\x1f\x8b\x08\x00"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=300) | WELL_STARTED, min_size=10, max_size=10))
def test_random_bytes_never_break_a_call(scripts: list[bytes]) -> None:
    async def work(caller: Caller) -> list[CallOutcome]:
        outcomes = []
        for script in scripts:
            async with target(script) as facts:
                account = connection(hosts=(facts.place,))
                request = CallRequest(
                    "GET", facts.url, connection=account, follow_redirects=True, timeout_s=5
                )
                outcomes.append(await caller.send(request))
        return outcomes

    for outcome in over_the_wire(work, allow=["127.0.0.1"]):
        assert outcome.answer is not None or outcome.failure is not None
        assert "inside Plumbline" not in outcome.row["sentence"]
        if outcome.failure is not None:
            assert outcome.failure.kind in ERROR_KINDS
            assert outcome.row["sentence"]
