"""What somebody handed over, told apart by its looks, as a draft."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from app.errors import ConnectorInvalid
from app.imports.apis.choices import Choices
from app.imports.apis.curl import is_curl, read_curl
from app.imports.apis.draft import Draft, draft_of
from app.imports.apis.har import is_har, read_har
from app.imports.apis.postman import is_postman, read_postman
from app.imports.apis.reading import read_document
from app.imports.apis.samples import AsDocument


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
    try:
        kind, root, recorded = _told(given)
        others = {address: read_document(one, address) for address, one in given.others.items()}
        draft = draft_of(
            root,
            file=given.file,
            today=given.today,
            home=given.home,
            others=others,
            choices=given.choices,
        )
        draft.kind = kind
        if recorded is not None:
            # Values go to fields the connection really has, and to nothing else.
            first = draft.head["auth"][0]
            fields = {one["key"]: one for one in first.get("fields", [])}
            draft.secrets = {
                key: one for key, one in recorded.secrets.items() if fields.get(key, {}).get("secret")
            }
            draft.public = {key: one for key, one in recorded.public.items() if key in fields}
            draft.notes = [*recorded.notes, *draft.notes][:20]
        return draft
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as reason:
        raise ConnectorInvalid(
            f"something in it is not as such a document has it ({str(reason)[:120]}).", file=given.file
        ) from reason


def _told(given: Given) -> tuple[str, Any, AsDocument | None]:
    """What it is, and as an OpenAPI document."""
    head = given.content[:2_000].decode("utf-8", "replace")
    if is_curl(head):
        recorded = read_curl(given.content.decode("utf-8", "replace"), given.file)
        return "curl", recorded.root, recorded
    root = read_document(given.content, given.file)
    if is_postman(root):
        recorded = read_postman(root, given.file)
        return "postman", recorded.root, recorded
    if is_har(root):
        recorded = read_har(root, given.file, given.choices.server)
        return "har", recorded.root, recorded
    return "openapi", root, None


def choices_as_json(choices: Choices) -> dict[str, Any]:
    return asdict(choices)
