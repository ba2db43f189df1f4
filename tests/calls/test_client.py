"""One call from request to row, against a fake service."""

from __future__ import annotations

import httpx
import pytest

from app.storage.tables.models import Call
from tests.calls.calling import API, TOKEN, call, connection, send
from tests.fakes.clock import START
from tests.fakes.service import FakeService

PLACE = {"made_for", "number", "step_key", "attempt"}


def test_a_json_post_arrives_as_written_and_its_answer_comes_back() -> None:
    service = FakeService().answers("POST", "/contacts", (201, {"id": 7}))
    body = b'{"email":"ada@example.com"}'
    outcome = send(service, call("POST", "/contacts", body=body, content_type="application/json"))
    assert outcome.failure is None
    assert outcome.answer is not None
    assert outcome.answer.document() == {"id": 7}
    got = service.requests[0]
    assert (got.method, got.path, got.json) == ("POST", "/contacts", {"email": "ada@example.com"})
    assert got.headers["content-type"] == "application/json"
    assert got.headers["accept-encoding"] == "gzip"


def test_a_row_holds_every_column_of_a_call_but_its_place() -> None:
    service = FakeService().answers("*", "*", {"ok": True})
    outcome = send(service, call("POST", "/a", body=b"{}", query=[("page", "2")]))
    assert set(outcome.row) | PLACE == set(Call.__table__.columns.keys())
    assert outcome.row["url"] == f"{API}/a?page=2"
    assert outcome.row["status"] == 200
    assert outcome.row["request_body"] == b"{}"
    assert outcome.row["answer_body"] == b'{"ok":true}'
    assert outcome.row["answer_size"] == 11
    assert outcome.row["started_at"] == START
    assert (outcome.row["error_kind"], outcome.row["sentence"]) == (None, "")


def test_a_refused_call_says_why_in_the_row() -> None:
    service = FakeService().answers("*", "*", (422, {"message": "Email is not valid"}))
    outcome = send(service, call("POST", "/contacts", body=b"{}"))
    assert outcome.failure is not None
    assert outcome.failure.kind == "invalid_payload"
    assert outcome.failure.permanent
    sentence = "api.example.com did not accept the data (status 422): “Email is not valid”"
    assert outcome.row["sentence"] == sentence
    assert outcome.row["error_kind"] == "invalid_payload"
    assert outcome.row["status"] == 422


def test_query_values_are_encoded_and_join_those_in_the_address() -> None:
    service = FakeService().answers("*", "*", {})
    send(service, call(path="/search?limit=5#top", query=[("q", "a&b = ü"), ("", "lost")]))
    assert service.requests[0].query == {"limit": "5", "q": "a&b = ü"}
    assert "#" not in service.requests[0].url


def test_a_key_goes_along_with_calls_that_change_something_only() -> None:
    service = FakeService().answers("*", "*", {})
    for method in ("POST", "PATCH", "DELETE", "GET", "HEAD"):
        send(service, call(method, idempotency_key="run_1:s2"))
    keys = [one.headers.get("idempotency-key") for one in service.requests]
    assert keys == ["run_1:s2", "run_1:s2", "run_1:s2", None, None]


def test_the_connector_may_name_another_header_for_the_key_or_none() -> None:
    service = FakeService().answers("*", "*", {})
    send(service, call("POST", idempotency_key="k", idempotency_header="X-Request-Id"))
    send(service, call("POST", idempotency_key="k", idempotency_header=""))
    send(service, call("POST", idempotency_key="k", headers=[("idempotency-key", "own")]))
    first, second, third = (one.headers for one in service.requests)
    assert first["x-request-id"] == "k"
    assert "idempotency-key" not in first
    assert "idempotency-key" not in second
    assert third["idempotency-key"] == "own"


@pytest.mark.parametrize(
    ("error", "words", "ambiguous"),
    [
        (httpx.ConnectError("no"), "could not be reached", False),
        (httpx.ConnectTimeout("slow"), "could not be reached in time", False),
        (httpx.ReadTimeout("slow"), "did not answer within 30 seconds", True),
        (httpx.ReadError("reset"), "closed the connection without an answer", True),
        (httpx.RemoteProtocolError("odd"), "closed the connection without an answer", True),
        (RuntimeError("a bug"), "failed inside Plumbline (RuntimeError)", True),
    ],
)
def test_an_error_on_the_way_is_an_outcome(error: Exception, words: str, ambiguous: bool) -> None:
    outcome = send(FakeService().answers("*", "*", error), call("POST", body=b"{}"))
    assert outcome.answer is None
    assert outcome.failure is not None
    assert outcome.failure.kind == "unavailable"
    assert outcome.failure.ambiguous is ambiguous
    assert words in outcome.failure.sentence
    assert "api.example.com" in outcome.failure.sentence
    assert outcome.row["sentence"] == outcome.failure.sentence
    assert outcome.row["status"] is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "is empty"),
        ("ftp://example.com/", "begins with “ftp:”"),
        ("file:///etc/passwd", "begins with “file:”"),
        ("example.com/x", "does not begin with https://"),
        ("https://", "is not an address"),
        ("https://user:pw@example.com/", "user name or password"),
        ("https://exa mple.com/", "is not an address"),
        ("https://good.example\\@evil.example/", "user name"),
        ("https://good.example\\.evil.example/", "is not an address"),
        ("https://example.com:99999/", "is not an address"),
        ("https://[::1/", "is not an address"),
        ("javascript:alert(1)", "does not begin with https://"),
        ("https://example.com/" + "a" * 20_000, "characters long"),
    ],
)
def test_an_address_that_cannot_be_called_is_refused_before_sending(url: str, words: str) -> None:
    service = FakeService()
    outcome = send(service, call(path=url) if "://" in url else call().__class__("GET", url))
    assert service.requests == []
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert not outcome.failure.ambiguous
    assert words in outcome.failure.sentence
    assert outcome.row["sentence"] == outcome.failure.sentence


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (("X-Note", "a\r\nX-Evil: 1"), "holds a line break"),
        (("X Note", "a"), "is not a name for a header"),
        (("Host", "evil.example"), "is set by Plumbline itself"),
        (("Content-Length", "3"), "is set by Plumbline itself"),
    ],
)
def test_headers_cannot_smuggle_anything_in(header: tuple[str, str], words: str) -> None:
    service = FakeService()
    outcome = send(service, call(headers=[header]))
    assert service.requests == []
    assert outcome.failure is not None
    assert words in outcome.failure.sentence


