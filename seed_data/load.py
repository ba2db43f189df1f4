"""Puts the demo into an installation: connections with the demo's keys, flows switched on, and the
services told where to report.  May be done again and again; what a person changed or removed stays so."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import httpx

from app.calls.connections.book import seal_secrets
from app.commands import flows as flow_commands
from app.commands.who import SHELL
from app.errors import Unavailable
from app.flows.portable.files import from_text
from app.ids import new_id
from app.parts import Parts
from app.storage.connections import connections
from app.storage.database import server_values
from app.storage.flows import flows
from seed_data.services.shared import KEYS, SECRETS

_LOADED = "demo flows"  # file name -> id of the flow made from it, also when that was removed since
_CONNECTIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "demo_shop": ("Demo shop", "api_key", {"api_key": KEYS["shop"], "signing_secret": SECRETS["shop"]}),
    "demo_crm": ("Demo CRM", "api_key", {"api_key": KEYS["crm"], "signing_secret": SECRETS["crm"]}),
    "demo_mail": ("Demo email tool", "token", {"token": KEYS["mail"]}),
    "demo_chat": ("Demo team chat", "token", {"token": KEYS["chat"]}),
}
# Which service reports to the flow of which file.
_REPORTS = {
    "1_after_the_purchase.yaml": ("shop", {"X-Shop-Key": KEYS["shop"]}),
    "3_loyalty_tier_everywhere.yaml": ("crm", {"X-Api-Key": KEYS["crm"]}),
    "4_lead_in_seconds.yaml": ("site", {}),
}


def load_demo(parts: Parts, *, client: httpx.Client | None = None) -> list[str]:
    """The ids of the demo's flows that are there.  The services have to be up: Unavailable if not."""
    _make_connections(parts)
    known = _import_missing(parts)
    with client or httpx.Client(trust_env=False, timeout=10) as open_client:
        for file, flow_id in known.items():
            if file in _REPORTS:
                _point(parts, open_client, flow_id, *_REPORTS[file])
    return list(known.values())


# ------------------------------------------------------------------------------- connections


def _make_connections(parts: Parts) -> None:
    with parts.database.read() as db:
        there = {row.connector: row for row in connections.list_connections(db)}
    for connector, (name, auth, secrets) in _CONNECTIONS.items():
        row = there.get(connector)
        if row is None:
            _make_connection(parts, connector, name, auth, secrets)
        elif row.name == name and row.public.get("address") != parts.settings.demo_url:
            _move_connection(parts, row.id, name, auth, secrets)


def _make_connection(parts: Parts, connector: str, name: str, auth: str, secrets: Mapping[str, str]) -> None:
    connection_id = new_id("con")
    parts.database.write(
        lambda db: connections.create_connection(
            db,
            connection_id=connection_id,
            connector=connector,
            name=name,
            auth=auth,
            public={"address": parts.settings.demo_url},
            sealed=seal_secrets(parts.vault, connection_id, secrets),
            owner_id=None,
            now=parts.clock.now(),
            definition_hash=parts.registry.hash_of(connector),
        )
    )


def _move_connection(
    parts: Parts, connection_id: str, name: str, auth: str, secrets: Mapping[str, str]
) -> None:
    """The demo answers on another port than last time."""
    parts.database.write(
        lambda db: connections.update_connection(
            db,
            connection_id,
            name=name,
            auth=auth,
            public={"address": parts.settings.demo_url},
            sealed=seal_secrets(parts.vault, connection_id, secrets),
            now=parts.clock.now(),
        )
    )
    parts.connections.forget(connection_id)


# ------------------------------------------------------------------------------------- flows


def _import_missing(parts: Parts) -> dict[str, str]:
    """File name -> id, of the flows that are there now."""
    with parts.database.read() as db:
        loaded: dict[str, str] = server_values.get_value(db, _LOADED) or {}
    for file in sorted(Path(str(files("seed_data"))).joinpath("flows").glob("*.yaml")):
        if file.name in loaded:
            continue
        text = file.read_text(encoding="utf-8").replace("${demo_url}", parts.settings.demo_url)
        (one,) = from_text(text, file.name)
        loaded[file.name] = flow_commands.import_files(SHELL, parts, [one], on=True)[0].id
        kept = dict(loaded)
        parts.database.write(lambda db, kept=kept: server_values.put_value(db, _LOADED, kept))  # type: ignore[misc]
    with parts.database.read() as db:
        there = {row.id for row in flows.list_flows(db)}
    return {name: flow_id for name, flow_id in loaded.items() if flow_id in there}


def _point(parts: Parts, client: httpx.Client, flow_id: str, service: str, headers: dict[str, str]) -> None:
    url = f"{parts.settings.demo_url}/{service}/api/webhooks/plumbline"
    try:
        answer = client.put(
            url, json={"address": flow_commands.create_address(SHELL, parts, flow_id)}, headers=headers
        )
        answer.raise_for_status()
    except httpx.HTTPError as reason:
        raise Unavailable(
            f"The demo services do not answer at {parts.settings.demo_url}.",
            remedy="Start them with `plumbline demo`, or start everything with `plumbline serve --demo`.",
        ) from reason
