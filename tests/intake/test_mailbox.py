"""New messages of a mailbox start a flow once each, whatever the server and the senders do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors
from app.calls.guard import Guard
from app.calls.mail.imap import LARGEST_PART, Message, _quoted, mailbox_of, signed_in
from app.errors import CallFailed
from app.intake.polls.mailbox import read_message, try_mailbox
from tests.fakes.certificate import make_certificate, server_context
from tests.fakes.clock import FakeClock
from tests.fakes.mailbox import FakeMailbox
from tests.fakes.service import FakeService
from tests.intake.conftest import Server
from tests.intake.test_verification import connect, trigger


@pytest.fixture
def post() -> Iterator[FakeMailbox]:
    post = FakeMailbox().start()
    yield post
    post.stop()


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    shutil.copytree(Path(connectors.__file__).parent / "imap", tmp_path / "connectors" / "imap")
    server = Server(tmp_path, clock, service)
    server.set(allow_targets=("127.0.0.1",))
    yield server
    server.close()


def mail(
    number: int, *, subject: str = "", sender: str = "Ana Silva <ana@example.com>", **more: Any
) -> bytes:
    message = EmailMessage()
    message["Message-ID"] = f"<{number}@example.com>"
    message["From"] = sender
    message["To"] = "orders@example.com, Bob <bob@example.com>"
    message["Subject"] = subject or f"Order {number}"
    message["Date"] = "Mon, 02 Mar 2026 08:00:00 +0000"
    message.set_content(more.get("text", "Where is it?"))
    message.add_alternative("<p>Where is it?</p>", subtype="html")
    if "attached" in more:
        message.add_attachment(
            more["attached"], maintype="application", subtype="pdf", filename="invoice.pdf"
        )
    return message.as_bytes()


def box(server: Server, post: FakeMailbox, *, password: str = "", **values: str) -> str:
    public = {"host": "127.0.0.1", "port": str(post.port), "security": "none", "username": post.user}
    account = connect(server, "imap", public, password=password or post.password)
    return server.live(trigger("imap", "new_message", account, input=values))


def test_what_is_there_starts_nothing_and_what_comes_does_once(server: Server, post: FakeMailbox) -> None:
    post.add(mail(1))
    flow_id = box(server, post)
    assert server.poll_now(flow_id).state == "succeeded"
    post.add(mail(2))
    post.add(mail(3))
    assert server.poll_now(flow_id).new == 2
    assert server.poll_now(flow_id).new == 0
    assert [event["subject"] for event in server.events()] == ["Order 2", "Order 3"]


def test_a_message_comes_with_what_a_flow_needs(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.add(mail(1, subject="Zoë’s order", attached=b"%PDF-1.7" * 10))
    server.poll_now(flow_id)
    (event,) = server.events()
    assert event["from"] == {"name": "Ana Silva", "address": "ana@example.com"}
    assert [one["address"] for one in event["to"]] == ["orders@example.com", "bob@example.com"]
    assert (event["subject"], event["text"].strip(), event["id"]) == (
        "Zoë’s order",
        "Where is it?",
        "1@example.com",
    )
    assert event["attachments"] == [{"name": "invoice.pdf", "type": "application/pdf", "size": 80}]
    assert event["date"] == "2026-03-02T08:00:01+00:00"


def test_nothing_is_marked_as_read(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.add(mail(1))
    server.poll_now(flow_id)
    said = " ".join(post.said)
    assert "EXAMINE" in said
    assert "BODY.PEEK" in said
    assert not any(word in said for word in ("SELECT", "STORE", "EXPUNGE", "COPY"))


def test_a_server_that_numbers_anew_starts_nothing_twice(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.add(mail(1))
    server.poll_now(flow_id)
    post.validity, post.mails = 8, {5: mail(1), 9: mail(2)}
    assert server.poll_now(flow_id).new == 1
    assert "UID SEARCH SINCE 01-Mar-2026" in post.said
    assert [event["id"] for event in server.events()] == ["1@example.com", "2@example.com"]


def test_more_than_one_look_takes_are_read_by_the_next(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.mails = dict.fromkeys(range(1, 206), b"Subject: s\r\n\r\nx")
    assert server.poll_now(flow_id).new == 200
    assert server.poll_now(flow_id).new == 5


def test_only_those_that_are_wanted_start_the_flow(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post, sender="ANA@", subject="order")
    server.poll_now(flow_id)
    post.add(mail(1, sender="bob@example.com"))
    post.add(mail(2, subject="Hello"))
    post.add(mail(3))
    assert server.poll_now(flow_id).new == 1


def test_another_folder_is_another_source(server: Server, post: FakeMailbox) -> None:
    post.folders = ('"INBOX"', '"Rechnungen &- B&APw-cher"')
    post.add(mail(1))
    flow_id = box(server, post)
    server.poll_now(flow_id)
    server.edit(flow_id, trigger("imap", "new_message", "con_imap", input={"folder": "Rechnungen & Bücher"}))
    assert server.poll_now(flow_id).state == "succeeded"
    assert server.events() == []


# -------------------------------------------------------------------------------------- refusals


def test_a_wrong_password_is_said_and_stands_nowhere(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post, password="wrong-password-99")
    failed = server.poll_now(flow_id)
    assert failed.state == "failed"
    assert "does not let “ana@example.com” in" in failed.sentence
    assert "app password" in failed.sentence
    assert "wrong-password-99" not in failed.sentence


def test_a_folder_that_is_not_there_is_said(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post, folder="Nowhere")
    assert "There is no folder “Nowhere”" in server.poll_now(flow_id).sentence


@pytest.mark.parametrize("folder", ['x" LOGOUT', "a\r\nA1 DELETE INBOX", "\x00"])
def test_a_folder_cannot_smuggle_commands(server: Server, post: FakeMailbox, folder: str) -> None:
    flow_id = box(server, post, folder=folder)
    assert server.poll_now(flow_id).state == "failed"
    assert not any("DELETE" in said and not said.startswith("EXAMINE") for said in post.said)


@pytest.mark.parametrize("command", ["LOGIN", "EXAMINE", "UID FETCH"])
def test_a_server_that_breaks_off_is_asked_again_and_nothing_is_missed(
    server: Server, post: FakeMailbox, command: str
) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.add(mail(1))
    post.break_off_at = command
    failed = server.poll_now(flow_id)
    assert (failed.state, server.events()) == ("failed", [])
    post.break_off_at = ""
    assert server.poll_now(flow_id).new == 1


def test_a_server_that_sends_without_end_is_left(server: Server, post: FakeMailbox) -> None:
    flow_id = box(server, post)
    server.poll_now(flow_id)
    post.add(mail(1))
    post.huge = True
    assert server.poll_now(flow_id).state == "failed"


def test_a_mailbox_inside_the_house_is_not_reached(server: Server, post: FakeMailbox) -> None:
    server.set(allow_targets=())
    flow_id = box(server, post)
    assert "blocked by network policy" in server.poll_now(flow_id).sentence
    assert post.said == []


def test_a_certificate_nobody_knows_gets_no_password(tmp_path: Path, server: Server) -> None:
    certificate = make_certificate(tmp_path)
    post = FakeMailbox(tls=server_context(certificate)).start()
    try:
        public = {"host": "127.0.0.1", "port": str(post.port), "security": "tls", "username": "ana"}
        account = server.connections.get(connect(server, "imap", public, password="app-password"))
        failure = try_mailbox(account, ("127.0.0.1",))
    finally:
        post.stop()
    assert failure is not None
    assert "certificate" in failure.sentence
    assert post.said == []


def test_starttls_that_is_not_offered_sends_no_password(server: Server, post: FakeMailbox) -> None:
    public = {"host": "127.0.0.1", "port": str(post.port), "security": "starttls", "username": "ana"}
    account = server.connections.get(connect(server, "imap", public, password="app-password"))
    with pytest.raises(CallFailed), signed_in(mailbox_of(account), Guard(("127.0.0.1",))):
        pass
    assert "LOGIN …" not in post.said


def test_the_connection_can_be_tested(server: Server, post: FakeMailbox) -> None:
    box(server, post)
    assert try_mailbox(server.connections.get("con_imap"), ("127.0.0.1",)) is None


# ------------------------------------------------------------------------------- hostile messages


def read(data: bytes, size: int = 0) -> dict[str, Any]:
    return read_message(Message(3, size or len(data), "02-Mar-2026 08:00:00 +0000", "", data), "INBOX", 7)


def test_a_message_without_an_id_is_known_by_its_number() -> None:
    assert read(b"Subject: x\r\n\r\nHi")["id"] == "7:3"


def test_a_large_message_is_cut_and_says_so() -> None:
    assert read(b"Subject: x\r\n\r\n" + b"a" * 1000, size=LARGEST_PART + 1)["is_cut"] is True


def test_the_encoding_of_a_message_is_heeded_or_guessed() -> None:
    head = b"Subject: =?iso-8859-1?q?Caf=E9?=\r\nContent-Type: text/plain; charset=%s\r\n\r\nCaf\xe9"
    assert read(head % b"iso-8859-1")["text"] == "Café"
    assert read(head % b"made-up")["text"] == "Caf�"
    assert read(head % b"iso-8859-1")["subject"] == "Café"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 600))
def test_whatever_was_sent_becomes_a_document(junk: bytes, at: int) -> None:
    whole = mail(1, attached=b"x")
    found = read(whole[:at] + junk + whole[at:])
    assert found["id"]
    assert isinstance(found["attachments"], list)


@given(st.text(max_size=40))
def test_the_name_of_a_folder_never_leaves_its_quotation_marks(name: str) -> None:
    written = _quoted(name)
    assert written.isascii()
    inner = written[1:-1].replace("\\\\", "").replace('\\"', "")
    assert '"' not in inner
    assert "\\" not in inner
