"""The look for services that do not send: refused, dropped, or no longer to be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from app.storage.flows.subscriptions import SubscriptionRow, in_doubt
from app.storage.upkeep.alerts import Noticed

if TYPE_CHECKING:
    from app.watch.looks import View

_GOES_ON = "It goes on trying."


def untold_services(view: View) -> Iterator[Noticed]:
    for row in in_doubt(view.db):
        flow, service = f"“{view.name(row.flow_id)}”", _service(view, row)
        if row.state == "live" and not row.error_kind:
            yield _dropped(row, flow)
        else:
            parts = (row.sentence, row.remedy, "" if row.next_at is None else _GOES_ON)
            yield Noticed(
                "subscription",
                "flow",
                row.flow_id,
                f"subscription:{row.id}",
                f"{_hears(view, row, flow, service)}: {' '.join(part for part in parts if part)}",
                "See why",
                f"/flows/{row.flow_id}/subscription",
            )


def _service(view: View, row: SubscriptionRow) -> str:
    found = view.registry.find(str(row.trigger.get("connector", "")))
    return found.name if found is not None else "its service"


def _hears(view: View, row: SubscriptionRow, flow: str, service: str) -> str:
    if row.state == "live":
        if row.expires_at is not None and row.expires_at <= view.now:
            ended = f"{row.expires_at:%d %b, %H:%M} UTC"
            return f"{flow} hears nothing from {service} any more, as what was agreed ended {ended}"
        return f"Whether {service} still sends to {flow} cannot be found out"
    if row.state == "unsure":
        return f"Nobody knows whether {service} sends to {flow}"
    return f"{flow} hears nothing from {service}{' any more' if row.since is not None else ''}"


def _dropped(row: SubscriptionRow, flow: str) -> Noticed:
    """Over with the next look at the service, when it is well again."""
    return Noticed(
        "subscription",
        "flow",
        row.flow_id,
        f"dropped:{row.id}:{row.vendor_id}",
        f"{flow} may lack something: {row.sentence}",
        "See what came in",
        f"/flows/{row.flow_id}/ledger",
    )
