"""What was accepted, what the history says and what the service saw: compared call by call."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import orjson

from app.storage.tables.types import unpack
from tests.faults.flows import PEOPLE, body_of, kind_of, places_of, who_of
from tests.faults.target import Target
from tests.product import Product

# The last call of a run that was given up is on record as a step of which nobody knows the outcome.
_GIVEN_UP = """SELECT s.run_id || ':' || s.step_key FROM steps s JOIN runs r ON r.id = s.run_id
               WHERE s.state = 'unknown' AND r.state = 'dead'"""
OPEN = "('queued','running','waiting')"


def rows(product: Product, query: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(product.data_dir / "plumbline.db", timeout=30) as db:
        return db.execute(query).fetchall()


def wait_until_settled(product: Product, within_s: float) -> float:
    """Seconds until no run is open any more."""
    begun = time.monotonic()
    while time.monotonic() - begun < within_s:
        if rows(product, f"SELECT count(*) FROM runs WHERE state IN {OPEN}") == [(0,)]:
            return time.monotonic() - begun
        time.sleep(0.2)  # looking from outside, at another process
    raise AssertionError(rows(product, "SELECT state, reason, count(*) FROM runs GROUP BY 1, 2"))


@dataclass
class Ledger:
    """`given_up`: runs that were under way at three kills; they stand as dead, with that sentence."""

    runs: int
    calls: int
    repeated: int
    missing: list[tuple[int, str]] = field(default_factory=list)
    altered: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    given_up: set[int] = field(default_factory=set)
    other_ends: list[tuple[int, str, str]] = field(default_factory=list)


def read(product: Product, target: Target, accepted: set[int]) -> Ledger:
    """Compares events and runs with what was accepted."""
    query = "SELECT r.state, r.sentence, r.crashes, e.payload FROM runs r JOIN events e ON e.id = r.event_id"
    ledger = Ledger(0, sum(target.got.values()), sum(n - 1 for n in target.got.values()))
    found: Counter[int] = Counter()
    for state, sentence, crashes, stored in rows(product, query):
        payload = unpack(stored)
        order = int(orjson.loads(payload)["order"])
        found[order] += 1
        if payload != body_of(order):
            ledger.altered.append(order)
        if state == "dead" and crashes >= 3:
            ledger.given_up.add(order)
        elif state != "succeeded":
            ledger.other_ends.append((order, state, sentence))
    ledger.runs = sum(found.values())
    ledger.doubled = [order for order, number in found.items() if number > 1]
    expected = {(order, place) for order in set(found) - ledger.given_up for place in places_of(order)}
    ledger.missing = [(order, "no run") for order in accepted - set(found)]
    ledger.missing += sorted(place for place in expected if target.got[place] == 0)
    return ledger


def keys_that_changed(target: Target) -> list[object]:
    """Places that were called under several keys, keys that stood on several places, and keys under
    which different bodies came."""
    wrong: list[object] = [place for place, keys in target.keys.items() if len(keys) > 1]
    owners = Counter(key for keys in target.keys.values() for key in keys)
    wrong += [key for key, number in owners.items() if number > 1]
    wrong += [key for key, bodies in target.bodies.items() if len(bodies) > 1]
    return wrong


def history_against(product: Product, target: Target) -> dict[str, tuple[int, int, int]]:
    """Key -> (answered on record, seen by the service, on record), where these cannot be true together:
    a call on record without an answer may or may not have arrived; one with an answer has."""
    recorded: Counter[str] = Counter()
    answered: Counter[str] = Counter()
    for key, status in rows(product, "SELECT idempotency_key, status FROM calls"):
        recorded[str(key)] += 1
        answered[str(key)] += status is not None
    for (key,) in rows(product, _GIVEN_UP):
        recorded[str(key)] += 1
    seen = {key: target.got[place] for place, keys in target.keys.items() for key in keys}
    facts = {key: (answered[key], seen.get(key, 0), recorded[key]) for key in recorded.keys() | seen.keys()}
    return {key: fact for key, fact in facts.items() if not fact[0] <= fact[1] <= fact[2]}


def out_of_turn(target: Target, times: dict[int, tuple[float, float]]) -> list[tuple[int, int]]:
    """Pairs of orders of one person whose calls overlap, or that stand in the wrong order although the
    first was answered before the second was sent."""
    wrong = []
    for who in range(PEOPLE):
        spans = []
        for order in times:
            if kind_of(order) == "turns" and who_of(order) == who and target.got[order, "last"]:
                spans.append((target.moments[order, "first"][0], target.moments[order, "last"][1], order))
        spans.sort()
        for (_, end, earlier), (begin, _, later) in pairwise(spans):
            if begin < end or times[later][1] < times[earlier][0]:
                wrong.append((earlier, later))
    return wrong


def bodies_against(product: Product, target: Target) -> list[str]:
    """Keys whose body on record is not the one the service got."""
    query = "SELECT idempotency_key, request_body FROM calls WHERE request_body IS NOT NULL"
    return [
        key
        for key, stored in rows(product, query)
        if key in target.bodies and unpack(stored) not in target.bodies[key]
    ]
