"""What our connectors send, held against what the vendors publish."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.calls.message.call import Ready
from app.catalog.registry import Registry
from tests.connectors.wire import requests_of
from tests.contracts.documents import is_there, load
from tests.contracts.strict import Sent, violations
from tests.contracts.vendors import CONTRACTS, Contract
from tests.needs import material

pytestmark = pytest.mark.contracts
REGISTRY = Registry([("bundled", Path(__file__).parents[2] / "connectors")])


def sent(ready: Ready) -> Sent:
    return Sent(ready.method, ready.url, ready.headers, ready.body)


def contract_of(key: str) -> Contract:
    contract = CONTRACTS[key]
    for name in contract.documents:
        if not is_there(name):
            material(f"specs/{name}")
    return contract


def complaints(contract: Contract, request: Sent) -> list[str]:
    """Of the document that knows the path, else of the last one."""
    found: list[str] = []
    bases = contract.bases or (contract.base,) * len(contract.documents)
    for name, base in zip(contract.documents, bases, strict=True):
        found = violations(load(name), base, request, waived=contract.waived)
        found = [one for one in found if not one.startswith(tuple(contract.undocumented))]
        if not any(one.startswith("path: ") for one in found):
            return found
    return found


@pytest.mark.parametrize("key", CONTRACTS)
def test_every_request_of_a_connector_keeps_to_the_vendors_document(key: str) -> None:
    contract = contract_of(key)
    wrong: dict[str, list[str]] = {}
    for name, ready in requests_of(REGISTRY.get(key)):
        found = complaints(contract, sent(ready))
        if name in contract.absent:
            assert any(one.startswith("path: ") for one in found), f"{name} is in a document after all"
        elif found:
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize("key", CONTRACTS)
def test_every_operation_that_no_document_holds_is_named_with_a_reason(key: str) -> None:
    names = {name for name, _ in requests_of(REGISTRY.get(key))}
    assert set(CONTRACTS[key].absent) <= names
    assert all(len(reason) > 20 for reason in CONTRACTS[key].absent.values())


def test_every_bundled_connector_is_held_to_a_document_or_says_that_there_is_none() -> None:
    assert set(REGISTRY.keys()) == set(CONTRACTS)
    for key, contract in CONTRACTS.items():
        readme = REGISTRY.readme_of(key)
        connector = REGISTRY.get(key)
        assert bool(connector.api.contract) == bool(contract.documents), key
        if not contract.documents:
            assert readme is not None
            assert "written from documentation" in readme.read_text(), key
