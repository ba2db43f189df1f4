"""What somebody handed over, told apart by its looks, as a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from app.bring.choices import Choices
from app.bring.draft import Draft, draft_of
from app.bring.reading import read_document


@dataclass
class Given:
    """`home`: the address it came from, '' for a file or a text.  `others`: documents it refers to."""

    content: bytes
    file: str
    today: str
    home: str = ""
    others: Mapping[str, bytes] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)


def draft_from(given: Given) -> Draft:
    """Raises ConnectorInvalid."""
    root = read_document(given.content, given.file)
    others = {address: read_document(one, address) for address, one in given.others.items()}
    return draft_of(
        root,
        file=given.file,
        today=given.today,
        home=given.home,
        others=others,
        choices=given.choices,
    )


def choices_as_json(choices: Choices) -> dict[str, Any]:
    return asdict(choices)
