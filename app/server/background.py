"""A worker or a scheduler as a process of its own, beside the server, on a PostgreSQL they share."""

from __future__ import annotations

import gc
import logging
import signal
import sys
import threading

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from app.errors import SettingInvalid, Unavailable
from app.log import fields, set_up_logging
from app.parts import Parts, open_parts
from app.server.lifetime import Lifetime
from app.settings import Settings
from app.storage.database.db import KEEPALIVES, with_driver
from app.storage.database.migrate import schema_of

log = logging.getLogger("plumbline.background")

_GRACE_S = 20.0
_AGAIN_S = 1.0
_GATHER_S = 0.01  # several workers would else commit ever smaller groups, each at the cost of a large one


def run(settings: Settings, role: str) -> None:
    """Until SIGTERM or SIGINT.  `role`: worker or scheduler."""
    set_up_logging(settings.log_level)
    if make_url(settings.database).get_backend_name() == "sqlite":
        raise SettingInvalid(
            f"A {role} of its own needs a database that several processes can share.",
            remedy="Set PLUMBLINE_DATABASE_URL to a postgresql:// address; with SQLite `plumbline serve` "
            "does everything in one process.",
        )
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    sys.setswitchinterval(0.001)
    parts = _open(settings, role, stopping)
    if parts is not None:
        _serve(parts, role, stopping)


def _serve(parts: Parts, role: str, stopping: threading.Event) -> None:
    lifetime = Lifetime(parts)
    try:
        lifetime.start()
        gc.freeze()
        print(f"Plumbline's {role} is ready.", flush=True)
        stopping.wait()
    finally:
        lifetime.stop(_GRACE_S)
        log.info("%s", fields(event="stopped"))


def _open(settings: Settings, role: str, stopping: threading.Event) -> Parts | None:
    """As soon as the database is there and set up; None when it is stopped before."""
    said = ""
    while not stopping.is_set():
        try:
            reason = _missing(settings)
            if not reason:
                return open_parts(settings, roles=frozenset((role,)), gather_s=_GATHER_S)
        except Unavailable as away:
            reason = away.sentence
        if reason != said:
            log.warning("%s", fields(event="waits", reason=reason))
            said = reason
        stopping.wait(_AGAIN_S)
    return None


def _missing(settings: Settings) -> str:
    engine = create_engine(with_driver(settings.database), poolclass=NullPool, connect_args=dict(KEEPALIVES))
    try:
        with engine.connect() as db:
            if schema_of(db) is None:
                return "The database is empty: start `plumbline serve` on it, which sets it up."
    except SQLAlchemyError as reason:
        raise Unavailable("The database does not answer.") from reason
    return ""