def test_a_header_outside_ascii_is_sent_as_utf8() -> None:
    service = FakeService().answers("*", "*", {})
    assert send(service, call(headers=[("X-Name", "Zoë ☺")])).failure is None
    assert len(service.requests) == 1


def test_a_url_with_spaces_and_umlauts_is_encoded_and_an_encoded_one_left_alone() -> None:
    service = FakeService().answers("*", "*", {})
    outcome = send(service, call(path="/tags/grüne äpfel/%2Fx?a=b c"))
    assert outcome.row["url"] == f"{API}/tags/gr%C3%BCne%20%C3%A4pfel/%2Fx?a=b%20c"


# ---------------------------------------------------------------------------------- redirects


def redirect(to: str, status: int = 302) -> tuple[int, None, dict[str, str]]:
    return (status, None, {"Location": to})


def test_a_redirect_is_not_followed_unless_asked_for() -> None:
    service = FakeService().answers("*", "/a", redirect("/b"))
    outcome = send(service, call(path="/a"))
    assert len(service.requests) == 1
    assert outcome.failure is not None
    assert outcome.failure.permanent
    assert "redirects to /b" in outcome.failure.sentence


def test_a_followed_redirect_keeps_credentials_on_the_same_origin() -> None:
    service = FakeService().answers("*", "/a", redirect("/b")).answers("*", "/b", {"ok": 1})
    outcome = send(service, call(path="/a", follow_redirects=True, connection=connection()))
    assert outcome.failure is None
    assert service.requests[1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("to", ["https://other.example/b", "http://api.example.com/b", f"{API}:8443/b"])
def test_secrets_do_not_follow_to_another_origin(to: str) -> None:
    service = FakeService().answers("*", "/a", redirect(to)).answers("*", "/b", {"ok": 1})
    own = [("X-Api-Key", "typed-by-hand"), ("Cookie", "c=1"), ("X-Note", "kept")]
    request = call(path="/a", follow_redirects=True, connection=connection(), headers=own)
    assert send(service, request).failure is None
    headers = service.requests[1].headers
    assert "authorization" not in headers
    assert "x-api-key" not in headers
    assert "cookie" not in headers
    assert headers["x-note"] == "kept"


def test_secrets_do_not_come_back_after_a_detour() -> None:
    service = FakeService().answers("*", "/a", redirect("https://other.example/b"))
    service.answers("*", "/b", redirect(f"{API}/c")).answers("*", "/c", {})
    send(service, call(path="/a", follow_redirects=True, connection=connection()))
    assert "authorization" not in service.to("/c")[0].headers


def test_a_post_becomes_a_get_after_303_and_stays_a_post_after_307() -> None:
    service = FakeService().answers("*", "/a", redirect("/b", 303)).answers("*", "/c", redirect("/b", 307))
    service.answers("*", "/b", {})
    for path in ("/a", "/c"):
        request = call("POST", path, body=b"{}", content_type="application/json", follow_redirects=True)
        assert send(service, request).failure is None
    after_303, after_307 = service.to("/b")
    assert (after_303.method, after_303.body) == ("GET", b"")
    assert "content-type" not in after_303.headers
    assert (after_307.method, after_307.body) == ("POST", b"{}")


def test_redirects_in_a_circle_end() -> None:
    service = FakeService().answers("*", "*", redirect("/again"))
    outcome = send(service, call(follow_redirects=True))
    assert len(service.requests) == 6
    assert outcome.failure is not None
    assert "more than 5 times" in outcome.failure.sentence


@pytest.mark.parametrize(
    "to", ["ftp://api.example.com/x", "https://u:p@api.example.com/", "https://", "a://["]
)
def test_a_redirect_is_checked_like_a_first_address(to: str) -> None:
    outcome = send(FakeService().answers("*", "*", redirect(to)), call(follow_redirects=True))
    assert outcome.failure is not None
    assert outcome.failure.permanent


def test_a_call_left_open_by_a_stop_can_be_written_down() -> None:
    import asyncio

    from app.calls.http.client import Caller
    from app.settings import Settings
    from tests.fakes.clock import FakeClock

    async def work() -> dict[str, object]:
        caller = Caller(Settings(), FakeClock(), transport=FakeService().transport)
        request = call("POST", "/send", body=b"{}", idempotency_key="k", connection=connection())
        return caller.row_without_answer(request, started_at=START, sentence="Plumbline stopped.")

    row = asyncio.run(work())
    assert row["status"] is None
    assert row["duration_ms"] is None
    assert row["sentence"] == "Plumbline stopped."
    assert row["idempotency_key"] == "k"
    assert TOKEN not in str(row)
