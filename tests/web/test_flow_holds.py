"""A flow that a person holds keeps what comes in, and lets it go on when it is released."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.flows.model import FlowDefinition
from app.parts import Parts
from app.storage.flows import flows
from app.storage.tables.models import AuditEntry, Run
from tests.fakes.handed import accept
from tests.web.browser import Browser


def live_flow(parts: Parts) -> tuple[str, str]:
    """Its id and the token of its address."""
    steps = [{"id": "s1", "kind": "stop", "message": "Done."}]
    definition = FlowDefinition.model_validate(
        {"name": "Welcome", "trigger": {"kind": "webhook"}, "steps": steps}
    )
    now = parts.clock.now()
    flow_id = parts.database.write(
        lambda db: flows.create_flow(db, name="Welcome", definition=definition, owner_id=None, now=now)
    )
    flow_commands.publish(SHELL, parts, flow_id)
    flow_commands.switch_on(SHELL, parts, flow_id)
    return flow_id, flow_commands.create_address(SHELL, parts, flow_id).rpartition("/")[2]


def send(parts: Parts, token: str) -> None:
    headers = [("Content-Type", "application/json")]
    request: dict[str, Any] = {"query": "", "headers": headers, "body": b"{}", "remote_addr": "10.0.0.1"}
    accept(parts.intake, token, method="POST", path_url=f"/hooks/{token}", **request)


def states(parts: Parts) -> list[tuple[str, str]]:
    with parts.database.read() as db:
        return [(row.state, row.reason) for row in db.execute(select(Run.state, Run.reason).order_by(Run.id))]


def then_shown(browser: Browser, path: str, *, back: str = "editor") -> str:
    """The page that a button leads to."""
    answer = browser.post(path, {"back": back})
    assert answer.status_code in (302, 303)
    return browser.get(answer.location).text


def test_what_comes_in_waits_until_the_flow_is_released(browser: Browser, parts: Parts) -> None:
    flow_id, token = live_flow(parts)
    held = then_shown(browser, f"/flows/{flow_id}/hold")
    assert "is held. What comes in is kept and waits" in held
    assert "Held: events are kept and wait" in held
    send(parts, token)
    send(parts, token)
    assert states(parts) == [("waiting", "held_flow")] * 2
    released = then_shown(browser, f"/flows/{flow_id}/release")
    assert "2 runs that waited go on, oldest first." in released
    assert "Held: events" not in released
    assert states(parts) == [("queued", "")] * 2
    with parts.database.read() as db:
        assert list(db.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))[-2:] == [
            "held",
            "released",
        ]


def test_the_list_says_which_flow_is_held_and_offers_its_release(browser: Browser, parts: Parts) -> None:
    flow_id, _ = live_flow(parts)
    assert f'action="/flows/{flow_id}/hold"' in browser.get("/flows").text
    page = then_shown(browser, f"/flows/{flow_id}/hold", back="list")
    assert f'action="/flows/{flow_id}/release"' in page
    assert "Nothing had waited." in then_shown(browser, f"/flows/{flow_id}/release")


def test_a_flow_that_is_not_there_cannot_be_held(browser: Browser) -> None:
    assert browser.post("/flows/flow_none/hold").status_code == 404


def test_why_a_flow_is_held_stands_beside_it_until_it_is_released(browser: Browser, parts: Parts) -> None:
    flow_id, _ = live_flow(parts)
    browser.post(f"/flows/{flow_id}/hold", {"back": "list", "reason": "The list is being <cleaned>"})
    for path in (f"/flows/{flow_id}", "/flows", "/"):
        assert "“The list is being &lt;cleaned&gt;”" in browser.get(path).text, path
    browser.post(f"/flows/{flow_id}/release", {"back": "list"})
    assert "being &lt;cleaned" not in browser.get("/flows").text
