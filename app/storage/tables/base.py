"""What every table is made from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, MetaData, Text, text
from sqlalchemy.orm import DeclarativeBase

from app.storage.tables.types import Moment


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, datetime: Moment}


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Of the rows that fulfil a condition; a query that shall use it repeats that word by word."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))
