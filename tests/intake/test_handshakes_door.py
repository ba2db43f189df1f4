"""Handshakes through the address itself, as services ask, and as others do who would like an answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

import connectors
from app.storage.tables.types import to_ms
from app.web.hooks import HookApp
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService, Received
from tests.intake.conftest import Server
from tests.intake.test_handshakes import _proving, tell
from tests.intake.test_verification import connect, trigger

BUNDLED = Path(connectors.__file__).parent
SIGNS_WITH = "made-up-signing-secret"
SCRIPT = "<script>alert(1)</script>"
MOST_BYTES = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    for key in ("asana", "intercom", "meta_lead_ads", "slack", "trello", "whatsapp", "zoom"):
        shutil.copytree(BUNDLED / key, tmp_path / "connectors" / key)
    _proving(tmp_path / "connectors" / "proving")
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


class Sender:
    """Knows the address of one flow."""

    def __init__(self, server: Server, connector: str, name: str, **secrets: str) -> None:
        public = {"page": "12345", "region": "api.intercom.io"} if connector != "proving" else {}
        connection = connect(server, connector, public, **secrets)
        needed = {"asana": {"project": "7"}, "trello": {"board_id": "7"}}.get(connector, {})
        self.server = server
        self.flow_id = server.live(trigger(connector, name, connection, input=needed))
        self.path = f"/hooks/{server.token(self.flow_id)}"
        self._door: Any = HookApp(_no_pages, server.intake.deliveries, most_bytes=MOST_BYTES)

    def __call__(self, method: str, body: Any = None, **request: Any) -> httpx.Response:
        if body is not None:
            content = body if isinstance(body, bytes) else orjson.dumps(body)
            headers = {"Content-Type": "application/json", **request.pop("headers", {})}
            request |= {"content": content, "headers": headers}

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._door)
            async with httpx.AsyncClient(transport=transport, base_url="http://p.example") as client:
                return await client.request(method, self.path, **request)

        return asyncio.run(ask())

    @property
    def now_s(self) -> int:
        return to_ms(self.server.clock.now()) // 1000


async def _no_pages(*_: Any) -> None:
    raise AssertionError("this is no page")


def mac(message: bytes, secret: str = SIGNS_WITH, digest: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), message, digest).digest()


def is_safe(answer: httpx.Response) -> bool:
    """No browser takes it for a page, and nothing keeps it."""
    return (
        answer.headers["Content-Type"].startswith(("text/plain", "application/json"))
        and answer.headers["X-Content-Type-Options"] == "nosniff"
        and answer.headers["Cache-Control"] == "no-store"
    )


def outcomes(server: Server) -> list[str]:
    return [outcome for outcome, _ in server.deliveries()]


# --------------------------------------------------------------------------------------- Slack


def slack(sender: Sender, body: Any, *, ago: int = 0, secret: str = SIGNS_WITH) -> httpx.Response:
    raw, at = orjson.dumps(body), str(sender.now_s - ago)
    signature = "v0=" + mac(f"v0:{at}:".encode() + raw, secret).hex()
    headers = {"X-Slack-Signature": signature, "X-Slack-Request-Timestamp": at}
    return sender("POST", raw, headers=headers)


@pytest.fixture
def slack_sender(server: Server) -> Sender:
    return Sender(server, "slack", "new_message", signing_secret=SIGNS_WITH)


def test_slack_gets_its_challenge_back_each_time_it_asks(server: Server, slack_sender: Sender) -> None:
    asked = {"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}
    for _ in range(2):
        answer = slack(slack_sender, asked)
        assert (answer.status_code, answer.text) == (200, asked["challenge"])
        assert is_safe(answer)
    assert (server.events(), outcomes(server)) == ([], ["handshake", "handshake"])


def test_who_is_not_slack_gets_nothing_back(server: Server, slack_sender: Sender) -> None:
    asked = {"type": "url_verification", "challenge": SCRIPT}
    for answer in (
        slack_sender("POST", asked),
        slack(slack_sender, asked, secret="a guess"),
        slack(slack_sender, asked, ago=301),
        slack(slack_sender, asked, ago=-301),
    ):
        assert answer.status_code == 401
        assert SCRIPT not in answer.text
    assert set(outcomes(server)) == {"refused"}


def test_a_challenge_in_a_delivery_of_another_kind_is_no_handshake(
    server: Server, slack_sender: Sender
) -> None:
    answer = slack(slack_sender, {"type": "event_callback", "challenge": "x", "event_id": "E1", "event": {}})
    assert answer.text != "x"
    assert outcomes(server) == ["accepted"]


# ---------------------------------------------------------------------------------------- Meta


META = [("meta_lead_ads", "lead_received"), ("whatsapp", "message_received"), ("whatsapp", "message_status")]
MINE = {"hub.mode": "subscribe", "hub.verify_token": "my-word", "hub.challenge": "1158201444"}


@pytest.mark.parametrize(("connector", "name"), META)
def test_meta_gets_its_challenge_for_the_right_token(server: Server, connector: str, name: str) -> None:
    sender = Sender(server, connector, name, app_secret=SIGNS_WITH, verify_token="my-word")
    for _ in range(2):
        answer = sender("GET", params=MINE)
        assert (answer.status_code, answer.text) == (200, "1158201444")
    assert server.events() == []


@pytest.mark.parametrize(
    "given",
    [
        {**MINE, "hub.verify_token": "another"},
        {**MINE, "hub.verify_token": ""},
        {"hub.mode": "subscribe", "hub.challenge": SCRIPT},
        [("hub.mode", "subscribe"), ("hub.verify_token", "no"), ("hub.verify_token", "my-word")],
        {**MINE, "hub.verify_token": "my-word\x00"},
        {**MINE, "hub.verify_token": "é" * 5000},
    ],
    ids=["wrong", "empty", "none", "the right one second", "with more", "long and foreign"],
)
def test_without_the_right_token_meta_gets_nothing(server: Server, given: Any) -> None:
    sender = Sender(server, *META[0], app_secret=SIGNS_WITH, verify_token="my-word")
    answer = sender("GET", params=given)
    assert answer.status_code == 401
    assert SCRIPT not in answer.text


def test_an_empty_token_fits_no_connection_without_one(server: Server) -> None:
    sender = Sender(server, *META[0], app_secret=SIGNS_WITH)
    assert sender("GET", params={**MINE, "hub.verify_token": ""}).status_code == 401


def test_another_question_by_get_is_answered_with_what_may_be_sent(server: Server) -> None:
    sender = Sender(server, *META[0], app_secret=SIGNS_WITH, verify_token="my-word")
    answer = sender("GET", params={**MINE, "hub.mode": "unsubscribe"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_challenge_that_is_a_page_is_text(server: Server) -> None:
    sender = Sender(server, *META[0], app_secret=SIGNS_WITH, verify_token="my-word")
    answer = sender("GET", params={**MINE, "hub.challenge": SCRIPT})
    assert answer.text == SCRIPT
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert is_safe(answer)


# ---------------------------------------------------------------------------------------- Zoom


ZOOM = ("meeting_ended", "meeting_registration", "webinar_registration")


def zoom(sender: Sender, body: Any, *, ago: int = 0, secret: str = SIGNS_WITH) -> httpx.Response:
    raw, at = orjson.dumps(body), str(sender.now_s - ago)
    signature = "v0=" + mac(f"v0:{at}:".encode() + raw, secret).hex()
    return sender("POST", raw, headers={"x-zm-signature": signature, "x-zm-request-timestamp": at})


def validation(token: Any) -> dict[str, Any]:
    return {"event": "endpoint.url_validation", "payload": {"plainToken": token}}


@pytest.mark.parametrize("name", ZOOM)
def test_zoom_gets_its_token_back_with_its_signature(server: Server, name: str) -> None:
    sender = Sender(server, "zoom", name, webhook_secret=SIGNS_WITH)
    for _ in range(2):
        answer = zoom(sender, validation("qgg8vlvZRS6UYooatFL8Aw"))
        signed = mac(b"qgg8vlvZRS6UYooatFL8Aw").hex()
        assert answer.json() == {"plainToken": "qgg8vlvZRS6UYooatFL8Aw", "encryptedToken": signed}
        assert is_safe(answer)
    assert server.events() == []


def test_who_is_not_zoom_gets_nothing_signed(server: Server) -> None:
    sender = Sender(server, "zoom", ZOOM[0], webhook_secret=SIGNS_WITH)
    asked = validation("qgg8vlvZRS6UYooatFL8Aw")
    for answer in (
        sender("POST", asked),
        zoom(sender, asked, secret="a guess"),
        zoom(sender, asked, ago=86400),
    ):
        assert answer.status_code == 401
        assert "encryptedToken" not in answer.text


@pytest.mark.parametrize(
    "token",
    [None, "", [], {"a": 1}, '{"event": "meeting.ended"}', "v0:1:{}", "x" * 100_000, "a\nb", SCRIPT],
)
def test_what_is_no_token_is_not_signed_even_for_zoom(server: Server, token: Any) -> None:
    sender = Sender(server, "zoom", ZOOM[0], webhook_secret=SIGNS_WITH)
    answer = zoom(sender, validation(token))
    assert answer.status_code == 401
    assert "encryptedToken" not in answer.text


# --------------------------------------------------------------------------------------- Asana


@pytest.fixture
def asana_sender(server: Server) -> Sender:
    return Sender(server, "asana", "task_event", token="t0ken-of-asana")


SECRET = "b537207f20cbfa02357cf448134da559e8bd39d61597dcd5631b8012eae53e81"


def agree(server: Server, service: FakeService, sender: Sender) -> httpx.Response:
    """Asana calls us before it answers."""
    seen: list[httpx.Response] = []

    def create(_: Received) -> Any:
        with ThreadPoolExecutor() as asana:  # another process, and so another event loop
            knocks = asana.submit(sender, "POST", b"", headers={"X-Hook-Secret": SECRET})
            seen.append(knocks.result(60))
        return (201, {"data": {"gid": "42"}})

    service.answers("GET", "*", {"data": {"workspace": {"gid": "9"}}}, {"data": []})
    service.answers("POST", "/api/1.0/webhooks", create)
    tell(server)
    [answer] = seen
    return answer


def changed(sender: Sender, secret: str) -> httpx.Response:
    body = orjson.dumps({"events": [{"action": "changed", "resource": {"gid": "1"}}]})
    return sender("POST", body, headers={"X-Hook-Signature": mac(body, secret).hex()})


def test_asana_gets_its_secret_back_and_signs_with_it(
    server: Server, service: FakeService, asana_sender: Sender
) -> None:
    answer = agree(server, service, asana_sender)
    assert (answer.status_code, answer.headers["X-Hook-Secret"], answer.content) == (200, SECRET, b"")
    assert changed(asana_sender, SECRET).status_code == 200
    assert len(server.events()) == 1


def test_a_second_secret_is_not_taken_once_it_was_agreed(
    server: Server, service: FakeService, asana_sender: Sender
) -> None:
    agree(server, service, asana_sender)
    again = asana_sender("POST", b"{}", headers={"X-Hook-Secret": "of-somebody-else"})
    assert again.status_code == 401
    assert "X-Hook-Secret" not in again.headers
    assert changed(asana_sender, "of-somebody-else").status_code == 401
    assert changed(asana_sender, SECRET).status_code == 200


def test_a_secret_that_is_a_whole_book_is_not_given_back(server: Server, asana_sender: Sender) -> None:
    answer = asana_sender("POST", b"{}", headers={"X-Hook-Secret": "x" * 50_000})
    assert answer.status_code == 401
    assert "X-Hook-Secret" not in answer.headers


def test_an_empty_call_without_a_secret_starts_nothing(server: Server, asana_sender: Sender) -> None:
    assert asana_sender("POST", b"{}").status_code == 200
    assert (server.events(), outcomes(server)) == ([], ["handshake"])


# ---------------------------------------------------------------------- Trello, Intercom: HEAD


HEADS = [("trello", "board_event", "api_secret"), ("intercom", "event_received", "client_secret")]


@pytest.mark.parametrize(("connector", "name", "secret"), HEADS)
def test_who_looks_with_head_sees_that_somebody_is_there(
    server: Server, connector: str, name: str, secret: str
) -> None:
    sender = Sender(server, connector, name, **{secret: SIGNS_WITH})
    for _ in range(2):
        answer = sender("HEAD")
        assert (answer.status_code, answer.content) == (200, b"")
    assert (server.events(), outcomes(server)) == ([], ["handshake", "handshake"])


@pytest.mark.parametrize(("connector", "name", "secret"), HEADS)
def test_looking_with_head_lets_nothing_else_in(
    server: Server, connector: str, name: str, secret: str
) -> None:
    sender = Sender(server, connector, name, **{secret: SIGNS_WITH})
    assert sender("GET").status_code == 405
    assert sender("POST", {"action": {"id": "1"}, "id": "1"}).status_code == 401
    assert (
        sender("HEAD", {"action": {"id": "1"}, "id": "1"}).status_code == 200
    )  # its body counts for nothing
    assert server.events() == []


def test_trello_signs_its_address_too(server: Server) -> None:
    sender = Sender(server, "trello", "board_event", api_secret=SIGNS_WITH)
    body = orjson.dumps({"action": {"id": "5abbe4b7", "type": "commentCard"}})
    signed = {}
    for address in (f"https://p.example{sender.path}", f"https://evil.example{sender.path}"):
        digest = mac(body + address.encode(), digest="sha1")
        signed[address] = sender(
            "POST", body, headers={"X-Trello-Webhook": base64.b64encode(digest).decode()}
        )
    assert [answer.status_code for answer in signed.values()] == [200, 401]


# ------------------------------------------------------------------------------------------- X


@pytest.fixture
def x_sender(server: Server) -> Sender:
    """By a connector of one's own, as the bundled one polls."""
    return Sender(server, "proving", "event", app_secret=SIGNS_WITH)


