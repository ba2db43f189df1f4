"""The guard that keeps tests off the network: only this machine may be reached."""

from __future__ import annotations

import ipaddress
import socket
import sys
from typing import Any

_LOCAL_NAMES = {"", "localhost", "0.0.0.0", "::"}
_NEVER_THERE = (".invalid", ".test", ".localhost", ".example")

attempts: list[str] = []


def install() -> None:
    """For the whole process: an audit hook cannot be taken out again."""
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _check_connect(arguments[1])
    elif event == "socket.getaddrinfo":
        _check_lookup(arguments[0])


def _check_connect(address: Any) -> None:
    if isinstance(address, tuple) and not _is_local(str(address[0])):
        attempts.append(f"a connection to {address[0]}")
        raise OSError(101, "tests may not leave this machine")


def _check_lookup(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "")
    if name.endswith(_NEVER_THERE):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    if not _is_local(name) and not _is_address(name):
        attempts.append(f"a look-up of {name}")
        raise socket.gaierror(socket.EAI_NONAME, "tests may not leave this machine")


def _is_local(name: str) -> bool:
    if name in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(name.split("%")[0]).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    return True
