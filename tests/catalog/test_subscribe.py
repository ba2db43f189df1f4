"""What a connector may say about how its service is told where to send."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.catalog.format.subscribe import Subscribe

CREATE = {"method": "POST", "path": "/hooks", "body": {"url": "${subscription.address}"}}
THEN = {"method": "GET", "path": "/hooks/${subscription.id | path}/secret"}
REMOVE = {"method": "DELETE", "path": "/hooks/${subscription.id | path}"}


def subscribe(**more: Any) -> Subscribe:
    parts = {"directions": "Enter the address.", "create": CREATE, "remove": REMOVE, **more}
    return Subscribe.model_validate(parts)


def test_what_is_asked_after_it_was_made_is_one_of_its_requests() -> None:
    made = subscribe(then=THEN, id="$.id", secret="$.secret")
    assert list(made.requests) == ["create", "then", "remove"]


@pytest.mark.parametrize(
    "places",
    [{"id": "$.id"}, {"secret": "$.secret"}, {"id": "$.id", "secret": "given"}],
    ids=["no place of the secret", "no id to ask with", "a secret that is known already"],
)
def test_asking_for_a_secret_needs_an_id_and_a_place_where_it_stands(places: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="both have to be places in answers"):
        subscribe(then=THEN, **places)


def test_nothing_is_asked_afterwards_where_nothing_is_made() -> None:
    with pytest.raises(ValidationError, match="there is no create"):
        subscribe(create=None, remove=None, then=THEN)
