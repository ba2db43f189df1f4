"""Following a redirect: each hop checked like the first, nothing secret taken to another origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.calls.connections.secrets import hide_parameters
from app.calls.message.call import READS, Headers, Ready, join_address, read_address
from app.errors import CallFailed

MAX_HOPS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_THE_BODY = frozenset({"content-type", "content-encoding", "content-language"})


def next_hop(
    home: Ready, last: Ready, status: int, headers: Sequence[tuple[str, str]], hop: int
) -> Ready | None:
    """What to send next, or None when this answer is the last.  Raises CallFailed for a redirect
    that must not be followed."""
    target = next((value for name, value in headers if name.lower() == "location"), "")
    if status not in _REDIRECTS or not target:
        return None
    if hop >= MAX_HOPS:
        raise _refuse(f"{home.origin.label} redirects more than {MAX_HOPS} times.", status)
    origin, url = read_address(join_address(last.url, target))
    keeps_body = status in (307, 308) or last.method in READS
    leaves = origin != home.origin
    if leaves and keeps_body and last.body_is_secret:
        raise _refuse(
            f"{home.origin.label} redirects to {origin.label}, and the request holds a secret. "
            "It was not sent there.",
            status,
        )
    return replace(
        last,
        method=last.method if keeps_body else "GET",
        origin=origin,
        url=url,
        headers=_kept(last.headers, last, leaves=leaves, keeps_body=keeps_body),
        headers_shown=_kept(last.headers_shown, last, leaves=leaves, keeps_body=keeps_body),
        body=last.body if keeps_body else None,
        url_shown=hide_parameters(url),
    )


def _kept(headers: Headers, last: Ready, *, leaves: bool, keeps_body: bool) -> Headers:
    gone = (last.own_headers if leaves else frozenset()) | (frozenset() if keeps_body else _OF_THE_BODY)
    return [(name, value) for name, value in headers if name.lower() not in gone]


def _refuse(sentence: str, status: int) -> CallFailed:
    return CallFailed(
        "invalid_payload",
        sentence,
        remedy="Put the final address into the step.",
        status=status,
        permanent=True,
    )