def test_x_gets_its_token_signed_each_time_it_asks(server: Server, x_sender: Sender) -> None:
    for _ in range(2):
        answer = x_sender("GET", params={"crc_token": "MWY3ODA3OTk=", "nonce": "1"})
        signed = base64.b64encode(mac(b"MWY3ODA3OTk=")).decode()
        assert answer.json() == {"response_token": f"sha256={signed}"}
        assert is_safe(answer)
    assert server.events() == []


@pytest.mark.parametrize(
    "token", ['{"id": 1}', "[1]", "a=b&c=d", "a b", "", "x" * 301, "\x00", "é", SCRIPT], ids=repr
)
def test_nobody_gets_a_delivery_signed_by_asking_for_a_proof(
    server: Server, x_sender: Sender, token: str
) -> None:
    answer = x_sender("GET", params={"crc_token": token})
    assert answer.status_code == 401
    assert "response_token" not in answer.text


def test_a_proof_is_given_for_no_other_way_of_asking(server: Server, x_sender: Sender) -> None:
    assert x_sender("POST", b"{}", params={"crc_token": "abc"}).status_code == 401
    assert x_sender("HEAD", params={"crc_token": "abc"}).status_code == 405
    assert x_sender("PUT", b"{}", params={"crc_token": "abc"}).status_code == 401
    assert server.events() == []


