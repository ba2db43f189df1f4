"""What one process of the server tells the other arrives whole, in its order, with its connections."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator

import pytest

from app.server.link import CONNECTION, OPEN, STOP, TICKETS, Link, first_frame

Ends = tuple[socket.socket, socket.socket]
Heard = list[tuple[bytes, bytes, str]]


@pytest.fixture
def ends() -> Iterator[Ends]:
    one, other = socket.socketpair()
    yield one, other
    one.close()
    other.close()


def talk(ends: Ends, say: Callable[[Link], None], until: int) -> Heard:
    """What the other end heard when it had heard so many frames, or that the link has ended."""

    async def whole() -> Heard:
        heard: Heard = []
        done = asyncio.Event()
        speaker, listener = Link(ends[0]), Link(ends[1])

        def hear(kind: bytes, body: bytes, connection: socket.socket | None) -> None:
            heard.append((kind, body, read(connection)))
            if len(heard) == until:
                done.set()

        def ended() -> None:
            heard.append((b"", b"", "ended"))
            done.set()

        loop = asyncio.get_running_loop()
        speaker.attach(loop, lambda *_: None, lambda: None)
        listener.attach(loop, hear, ended)
        say(speaker)
        async with asyncio.timeout(60):
            await done.wait()
        speaker.close()
        listener.close()
        return heard

    return asyncio.run(whole())


def read(connection: socket.socket | None) -> str:
    if connection is None:
        return ""
    with connection:
        return connection.recv(100).decode()


def connection_that_says(text: str) -> int:
    here, there = socket.socketpair()
    here.sendall(text.encode())
    here.close()
    return there.detach()


def test_frames_larger_than_the_system_takes_at_once_arrive_whole_and_in_order(
    ends: Ends,
) -> None:
    bodies = [os.urandom(size) for size in (0, 1, 3_000_000, 17, 900_000)]

    def say(link: Link) -> None:
        for body in bodies:
            link.post(TICKETS, body)
        assert link.waiting > 0

    assert talk(ends, say, len(bodies)) == [(TICKETS, body, "") for body in bodies]


def test_each_connection_comes_with_its_own_request(ends: Ends) -> None:
    sizes = [10, 400_000, 0, 70_000, 5] * 20

    def say(link: Link) -> None:
        for number, size in enumerate(sizes):
            link.post(
                CONNECTION, b"%d " % number + b"x" * size, handed=connection_that_says(f"I am {number}")
            )
            link.post(TICKETS, b"%d" % number)

    heard = talk(ends, say, 2 * len(sizes))
    said = [(int(body.split()[0]), text) for kind, body, text in heard if kind == CONNECTION]
    assert said == [(number, f"I am {number}") for number in range(len(sizes))]


def test_no_descriptor_stays_open_here_once_its_connection_is_handed_over(
    ends: Ends,
) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def say(link: Link) -> None:
        for number in range(50):
            link.post(CONNECTION, b"x", handed=connection_that_says(str(number)))

    assert len(talk(ends, say, 50)) == 50
    assert len(os.listdir("/proc/self/fd")) <= before


def test_the_end_of_the_other_process_is_heard_once(ends: Ends) -> None:
    heard = talk(ends, lambda link: link.close(), 2)
    assert heard == [(b"", b"", "ended")]


def test_what_is_handed_to_a_process_that_is_gone_is_closed(
    ends: Ends,
) -> None:
    here, there = socket.socketpair()
    link = Link(ends[0])
    link.close()
    link.post(CONNECTION, b"GET", handed=there.detach())
    assert here.recv(10) == b""
    here.close()


def test_the_first_frame_is_waited_for_and_its_lack_is_told(
    ends: Ends,
) -> None:
    link = Link(ends[0])
    link.post(OPEN, b"settings")
    link.post(STOP)
    assert first_frame(ends[1]) == (OPEN, b"settings")
    link.close()
    assert first_frame(ends[1]) == (STOP, b"")
    assert first_frame(ends[1]) is None
