"""Which addresses a call may reach, and how much of an answer is read."""

from __future__ import annotations

import socket
import zlib
from collections.abc import AsyncIterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from app.errors import SettingInvalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

OPEN_PORTS = frozenset({80, 443, 8080, 8443})
MAIL_PORTS = frozenset({25, 465, 587, 2525})

# What `is_global` of Python 3.11 calls reachable although it is not, and special hosts of clouds.
_NEVER_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "168.63.129.16/32",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
        "fec0::/10",
        "ff00::/8",
    )
)
# Where clouds hand out the server's own credentials: no setting opens these.
_METADATA = frozenset(ip_address(text) for text in ("169.254.169.254", "fd00:ec2::254"))
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")


class TargetBlocked(OSError):
    """The guard's own error: the connector sees a connection that could not be made."""


@dataclass(frozen=True)
class Allowed:
    """One entry of `allow_targets`.  `port` None: any port."""

    host: str = ""
    network: Network | None = None
    port: int | None = None

    def covers(self, address: Address, host: str, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is None:
            return bool(host) and self.host == host
        return address.version == self.network.version and address in self.network


def read_allowed(entries: Sequence[str]) -> tuple[Allowed, ...]:
    """Raises SettingInvalid for an entry that is neither host, host:port, address nor range."""
    return tuple(_read_entry(entry.strip()) for entry in entries)


def _read_entry(entry: str) -> Allowed:
    network = _network(entry)
    if network is not None:
        return Allowed(network=network)
    host, port = _split_port(entry)
    network = _network(host.strip("[]"))
    if network is not None:
        return Allowed(network=network, port=port)
    if not host or any(sign in host for sign in "/:@*?# "):
        raise SettingInvalid(
            f"PLUMBLINE_ALLOW_TARGETS holds {entry!r}, which is not an address.",
            remedy="Write host, host:port or a range such as 10.1.0.0/16, divided by spaces.",
        )
    return Allowed(host=host.lower().rstrip("."), port=port)


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if not colon:
        return entry, None
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return "", None
    return host, int(port)


class Guard:
    """`target` holds the host and port of the call under way: it says which entry by name counts."""

    def __init__(self, allow_targets: Sequence[str]) -> None:
        self._allowed = read_allowed(allow_targets)
        self.target: ContextVar[tuple[str, int]] = ContextVar("target", default=("", 0))

    def permits(self, address: str, host: str, port: int, *, ports: frozenset[int] = OPEN_PORTS) -> bool:
        """May a socket be opened to this address, for a call to `host`?"""
        try:
            real = _plain(ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        if any(one in _METADATA for one in (real, *_embedded(real))):
            return False
        if any(entry.covers(real, host, port) for entry in self._allowed):
            return True
        return port in ports and is_public(real)

    def socket_factory(self, address_info: tuple[Any, ...]) -> socket.socket:
        """What aiohttp calls for each address it is about to connect to."""
        family, kind, protocol, _, address = address_info
        host, port = self.target.get()
        if not self.permits(address[0], host if port == address[1] else "", address[1]):
            raise TargetBlocked(f"{host or address[0]}:{address[1]}")
        opened = socket.socket(family=family, type=kind, proto=protocol)
        opened.setblocking(False)
        return opened


def is_public(address: Address) -> bool:
    """On the internet for everyone, and so are the IPv4 addresses packed inside."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        return _is_nat64_of_public(address)
    if any(address.version == net.version and address in net for net in _NEVER_PUBLIC):
        return False
    return all(is_public(inner) for inner in _embedded(address))


def _is_nat64_of_public(address: Address) -> bool:
    return address in _NAT64 and all(is_public(inner) for inner in _embedded(address))


def _plain(address: Address) -> Address:
    """`::ffff:10.0.0.1` is a way to write 10.0.0.1."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _embedded(address: Address) -> list[IPv4Address]:
    if not isinstance(address, IPv6Address):
        return []
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _COMPATIBLE:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in inner if one is not None]


MAX_BODY = 10 * 1024 * 1024
_STEP = 64 * 1024
_GZIP_OR_ZLIB = 47  # window bits: the header says which
_GZIP_START = b"\x1f\x8b"


class BadEncoding(Exception):
    """The body is not what its Content-Encoding says."""


class Body:
    """What has arrived so far; `full` once the cap is passed, then nothing more is read."""

    __slots__ = ("_inflater", "_parts", "encoding", "full", "size")

    def __init__(self, encoding: str = "") -> None:
        self.encoding = encoding.strip().lower()
        self.size = 0
        self.full = False
        self._parts: list[bytes] = []
        packed = self.encoding in ("gzip", "x-gzip", "deflate")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB) if packed else None

    async def read(self, stream: AsyncIterable[bytes]) -> None:
        """Raises BadEncoding; what arrived before stays."""
        if self._inflater is None and self.encoding not in ("", "identity"):
            raise BadEncoding(self.encoding)
        begun = False
        async for chunk in stream:
            begun = begun or bool(chunk)
            if self._inflater is None:
                self._take(chunk)
            else:
                self._inflate(self._inflater, chunk)
            if self.full:
                return
        if begun and self._inflater is not None and not self._inflater.eof:
            raise BadEncoding(f"{self.encoding}, cut off")

    def _inflate(self, inflater: zlib._Decompress, chunk: bytes) -> None:
        try:
            while not self.full:
                piece = inflater.decompress(chunk, _STEP)
                self._take(piece)
                chunk = inflater.unconsumed_tail
                if inflater.eof and inflater.unused_data.startswith(_GZIP_START):
                    chunk = inflater.unused_data
                    inflater = self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
                elif inflater.eof or (not chunk and len(piece) < _STEP):
                    return
        except zlib.error as reason:
            raise BadEncoding(self.encoding) from reason

    def _take(self, data: bytes) -> None:
        room = MAX_BODY - self.size
        if len(data) > room:
            data, self.full = data[:room], True
        self.size += len(data)
        if data:
            self._parts.append(data)

    def data(self) -> bytes:
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
