"""Emails over SMTP, against a real server on this machine."""

from __future__ import annotations

import asyncio
import email
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from app.calls.connections.book import ConnectionFacts
from app.calls.http.client import CallOutcome
from app.calls.mail.mail import Mail, mail_request, message_id, send_mail
from app.settings import Settings
from tests.fakes.certificate import make_certificate, server_context
from tests.fakes.clock import FakeClock

PASSWORD = "mail-password-1234"


class Post:
    """Keeps what arrives; `replies` are given in place of 250, by command."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.replies: dict[str, str] = {}

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if "RCPT" in self.replies and "bad" in address:
            return self.replies["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        if self.replies.get("DATA") == "hang up":
            server.transport.abort()
            return "250 too late"
        return self.replies.get("DATA", "250 Taken as 4711")


def _login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=known, handled=known)


@pytest.fixture
def post() -> Post:
    return Post()


def connection(port: int, **public: Any) -> ConnectionFacts:
    facts = {"host": "127.0.0.1", "port": str(port), "security": "none", "username": "shop", **public}
    secrets = {"password": str(facts.pop("password", PASSWORD))}
    return ConnectionFacts(
        id="con_9",
        connector="smtp",
        name="Mail",
        auth=None,
        public=facts,
        secrets=secrets,
        hosts=("127.0.0.1",),
    )


def mail(**facts: str) -> Mail:
    usual = {"to": "ada@example.com", "subject": "Hello", "text": "Hi Ada", "sender": "shop@example.com"}
    return Mail(**{**usual, **facts})


def send(
    one: Mail,
    post: Post | None = None,
    *,
    allow: str = "127.0.0.1",
    with_connection: bool = True,
    settings: dict[str, Any] | None = None,
    certificate: Path | None = None,
    **public: Any,
) -> CallOutcome:
    """Through `post`, or to a port where nobody listens.  `{port}` in a setting is that port."""

    async def work() -> CallOutcome:
        loop = asyncio.get_running_loop()
        facts: dict[str, Any] = {"authenticator": _login, "auth_require_tls": False, "hostname": "localhost"}
        tls = server_context(certificate) if certificate is not None else None
        from_start = tls if public.get("security") == "tls" else None
        if from_start is None:
            facts["tls_context"] = tls
        server = await loop.create_server(
            lambda: SMTP(post or Post(), **facts), "127.0.0.1", 0, ssl=from_start
        )
        port = server.sockets[0].getsockname()[1]
        if post is None:
            server.close()
        known = {name: str(value).replace("{port}", str(port)) for name, value in (settings or {}).items()}
        chosen = Settings(allow_targets=(allow,) if allow else (), **known)  # type: ignore[arg-type]
        account = connection(port, **public) if with_connection else None
        request = mail_request(one, account, chosen, message_key="run_1:s2")
        try:
            return await send_mail(request, chosen, FakeClock())
        finally:
            server.close()

    return asyncio.run(work())


def test_an_email_arrives_as_it_was_written(post: Post) -> None:
    one = mail(
        to="Zoë <zoe@example.com>; bob@example.com",
        cc="Eve <eve@example.com>",
        reply_to="help@example.com",
        sender="Der Laden ü <shop@example.com>",
        subject="Grüße 🎉\r\nBcc: everyone@example.com",
        text="Zeile 1\n.\nZeile 3 ü\n",
    )
    outcome = send(one, post)
    assert outcome.failure is None
    (envelope,) = post.envelopes
    assert envelope.mail_from == "shop@example.com"
    assert envelope.rcpt_tos == ["zoe@example.com", "bob@example.com", "eve@example.com"]
    message = email.message_from_bytes(envelope.content)
    assert str(make_header(decode_header(message["Subject"]))) == "Grüße 🎉 Bcc: everyone@example.com"
    assert message["Bcc"] is None
    assert message["Message-ID"] == "<run_1.s2@example.com>"
    assert message["Reply-To"] == "help@example.com"
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().splitlines() == ["Zeile 1", ".", "Zeile 3 ü"]


def test_the_history_shows_it_like_a_call_and_without_the_password(post: Post) -> None:
    outcome = send(mail(), post)
    row = outcome.row
    assert (row["method"], row["status"]) == ("SMTP", 250)
    assert row["url"].startswith("smtp://127.0.0.1:")
    assert ("To", "ada@example.com") in row["request_headers"]
    assert row["request_body"] == b"Hi Ada"
    assert row["answer_body"] == b"Taken as 4711"
    assert row["connection_id"] == "con_9"
    assert PASSWORD not in repr(outcome)


def test_every_attempt_has_the_same_message_id() -> None:
    assert message_id("run_1:s2[0].s3", "a@shop.example") == "<run_1.s2.0..s3@shop.example>"


def test_the_servers_own_mail_setting_is_used_without_a_connection(post: Post) -> None:
    url = f"smtp://shop:{PASSWORD}@127.0.0.1:{{port}}"
    own = {"smtp_url": url, "smtp_from": "Shop <shop@example.com>"}
    outcome = send(mail(sender=""), post, allow="", with_connection=False, settings=own)
    assert outcome.failure is None
    assert post.envelopes[0].mail_from == "shop@example.com"
    assert PASSWORD not in repr(outcome)


def test_without_any_mail_server_it_is_told_where_to_set_one() -> None:
    outcome = send(mail(), with_connection=False)
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert "No mail server is set up" in outcome.row["sentence"]


def test_a_wrong_password_asks_for_a_reconnect(post: Post) -> None:
    outcome = send(mail(), post, password="wrong-password")
    assert outcome.failure is not None
    assert outcome.failure.kind == "auth_expired"
    assert post.envelopes == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"to": "not an address"}, "“not an address” in the field To is not an email address"),
        ({"to": "ada@example.com, broken@"}, "is not an email address"),
        ({"to": "a@b@c.example"}, "is not an email address"),
        ({"to": "a@example.com <b@example.com> <c@example.com>"}, "is not an email address"),
        ({"to": '"ada@example.com'}, "is not an email address"),
        ({"to": "ada(x)@example.com"}, "is not an email address"),
        ({"to": "ada bob@example.com"}, "“ada bob@example.com” in the field To"),
        ({"to": "ada@example.com bob@example.com"}, "is not an email address"),
        ({"to": ""}, "has no recipient"),
        ({"cc": "x"}, "in the field Cc"),
        ({"sender": "x"}, "in the field From"),
        ({"reply_to": "<>"}, "in the field Reply-To"),
        ({"to": "ü@example.com"}, "is not an email address"),
        ({"to": ", ".join(f"p{n}@example.com" for n in range(101))}, "101 recipients"),
    ],
)
def test_a_wrong_address_is_named_and_nothing_is_sent(post: Post, facts: dict[str, str], words: str) -> None:
    outcome = send(mail(**facts), post)
    assert outcome.failure is not None
    assert words in outcome.failure.sentence
    assert (outcome.failure.kind, outcome.failure.permanent) == ("invalid_payload", True)
    assert post.envelopes == []


def test_a_domain_with_umlauts_is_fine(post: Post) -> None:
    assert send(mail(to="ada@bücher.example"), post).failure is None
    assert post.envelopes[0].rcpt_tos == ["ada@xn--bcher-kva.example"]


def test_one_refused_recipient_stops_the_whole_mail_before_it_is_handed_over(post: Post) -> None:
    post.replies["RCPT"] = "550 No such user"
    outcome = send(mail(to="ada@example.com, bad@example.com"), post)
    assert outcome.failure is not None
    assert "does not take mail for “bad@example.com” (status 550): “No such user”" in outcome.failure.sentence
    assert outcome.failure.permanent
    assert post.envelopes == []


@pytest.mark.parametrize(("reply", "permanent"), [("451 Try later", False), ("554 Spam", True)])
def test_a_refused_mail_is_tried_again_only_where_that_can_help(
    post: Post, reply: str, permanent: bool
) -> None:
    post.replies["DATA"] = reply
    outcome = send(mail(), post)
    assert outcome.failure is not None
    assert outcome.failure.permanent is permanent
    assert not outcome.failure.ambiguous
    assert reply[4:] in outcome.failure.sentence


def test_a_server_that_hangs_up_after_the_text_leaves_it_open_whether_it_was_sent(post: Post) -> None:
    post.replies["DATA"] = "hang up"
    outcome = send(mail(), post)
    assert outcome.failure is not None
    assert outcome.failure.ambiguous
    assert "It may have been sent" in outcome.failure.sentence


def test_a_server_that_is_away_was_sent_nothing() -> None:
    outcome = send(mail())
    assert outcome.failure is not None
    assert "could not be reached. Nothing was sent." in outcome.failure.sentence
    assert not outcome.failure.ambiguous
    assert not outcome.failure.permanent


def test_an_unencrypted_server_is_not_used_when_encryption_is_asked_for(post: Post) -> None:
    outcome = send(mail(), post, security="starttls")
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert post.envelopes == []


def test_a_mail_server_inside_the_own_network_is_blocked_unless_allowed(post: Post) -> None:
    outcome = send(mail(), post, allow="")
    assert outcome.failure is not None
    assert "blocked by network policy" in outcome.failure.sentence
    assert outcome.failure.permanent
    assert post.envelopes == []


@pytest.mark.parametrize(
    ("to", "recipients"),
    [
        ('"Lovelace, Ada" <ada@example.com>, bob@example.com;', ["ada@example.com", "bob@example.com"]),
        ("other@example.com <ada@example.com>", ["ada@example.com"]),
        ("ada@example.com,ada@example.com", ["ada@example.com"]),
        ("<ada@example.com>", ["ada@example.com"]),
    ],
)
def test_addresses_are_read_as_people_write_them(post: Post, to: str, recipients: list[str]) -> None:
    assert send(mail(to=to), post).failure is None
    assert post.envelopes[0].rcpt_tos == recipients


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_server_is_spoken_to_in_secret(
    post: Post, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    path = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert send(mail(), post, certificate=path, security=security).failure is None
    assert len(post.envelopes) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_server_nobody_vouches_for_gets_neither_password_nor_mail(
    post: Post, tmp_path: Path, security: str
) -> None:
    outcome = send(mail(), post, certificate=make_certificate(tmp_path), security=security)
    assert outcome.failure is not None
    assert "The certificate of 127.0.0.1 is not valid. Nothing was sent." in outcome.failure.sentence
    assert outcome.failure.permanent
    assert post.envelopes == []
