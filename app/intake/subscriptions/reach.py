"""What keeps a service from being told, before it is asked: an address it cannot reach, one that is taken."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from app.engine.runtime import Runtime
from app.errors import CallFailed, NotFound
from app.intake.subscriptions.calls import Talk
from app.storage.flows import flows
from app.storage.flows import subscriptions as store

_HOLDS = ("making", "live", "unsure")


def refuse_unreachable(runtime: Runtime, talk: Talk) -> None:
    """A service out there cannot call a computer that is known to itself alone.  Raises CallFailed."""
    host = urlsplit(talk.told.address).hostname or ""
    homes = talk.connection.hosts if talk.connection is not None else ()
    if not is_near(host) or any(is_near(_bare(home)) for home in homes):
        return
    raise CallFailed(
        "invalid_payload",
        f"{talk.name} has to reach this server, but its address is {runtime.settings.base_url}.",
        remedy="Set PLUMBLINE_PUBLIC_URL to the address by which it is reached from outside, then try again.",
        permanent=True,
    )


def is_near(host: str) -> bool:
    """This computer, or one of the same house."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _bare(host: str) -> str:
    return urlsplit(host if "://" in host else f"//{host}").hostname or ""


def refuse_second(runtime: Runtime, talk: Talk) -> None:
    """Of services that send to one address at a time: a second flow would take it from the first."""
    if not talk.subscribe.only_one:
        return
    row = talk.row
    with runtime.database.read() as db:
        others = store.of_connection(db, row.connection_id)
        holder = next((one for one in others if one.flow_id != row.flow_id and one.state in _HOLDS), None)
        if holder is None:
            return
        try:
            name = flows.get_flow(db, holder.flow_id).name
        except NotFound:
            name = "A deleted flow"
    raise CallFailed(
        "conflict",
        f"“{name}” gets what happens there already, and {talk.name} sends to one address at a time.",
        remedy=f"Switch “{name}” off first, or use another connection.",
        permanent=True,
    )
