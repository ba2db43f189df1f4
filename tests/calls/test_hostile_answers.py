"""Targets that are down, slow, broken or hostile, over real sockets: each ends as a sentence."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest

from app.calls.guard import MAX_BODY
from app.calls.http.client import Caller, CallOutcome
from app.calls.message.call import CallRequest
from tests.calls.calling import over_the_wire
from tests.fakes.certificate import make_certificate, server_context
from tests.fakes.target import Speak, answer, target


def post(url: str, **facts: Any) -> CallRequest:
    return CallRequest("POST", url, body=b"{}", content_type="application/json", **facts)


def talk(speak: Speak | bytes, **facts: Any) -> CallOutcome:
    async def work(caller: Caller) -> CallOutcome:
        async with target(speak) as facts_of:
            return await caller.send(post(facts_of.url, **facts))

    return over_the_wire(work, allow=["127.0.0.1"])


def said(outcome: CallOutcome) -> str:
    assert outcome.failure is not None
    assert outcome.row["sentence"] == outcome.failure.sentence
    assert "127.0.0.1" in outcome.failure.sentence
    return outcome.failure.sentence


def test_a_plain_answer_is_read_and_the_connection_used_again() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
            await reader.readuntil(b"\r\n\r\n{}")

    async def work(caller: Caller) -> int:
        async with target(speak) as facts:
            for _ in range(2):
                outcome = await caller.send(post(facts.url))
                assert outcome.failure is None
            return facts.connections

    assert over_the_wire(work, allow=["127.0.0.1"]) == 1


def test_nothing_listening_is_safe_to_try_again() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        outcome = over_the_wire(lambda c: c.send(post(f"http://127.0.0.1:{port}/")), allow=["127.0.0.1"])
    assert "refuses the connection" in said(outcome)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.ambiguous, outcome.failure.permanent) == (
        "unavailable",
        False,
        False,
    )


def test_a_name_that_does_not_exist_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    outcome = over_the_wire(lambda c: c.send(post("https://api.exmaple.invalid/")))
    assert outcome.failure is not None
    assert outcome.failure.sentence.startswith("The address api.exmaple.invalid cannot be found.")
    assert not outcome.failure.ambiguous


def test_a_connection_closed_without_an_answer_is_ambiguous() -> None:
    outcome = talk(b"")
    assert "closed the connection without an answer" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous
    assert not outcome.failure.permanent


def test_a_reset_is_ambiguous() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    outcome = talk(speak)
    assert "closed the connection" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n40\r\n"],
    ids=["length", "chunked"],
)
def test_half_a_body_is_kept_and_told(head: bytes) -> None:
    outcome = talk(b"HTTP/1.1 200 OK\r\n" + head + b'{"half": ')
    assert "broke off in the middle of its answer" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous
    assert outcome.row["status"] == 200
    assert outcome.row["answer_body"] == b'{"half": '


def test_silence_ends_at_the_deadline() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    outcome = talk(speak, timeout_s=2)
    assert "did not answer within 2 seconds" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous


@pytest.mark.parametrize(
    "endless", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n"], ids=["body", "head"]
)
def test_an_answer_that_drips_for_ever_ends_at_the_deadline(endless: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(endless)
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    outcome = talk(speak, timeout_s=2)
    assert "within 2 seconds" in said(outcome)


def test_a_slow_dripping_chunked_body_ends_at_the_deadline_with_what_came() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.02)

    outcome = talk(speak, timeout_s=2)
    assert "did not finish its answer within 2 seconds" in said(outcome)
    assert outcome.row["answer_body"].strip(b"x") == b""
    assert outcome.row["answer_size"] > 1


def test_garbage_is_not_an_answer() -> None:
    for garbage in (
        b"\x00\xff\x00 SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX\r\n\r\n",
    ):
        outcome = talk(garbage)
        assert outcome.failure is not None
        assert "not a valid HTTP answer" in said(outcome)
        assert outcome.failure.ambiguous


def test_headers_without_end_are_cut_off() -> None:
    outcome = talk(b"HTTP/1.1 200 OK\r\nX-Big: " + b"a" * 300_000 + b"\r\n\r\n")
    assert "not a valid HTTP answer" in said(outcome)
    outcome = talk(b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 5000 + b"Content-Length: 0\r\n\r\n")
    assert "not a valid HTTP answer" in said(outcome)


def test_headers_of_an_honest_size_are_fine() -> None:
    outcome = talk(answer(b"{}", "Content-Security-Policy: " + "x" * 20_000))
    assert outcome.failure is None


def bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(megabytes)), packer.flush()])


def test_a_gzip_bomb_of_300_mb_stops_at_10_mb_and_memory_stays_flat() -> None:
    packed = answer(bomb(300), "Content-Encoding: gzip", "Content-Type: application/json")
    peaks: list[int] = []

    async def work(caller: Caller) -> CallOutcome:
        async with target(packed) as facts:
            tracemalloc.start()
            outcome = await caller.send(post(facts.url))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            return outcome

    outcome = over_the_wire(work, allow=["127.0.0.1"])
    assert "more than 10 MB of data" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert outcome.answer is not None
    assert outcome.answer.truncated
    assert len(outcome.answer.body) == MAX_BODY
    assert len(outcome.row["answer_body"]) == 256 * 1024
    assert outcome.row["answer_size"] == MAX_BODY
    assert peaks[0] < 25 * 2**20


def test_an_endless_body_stops_at_10_mb_long_before_the_deadline() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    outcome = talk(speak)
    assert "more than 10 MB of data" in said(outcome)


def test_gzip_in_several_members_and_with_junk_behind_is_read() -> None:
    packed = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    outcome = talk(answer(packed + b"junk", "Content-Encoding: gzip", "Content-Type: application/json"))
    assert outcome.answer is not None
    assert outcome.answer.document() == {"a": 1}


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"plain text", "gzip"), (gzip.compress(b"x" * 5000)[:-20], "gzip"), (b"\x0b\x02\x80", "br")],
)
def test_a_body_that_is_not_packed_as_it_says_is_told(body: bytes, encoding: str) -> None:
    outcome = talk(answer(body, f"Content-Encoding: {encoding}"))
    assert "cannot be unpacked" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous
    assert outcome.row["status"] == 200


def test_a_web_page_where_json_was_expected_is_a_failure_that_says_so() -> None:
    page = b"<!DOCTYPE html><html><title>Sign in</title></html>"
    outcome = talk(answer(page, "Content-Type: text/html"), expects="json")
    assert "answered 200, but with a web page (HTML) instead of JSON" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous


def test_bytes_that_are_no_text_do_no_harm() -> None:
    outcome = talk(answer(b'{"a": "\xff\xfe"}', "Content-Type: application/json"))
    assert outcome.failure is None
    assert outcome.answer is not None
    assert outcome.answer.document() == {"a": "\ufffd\ufffd"}


def test_no_cookie_is_kept_for_the_next_call() -> None:
    async def work(caller: Caller) -> list[bytes]:
        async with target(answer(b"{}", "Set-Cookie: session=abc; Path=/")) as facts:
            for _ in range(2):
                await caller.send(post(facts.url))
            return facts.requests

    assert b"cookie" not in b"".join(over_the_wire(work, allow=["127.0.0.1"])).lower()


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert talk(answer(b"{}")).failure is None


def test_a_target_that_does_not_speak_tls_was_sent_nothing() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()
        done.set()

    done = asyncio.Event()

    async def work(caller: Caller) -> CallOutcome:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        outcome = await caller.send(post(f"https://127.0.0.1:{port}/"))
        await done.wait()
        server.close()
        return outcome

    outcome = over_the_wire(work, allow=["127.0.0.1"])
    assert "Nothing was sent" in said(outcome)
    assert outcome.failure is not None
    assert not outcome.failure.ambiguous


def over_tls(folder: Path, days: int) -> CallOutcome:
    context = server_context(make_certificate(folder, days=days))

    async def work(caller: Caller) -> CallOutcome:
        async with target(answer(b"{}"), context) as facts:
            return await caller.send(post(f"https://{facts.place}/"))

    return over_the_wire(work, allow=["127.0.0.1"])


def test_a_certificate_nobody_vouches_for_is_permanent(tmp_path: Path) -> None:
    outcome = over_tls(tmp_path, days=1)
    assert "certificate of 127.0.0.1" in said(outcome)
    assert "(it is self-signed)" in said(outcome)
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert not outcome.failure.ambiguous


def test_an_expired_certificate_is_named_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    make_certificate(tmp_path)
    assert "(it has expired)" in said(over_tls(tmp_path, days=-1))


def test_a_certificate_the_operator_trusts_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = server_context(path)

    async def work(caller: Caller) -> CallOutcome:
        async with target(answer(b"{}"), context) as facts:
            return await caller.send(post(f"https://{facts.place}/"))

    assert over_the_wire(work, allow=["127.0.0.1"]).failure is None
