"""Webhooks the demo services send: signed, kept until somebody answers 2xx, tried again in between."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx

from seed_data.services.shelf import Shelf, Thing, now_text

WAITS_S = (1, 2, 5, 10, 20, 30, 60)
_MOST_TRIES = 60
_KEEP = 200

Sign = Callable[[bytes], dict[str, str]]


def shop_headers(secret: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return {"X-Demo-Shop-Hmac-Sha256": base64.b64encode(digest).decode()}


def crm_headers(secret: str, body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Demo-Crm-Timestamp": stamp, "X-Demo-Crm-Signature": digest}


class Outbox:
    """`signers`: by service; a service that is not there sends unsigned."""

    def __init__(
        self, shelf: Shelf, signers: dict[str, Sign], *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._shelf = shelf
        self._signers = signers
        self._client = httpx.Client(transport=transport, timeout=10, trust_env=False)
        self._wake = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)

    # ---------------------------------------------------------------------------- addresses

    def point(self, service: str, name: str, topic: str, address: str) -> None:
        """`name`: what stood under it before is replaced."""
        self._shelf.put(f"{service}.address", name, {"name": name, "topic": topic, "address": address})

    def addresses(self, service: str) -> list[Thing]:
        return self._shelf.newest(f"{service}.address")

    def forget(self, service: str, name: str) -> None:
        self._shelf.remove(f"{service}.address", name)

    # ---------------------------------------------------------------------------- deliveries

    def post(self, service: str, topic: str, document: Any) -> int:
        """To every address of that topic; how many there are."""
        wanted = [one["address"] for one in self.addresses(service) if one["topic"] == topic]
        for address in wanted:
            self._shelf.add(
                f"{service}.delivery",
                {
                    "topic": topic,
                    "address": address,
                    "event_id": secrets.token_hex(8),
                    "body": json.dumps(document, separators=(",", ":")),
                    "state": "waiting",
                    "tries": 0,
                    "due": 0.0,
                    "answer": "",
                    "posted_at": now_text(),
                },
            )
        self._shelf.trim(f"{service}.delivery", _KEEP)
        self._wake.set()
        return len(wanted)

    def deliveries(self, service: str, limit: int = 20) -> list[Thing]:
        return self._shelf.newest(f"{service}.delivery", limit)

    def send_again(self, service: str, number: int) -> None:
        """The same event under the same id, as a real service does from its list of deliveries."""
        delivery = self._shelf.get(f"{service}.delivery", number)
        if delivery is not None:
            self._keep(service, {**delivery, "state": "waiting", "tries": 0, "due": 0.0})
            self._wake.set()

    def send_due(self, now: float) -> float | None:
        """Try what is due; when the next one is, or None."""
        due_next: float | None = None
        for service in ("shop", "crm", "site"):
            for delivery in reversed(self.deliveries(service, _KEEP)):
                if delivery["state"] != "waiting":
                    continue
                if delivery["due"] <= now:
                    delivery = self._try(service, delivery, now)
                if delivery["state"] == "waiting":
                    due_next = min(due_next or delivery["due"], delivery["due"])
        return due_next

    def _try(self, service: str, delivery: Thing, now: float) -> Thing:
        body = delivery["body"].encode()
        answer, accepted = self._send(service, delivery, body)
        tries = delivery["tries"] + 1
        wait = WAITS_S[min(tries, len(WAITS_S)) - 1]
        state = "delivered" if accepted else "waiting" if tries < _MOST_TRIES else "given up"
        done = {**delivery, "tries": tries, "answer": answer, "state": state, "due": now + wait}
        self._keep(service, done)
        return done

    def _send(self, service: str, delivery: Thing, body: bytes) -> tuple[str, bool]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Demo-{service.title()}/1.0",
            f"X-Demo-{service.title()}-Event-Id": delivery["event_id"],
            f"X-Demo-{service.title()}-Topic": delivery["topic"],
        }
        if (sign := self._signers.get(service)) is not None:
            headers |= sign(body)
        try:
            answer = self._client.post(delivery["address"], content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as reason:
            return f"no answer ({type(reason).__name__})", False
        return str(answer.status_code), answer.is_success

    def _keep(self, service: str, delivery: Thing) -> None:
        self._shelf.put(f"{service}.delivery", str(delivery["number"]), delivery)

    # ---------------------------------------------------------------------------- the thread

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ends = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=15)
        self._client.close()

    def _work(self) -> None:
        while not self._ends:
            self._wake.clear()
            due = self.send_due(time.time())
            self._wake.wait(None if due is None else max(0.05, due - time.time()))
