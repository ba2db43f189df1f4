"""How fast a connection may be used: what its connector says, and the numbers somebody set for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.catalog.format.definition import Limit

# Mailchimp's documented number, the lowest of the services connectors exist for.  At a quarter of a
# second each these are 40 calls a second, which is above nearly all documented rates.
AT_ONCE = 10
MOST_AT_ONCE = 500
MOST_OWN = 5
LONGEST_PER_S = 31 * 86400
MOST_CALLS = 100_000_000


@dataclass(frozen=True)
class Pace:
    """`changed`: other numbers for limits of the connector, by key.  `own`: further limits, which hold
    for every call."""

    at_once: int = AT_ONCE
    changed: Mapping[str, int] = field(default_factory=dict)
    own: tuple[Limit, ...] = ()
    _known: dict[tuple[str, ...], tuple[Limit, ...]] = field(default_factory=dict, compare=False, repr=False)

    def limits(self, given: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """The windows a call counts in.  `given`: those its connector names."""
        if not self.changed and not self.own:
            return given
        keys = tuple(limit.key for limit in given)
        if (known := self._known.get(keys)) is None:
            known = self._known[keys] = (*self.changed_limits(given), *self.own)
        return known

    def changed_limits(self, given: tuple[Limit, ...]) -> tuple[Limit, ...]:
        """The connector's with the numbers somebody set."""
        return tuple(self._changed(limit) for limit in given)

    def _changed(self, limit: Limit) -> Limit:
        return limit.model_copy(update={"requests": self.changed.get(limit.key, limit.requests)})


PLAIN = Pace()


def own_limit(requests: int, per_s: float) -> Limit:
    return Limit.model_construct(key="own", requests=requests, per=per_s, default=True)


def read_pace(kept: Any, at_once: int | None = None) -> Pace:
    """`kept`: the numbers on record, if there are any; those that make no sense count for nothing.
    `at_once`: what the connector says."""
    usual = at_once or AT_ONCE
    if not kept or not isinstance(kept, Mapping):
        return PLAIN if usual == AT_ONCE else Pace(usual)
    changed = kept.get("changed")
    numbers = {
        str(key): found
        for key, number in (changed.items() if isinstance(changed, Mapping) else ())
        if (found := _whole(number, MOST_CALLS))
    }
    return Pace(_whole(kept.get("at_once"), MOST_AT_ONCE) or usual, numbers, _own(kept.get("own")))


def _own(kept: Any) -> tuple[Limit, ...]:
    """Of two numbers for one length the smaller holds."""
    windows: dict[float, int] = {}
    for one in kept if isinstance(kept, list) else ():
        number, per_s = one if isinstance(one, list) and len(one) == 2 else (None, None)
        length = float(per_s) if isinstance(per_s, int | float) and per_s < 1e9 else 0.0
        if 1 <= length <= LONGEST_PER_S and (found := _whole(number, MOST_CALLS)):
            windows[length] = min(found, windows.get(length, found))
    return tuple(own_limit(number, per_s) for per_s, number in windows.items())


def _whole(value: Any, most: int) -> int | None:
    return value if isinstance(value, int) and 1 <= value <= most else None


def write_pace(at_once: int | None, changed: Mapping[str, int], own: Iterable[tuple[int, float]]) -> Any:
    """What is kept; None where nobody set anything."""
    kept: dict[str, Any] = {"changed": dict(changed), "own": [list(one) for one in own]}
    if at_once:
        kept["at_once"] = at_once
    return {name: value for name, value in kept.items() if value} or None
