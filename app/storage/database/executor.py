"""What a query runs on: a page's session, or a connection (in the writer, in the engine)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session, scoped_session

Executor = Connection | Session | scoped_session[Any]
