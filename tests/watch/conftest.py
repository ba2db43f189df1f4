"""A small house to look after: a database, a clock, a mail server and a web address that are pretended."""

from __future__ import annotations

import asyncio
import email
from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import datetime
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from sqlalchemy import insert, update

from app.calls.http.client import Caller
from app.catalog.registry import Registry
from app.settings import Settings
from app.storage.database.db import Database
from app.storage.database.secrets import Vault
from app.storage.database.space import Space
from app.storage.people.users import create_user
from app.storage.tables.models import Flow, Run
from app.storage.upkeep.alerts import AlertRow, Telling, open_alerts, save_telling
from app.watch import telling
from app.watch.rounds import Rounds
from app.watch.telling import SEALED_FOR, Post
from tests.calls.test_mail import Post as PostOffice
from tests.fakes.clock import FakeClock
from tests.fakes.history import NOON, History
from tests.fakes.ledger import Records
from tests.fakes.service import FakeService


class House:
    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.clock = FakeClock(NOON)
        self.service = FakeService()
        self.is_pretended = True  # else calls go out into the world
        self.office = PostOffice()
        self.vault = Vault(b"k" * 32)
        self.folder = folder
        self.mail_port = 0  # nobody listens
        self.registry = Registry([("test", folder / "connectors")])
        self.space = Space(folder, 0, self.clock)
        self.history = History(database)
        self.owner = database.write(lambda db: _user(db, "owner@example.com", "editor"))
        database.write(lambda db: _user(db, "admin@example.com", "admin"))

    @property
    def post(self) -> Post:
        settings = Settings(
            data_dir=self.folder,
            public_url="https://p.example",
            smtp_url=f"smtp://127.0.0.1:{self.mail_port}" if self.mail_port >= 0 else "",
            smtp_from="plumbline@example.com",
        )
        transport = self.service.transport if self.is_pretended else None
        caller = Caller(settings, self.clock, transport=transport)
        return Post(settings, self.clock, self.database, self.vault, caller)

    def rounds(self) -> Rounds:
        """Those of a process that has just begun to lead."""
        return Rounds(self.post, self.registry, self.space, _at_once)

    def look(self, seconds: float = 0) -> list[AlertRow]:
        """What is open after a look."""
        if seconds:
            self.clock.advance(seconds)
        self.rounds().look()
        return self.open()

    def open(self) -> list[AlertRow]:
        with self.database.read() as db:
            return open_alerts(db)

    def tell(self, seconds: float = 0) -> None:
        """With a mail server that listens; see `tell_nobody`."""
        self.clock.advance(seconds)

        async def work() -> None:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: SMTP(self.office), "127.0.0.1", 0)
            self.mail_port = server.sockets[0].getsockname()[1]
            async with server:
                post = self.post
                await post.caller.start()
                await telling.tell(post)
                await post.caller.close()

        asyncio.run(work())

    @property
    def mails(self) -> list[tuple[list[str], str]]:
        """Readers and text of what arrived."""
        return [(one.rcpt_tos, _text(one.content)) for one in self.office.envelopes]

    def settings(self, **values: Any) -> None:
        if "webhook" in values:
            values["webhook"] = self.vault.seal(values["webhook"].encode(), SEALED_FOR).hex()
        self.database.write(lambda db: save_telling(db, Telling(**values)))

    # ------------------------------------------------------------------------------- what happens

    def flow(self, name: str = "New order", **values: Any) -> Records:
        records = Records(self.database, self.history.flow(name, []), start=1000 * len(self.history.versions))
        if values:
            changed = update(Flow).where(Flow.id == records.flow_id).values(**values)
            self.database.write(lambda db: db.execute(changed))
        return records

    def stopped(self, records: Records, cause: str = "not accepted", at: datetime | None = None) -> str:
        at = at or self.clock.now()
        [run] = records.delivery(at)
        values = {"cause": f"{records.flow_id}|s1|invalid_payload|{cause}", "sentence": f"It was {cause}."}
        records.end(run, "failed", at)
        self.database.write(lambda db: db.execute(update(Run).where(Run.id == run).values(**values)))
        return run

    def insert(self, table: Any, **values: Any) -> None:
        self.database.write(lambda db: db.execute(insert(table), values))


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
    done: Future[Any] = Future()
    done.set_result(asyncio.run(coroutine))  # type: ignore[arg-type]
    return done


def _user(connection: Any, address: str, role: str) -> str:
    return create_user(
        connection,
        email=address,
        name=address,
        password_hash="x",
        role=role,
        now=NOON,
    )


def _text(content: bytes) -> str:
    message = email.message_from_bytes(content, policy=default)
    return f"{message['Subject']}\n{message.get_content()}"


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return House(database, tmp_path)
