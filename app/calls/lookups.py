"""What only the account knows - its lists, channels, own fields - asked once and kept for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.calls.client import Caller
from app.calls.connections import ConnectionFacts
from app.calls.encode import encode_body
from app.calls.paginate import pages
from app.calls.request import CallRequest
from app.catalog.definition import Connector, Lookup
from app.catalog.lookups import FoundField, Option, lookup_items, read_fields, read_options
from app.catalog.render import limits_of, plan
from app.errors import CallFailed

_MOST_KEPT = 500
_LONGEST_WAIT_S = 5.0
_LONGEST_CALL_S = 15.0


@dataclass(frozen=True)
class LookedUp:
    """`options` of a lookup for a dropdown, `fields` of one for the account's own fields."""

    options: list[Option] = field(default_factory=list)
    fields: list[FoundField] = field(default_factory=list)


class LookupShelf:
    """Used inside the event loop only."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._kept: dict[tuple[str, ...], tuple[float, LookedUp]] = {}

    async def read(
        self,
        connector: Connector,
        lookup: Lookup,
        connection: ConnectionFacts | None,
        inputs: Mapping[str, Any],
        *,
        fresh: bool = False,
    ) -> LookedUp:
        """`inputs`: those it needs.  `fresh`: ask the service even if an answer is kept.  Raises
        CallFailed, also when an input it needs is empty."""
        needed = {key: _needed(key, inputs) for key in lookup.needs}
        place = (connection.id if connection else "", connector.key, lookup.key, *map(str, needed.values()))
        now = self._caller.now().timestamp()
        kept = self._kept.get(place)
        if kept is not None and not fresh and 0 <= now - kept[0] < lookup.cache:
            return kept[1]
        found = await ask(self._caller, connector, lookup, connection, needed)
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[place] = (now, found)
        return found

    def forget(self, connection_id: str) -> None:
        """Another account may stand behind the connection now."""
        for place in [one for one in self._kept if one[0] == connection_id]:
            del self._kept[place]


def _needed(key: str, inputs: Mapping[str, Any]) -> Any:
    value = inputs.get(key)
    if value is None or str(value).strip() == "":
        raise CallFailed(
            "invalid_payload",
            f"Choose “{key.replace('_', ' ')}” first; these choices depend on it.",
            permanent=True,
        )
    return value


async def ask(
    caller: Caller,
    connector: Connector,
    lookup: Lookup,
    connection: ConnectionFacts | None,
    inputs: Mapping[str, Any],
) -> LookedUp:
    """All pages of the service's answer.  Raises CallFailed."""

    def build(page: Any) -> CallRequest:
        facts = connection.as_scope() if connection is not None else {}
        planned = plan(connector, lookup.request, scope={"input": inputs, "connection": facts, "page": page})
        body, content_type = encode_body(planned.body_kind, planned.body, planned.content_type)
        return CallRequest(
            method=planned.method,
            url=planned.url,
            query=planned.query,
            headers=planned.headers,
            body=body,
            content_type=content_type,
            connection=connection,
            timeout_s=_LONGEST_CALL_S,
            limits=planned.limits,
            idempotency_header="",
        )

    found = LookedUp()
    read = pages(
        caller,
        build,
        lookup.paginate,
        count=lambda document: len(lookup_items(lookup, document)),
        rules=lookup.request.errors + connector.errors,
        success=lookup.success or connector.success,
    )
    _check_budget(caller, connector, lookup, connection)
    async for page in read:
        if page.failure is not None:
            raise page.failure
        found.options.extend(read_options(lookup, page.document))
        found.fields.extend(read_fields(lookup, page.document))
    return found


def _check_budget(
    caller: Caller, connector: Connector, lookup: Lookup, connection: ConnectionFacts | None
) -> None:
    """Somebody waits before the screen: a long wait is said at once."""
    if connection is None:
        return
    wait = caller.limits.reserve(connection.id, limits_of(connector, lookup.request))
    if wait > _LONGEST_WAIT_S:
        raise CallFailed(
            "rate_limited",
            f"“{connection.name}” has to wait {round(wait)} seconds before it may call again.",
            wait_s=wait,
        )
