"""The flows that the tests of faults run: how they are described, and which calls an order means."""

from __future__ import annotations

import random
from typing import Any

import orjson

from tests.product import Product

SIZES = (0, 0, 0, 700, 5_000, 60_000)  # bytes of padding; most events are small
STEPS = ("one", "two", "three")
KINDS = ("chain", "loop", "delay", "turns")
PEOPLE = 12


def call(port: int, path: str, *, name: str, **body: str) -> dict[str, Any]:
    """A web request that may be repeated, with the order's number in its body."""
    fields = {"order": "{{trigger:$['order']}}", "check": "{{trigger:$['check']}}", **body}
    return {
        "kind": "http",
        "id": name,
        "repeat": "safe",
        "request": {
            "method": "POST",
            "url": f"http://127.0.0.1:{port}/{path}",
            "body_kind": "json",
            "body": [{"name": key, "mapping": value} for key, value in fields.items()],
        },
    }


def steps_of(kind: str, port: int) -> list[dict[str, Any]]:
    if kind == "loop":
        inner = call(port, "loop", name="each_call", item="{{each:$['item']}}")
        items = "{{trigger:$['items']}}"
        loop = {"kind": "for_each", "id": "each", "items": items, "concurrency": 2, "steps": [inner]}
        return [loop, call(port, "loop_end", name="after")]
    if kind == "delay":
        wait = {"kind": "delay", "id": "pause", "mode": "for", "amount": "1", "unit": "seconds"}
        return [call(port, "before", name="before"), wait, call(port, "after", name="after")]
    if kind == "turns":
        return [call(port, "first", name="first"), call(port, "last", name="last")]
    return [call(port, name, name=name) for name in STEPS]


def flow_file(name: str, steps: list[dict[str, Any]], **more: Any) -> bytes:
    flow = {"format": 1, "name": name, "trigger": {"kind": "webhook"}, "steps": steps, **more}
    return orjson.dumps(flow)


def file_of(kind: str, port: int) -> bytes:
    more = {"one_by_one": "{{trigger:$['who']}}"} if kind == "turns" else {}
    return flow_file(kind, steps_of(kind, port), **more)


def install(product: Product, *contents: bytes) -> list[str]:
    """The addresses of the flows' hooks; they are published and on."""
    file = product.folder / "flows.json"
    file.write_bytes(b"[" + b",".join(contents) + b"]")
    printed = product.command("flows", "import", str(file), "--publish", "--on", "--json")
    return [str(one["hook_url"]) for one in orjson.loads(printed)]


def install_each_kind(product: Product, port: int) -> dict[str, str]:
    addresses = install(product, *(file_of(kind, port) for kind in KINDS))
    return dict(zip(KINDS, addresses, strict=True))


# ------------------------------------------------------------------------------------- orders


def kind_of(order: int) -> str:
    return KINDS[order % len(KINDS)]


def who_of(order: int) -> int:
    """Whose orders are taken one at a time."""
    return order // len(KINDS) % PEOPLE


def body_of(order: int) -> bytes:
    """The same bytes for the same order, whenever it is asked."""
    chance = random.Random(order)
    pad = chance.choice(SIZES)
    body = {
        "order": order,
        "check": f"{chance.getrandbits(64):x}",
        "who": f"person {who_of(order)}",
        "items": [f"i{number}" for number in range(items_of(order))],
        "pad": f"{chance.getrandbits(64):x}" * (pad // 16),
    }
    return orjson.dumps(body)


def items_of(order: int) -> int:
    return order // len(KINDS) % 4


def places_of(order: int) -> list[str]:
    """The calls that an accepted order means."""
    kind = kind_of(order)
    if kind == "loop":
        return [f"loop/i{number}" for number in range(items_of(order))] + ["loop_end"]
    return {"delay": ["before", "after"], "turns": ["first", "last"]}.get(kind, list(STEPS))