# ------------------------------------------------------------------------------------ everybody


def test_at_another_address_nobody_answers(server: Server, slack_sender: Sender) -> None:
    slack_sender.path = "/hooks/" + "A" * 43
    assert slack(slack_sender, {"type": "url_verification", "challenge": "x"}).status_code == 404
    assert slack_sender("GET", params=MINE).status_code == 404
    assert slack_sender("HEAD").status_code == 404


def test_a_handshake_as_large_as_a_house_is_refused(server: Server, slack_sender: Sender) -> None:
    answer = slack(slack_sender, {"type": "url_verification", "challenge": "x" * (MOST_BYTES + 1)})
    assert answer.status_code == 413


def test_a_body_that_cannot_be_read_is_no_handshake(server: Server) -> None:
    sender = Sender(server, "zoom", ZOOM[0], webhook_secret=SIGNS_WITH)
    for raw in (b"\xff\xfe", b'{"event": "endpoint.url_validation"', b"[" * 5000):
        assert sender("POST", raw).status_code == 401


def test_the_digest_of_an_answer_is_that_of_the_secret(server: Server, x_sender: Sender) -> None:
    answer = x_sender("GET", params={"crc_token": "abc"}).json()["response_token"]
    wanted = hmac.new(SIGNS_WITH.encode(), b"abc", hashlib.sha256).digest()
    assert base64.b64decode(answer.removeprefix("sha256=")) == wanted
