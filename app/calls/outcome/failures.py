"""What an error on the way means: was anything sent, can it help to try again, what to tell."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
from collections.abc import Iterator

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from app.calls.connections.secrets import Origin
from app.calls.guard import MAX_BODY, BadEncoding, TargetBlocked
from app.errors import CallFailed

log = logging.getLogger("plumbline.calls")

_SPELLING = "Check the spelling of the address."
_BARE_CONNECT = (httpx.ConnectTimeout, httpx.PoolTimeout)
_ARRIVED = "The call itself had arrived."
_MAYBE = "It may have received the call."


def failure_of(
    reason: BaseException, *, origin: Origin, timeout_s: float = 30, answered: bool = False
) -> CallFailed:
    """`answered`: the head of an answer had arrived, so the request certainly had."""
    chain = tuple(_chain(reason))
    found = _before_sending(chain, origin) or _while_answering(chain, origin, timeout_s, answered)
    if found is not None:
        return found
    log.error("unexpected error of a call to %s", origin.label, exc_info=reason)
    return CallFailed(
        "unavailable",
        f"The call to {origin.label} failed inside Plumbline ({type(reason).__name__}). {_MAYBE}",
        remedy="Send the run again; if it fails again, tell the person who runs this server.",
        ambiguous=True,
        is_ours=True,
    )


def too_large(origin: Origin, status: int) -> CallFailed:
    return CallFailed(
        "invalid_payload",
        f"{origin.label} answered {status}, with more than {MAX_BODY // 2**20} MB of data.",
        remedy="Ask for less at once, for example with a smaller page size.",
        status=status,
        permanent=True,
    )


def _chain(reason: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while reason is not None and id(reason) not in seen:
        seen.add(id(reason))
        yield reason
        if isinstance(reason, BaseExceptionGroup):
            for inner in reason.exceptions:
                yield from _chain(inner)
        inner_os = getattr(reason, "os_error", None)
        if isinstance(inner_os, BaseException) and id(inner_os) not in seen:
            yield inner_os
        reason = reason.__cause__ or reason.__context__


def _has(chain: tuple[BaseException, ...], *kinds: type[BaseException]) -> bool:
    return any(isinstance(one, kinds) for one in chain)


# ------------------------------------------------------------------------------ nothing was sent


def _before_sending(chain: tuple[BaseException, ...], origin: Origin) -> CallFailed | None:
    host = origin.label
    if _has(chain, TargetBlocked):
        return CallFailed(
            "permission_missing",
            f"{host} is blocked by network policy: calls go to public addresses on the usual ports only.",
            remedy="Who runs this server can allow it with PLUMBLINE_ALLOW_TARGETS.",
            permanent=True,
        )
    if _has(chain, aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError):
        return CallFailed(
            "invalid_payload",
            f"The certificate of {host} is not valid{_certificate_reason(chain)}. Nothing was sent.",
            remedy="Check the address; if it is right, its owner has to renew the certificate.",
            permanent=True,
        )
    if _has(chain, aiohttp.ClientConnectorDNSError, socket.gaierror):
        return _unreached(
            f"The address {host} cannot be found. Nothing was sent.", "Check the spelling of the address."
        )
    if _has(chain, aiohttp.ClientConnectorSSLError):
        return _unreached(f"{host} broke off the secure connection. Nothing was sent.")
    if _has(chain, aiohttp.ConnectionTimeoutError) or _is_bare(
        chain, httpx.ConnectTimeout, httpx.PoolTimeout
    ):
        return _unreached(f"{host} could not be reached in time. Nothing was sent.")
    if _has(chain, aiohttp.ClientConnectorError) or _is_bare(chain, httpx.ConnectError):
        return _unreached(f"{host} {_connect_reason(chain)}. Nothing was sent.")
    if _has(chain, aiohttp.InvalidURL, httpx.InvalidURL, httpx.UnsupportedProtocol):
        return CallFailed(
            "invalid_payload",
            f"{host} cannot be called at this address.",
            remedy="Check the address.",
            permanent=True,
        )
    return None


def _is_bare(chain: tuple[BaseException, ...], *kinds: type[httpx.HTTPError]) -> bool:
    """The transport over aiohttp calls any lost connection a connect timeout: believe only those
    that have no cause of aiohttp."""
    return _has(chain, *kinds) and not _has(chain, aiohttp.ClientError)


def _unreached(sentence: str, remedy: str = "") -> CallFailed:
    return CallFailed("unavailable", sentence, remedy=remedy)


def _certificate_reason(chain: tuple[BaseException, ...]) -> str:
    text = " ".join(str(one) for one in chain)
    if "expired" in text:
        return " (it has expired)"
    if "mismatch" in text or "doesn't match" in text or "not valid for" in text:
        return " (it belongs to another name)"
    return " (it is self-signed)" if "self-signed" in text or "self signed" in text else ""


def _connect_reason(chain: tuple[BaseException, ...]) -> str:
    codes = {one.errno for one in chain if isinstance(one, OSError)}
    if errno.ECONNREFUSED in codes:
        return "refuses the connection: nothing answers there"
    if codes & {errno.EHOSTUNREACH, errno.ENETUNREACH}:
        return "cannot be reached from this server"
    return "could not be reached"


# ----------------------------------------------------------------------------- it was sent, maybe


def _while_answering(
    chain: tuple[BaseException, ...], origin: Origin, timeout_s: float, answered: bool
) -> CallFailed | None:
    host = origin.label
    if _has(chain, BadEncoding):
        return _unclear(f"{host} answered with data that cannot be unpacked. {_ARRIVED}")
    if _has(chain, aiohttp.ClientPayloadError, httpx.ReadError, httpx.RemoteProtocolError) and answered:
        return _unclear(f"{host} broke off in the middle of its answer. {_ARRIVED}")
    if _has(chain, TimeoutError) or _is_bare(chain, httpx.TimeoutException):
        done = "did not finish its answer" if answered else "did not answer"
        return _unclear(f"{host} {done} within {timeout_s:g} seconds. {_MAYBE}")
    if _has(chain, aiohttp.ClientResponseError, HttpProcessingError, httpx.DecodingError):
        return _unclear(f"{host} sent something that is not a valid HTTP answer. {_MAYBE}")
    if _has(chain, aiohttp.ServerDisconnectedError, aiohttp.ClientError, OSError, httpx.TransportError):
        return _unclear(f"{host} closed the connection without an answer. {_MAYBE}")
    return None


def _unclear(sentence: str) -> CallFailed:
    return CallFailed("unavailable", sentence, ambiguous=True)
