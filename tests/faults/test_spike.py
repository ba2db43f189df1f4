"""More webhooks than can be worked on at once: all are accepted, none is lost, none is done twice.

How fast that goes is measured by benchmarks/spike.py.
"""

from __future__ import annotations

from pathlib import Path

from tests.faults import ledger
from tests.faults.flows import install_each_kind, places_of
from tests.faults.senders import Senders
from tests.faults.target import Target
from tests.product import Product

ORDERS, AT_ONCE = 150, 10


def test_a_spike_on_a_slow_service_is_accepted_whole_and_worked_off(tmp_path: Path) -> None:
    target = Target(0.1)
    settings = {"allow_targets": f"127.0.0.1:{target.port}", "concurrency": str(AT_ONCE)}
    product = Product(tmp_path, settings)
    addresses = install_each_kind(product, target.port)
    product.start()
    senders = Senders(addresses)
    senders.allow(ORDERS)
    senders.wait_for(ORDERS)
    senders.stop()
    ledger.wait_until_settled(product, 120)
    product.stop()
    target.close()
    assert (senders.wrong, senders.refused, senders.unanswered) == ([], 0, 0)
    assert dict(target.got) == {(order, place): 1 for order in senders.accepted for place in places_of(order)}
    assert ledger.history_against(product, target) == {}
