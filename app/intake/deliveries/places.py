"""Where something stands in a delivery: `$.path` in its body, `header:Name` or `query:name`."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from app.errors import DeliveryRefused, MappingFailed
from app.flows.mapping.template import first
from app.intake.deliveries.bodies import Document, form_document, read_body
from app.intake.deliveries.inbound import Inbound


def document_of(inbound: Inbound) -> Document:
    """Read once.  Raises DeliveryRefused."""
    if inbound.document is None:
        if inbound.method == "GET":
            inbound.document = form_document(inbound.query)
        else:
            inbound.document = read_body(
                inbound.body,
                inbound.content_type,
                query=inbound.query,
                encoding=inbound.by_name.get("content-encoding", ""),
            )
    return inbound.document


def value_at(place: str, inbound: Inbound, item: Any = None) -> Any:
    """None = nothing there.  `item`: the record that paths are seen from, else the whole body."""
    kind, _, name = place.partition(":")
    if kind == "header":
        return inbound.by_name.get(name.strip().lower())
    if kind == "query":
        return parse_qs(inbound.query, keep_blank_values=True, errors="replace").get(name, [None])[0]
    try:
        return first(place, document_of(inbound).value if item is None else item)
    except (MappingFailed, DeliveryRefused):
        return None
