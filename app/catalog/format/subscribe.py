"""How a service is told where to send what happens: asked for, looked after, and ended again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from app.catalog.format.paging import Paginate
from app.catalog.format.request import Request
from app.catalog.format.values import Duration, JsonPath, Model, Place, Words
from app.catalog.templates import references_in


class Look(Model):
    """Whether the service still has it.  `items`: '' = the answer is the one.  `address`: where in an
    item the address stands that it sends to; `tag`: where the name stands that it was made with.
    `where`: what one that works has."""

    request: Request
    paginate: Paginate | None = None
    items: JsonPath | Literal[""] = ""
    address: JsonPath | Literal[""] = ""
    tag: JsonPath | Literal[""] = ""
    id: JsonPath | Literal[""] = ""
    where: dict[JsonPath, str] = {}

    @property
    def finds(self) -> bool:
        """Without knowing what the service calls it."""
        parts = [self.request.path, self.request.query, self.request.body]
        named = any(one.root == "subscription" and one.path == ("id",) for one in references_in(parts))
        return bool(self.address or self.tag) and not named


class Subscribe(Model):
    """`directions`: what a person does at the service, where Plumbline cannot or may not do it.

    `create` is sent when the flow goes on; `${subscription.address}` is where to send, `.tag` a name
    that no other has, `.secret` what Plumbline makes up when `secret` says `given`.  Else `secret` is
    the place in the answer where the service names one; '' = that of the connection.  `id`, `expires`:
    places in the answer; `lasts`: where it says no moment.  `then`: what comes right after
    `create`, with the id; the secret is then in its answer.  `ask`: a request that comes before the
    others, whose answer is `${asked}`.  `same_twice`: a second `create` leaves one.  `only_one`: the
    account can have one at a time.  `renew`: before it ends; without it a new one is made first."""

    directions: Words
    ask: Request | None = None
    create: Request | None = None
    then: Request | None = None
    id: Place | Literal[""] = ""
    secret: Place | Literal["", "given"] = ""
    expires: Place | Literal[""] = ""
    lasts: Duration | None = None
    same_twice: bool = False
    only_one: bool = False
    renew: Request | None = None
    look: Look | None = None
    every: Duration = Field(default=6 * 3600.0, ge=600)
    remove: Request | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Subscribe:
        if self.create is None:
            others = ("ask", "then", "id", "secret", "expires", "lasts", "renew", "look", "remove")
            if used := [name for name in others if getattr(self, name)]:
                raise ValueError(f"{used[0]} says something about a subscription, but there is no create")
            return self
        if self.remove is None:
            raise ValueError("there is a create but no remove: a flow that goes off would still be sent to")
        if self.then is not None and not (self.id and self.secret and not self.makes_secret):
            raise ValueError("then asks for the secret by the id: both have to be places in answers")
        if any(request is not None and request.next_on for request in self.requests.values()):
            raise ValueError("a subscription has one request for each purpose: next_on cannot stand here")
        return self

    @property
    def makes_secret(self) -> bool:
        """Plumbline makes it up and tells the service."""
        return self.secret == "given"  # noqa: S105 - a word of the format

    @property
    def requests(self) -> dict[str, Request]:
        """By purpose, those there are."""
        look = self.look.request if self.look is not None else None
        found = {"ask": self.ask, "create": self.create, "then": self.then, "renew": self.renew}
        found |= {"look": look, "remove": self.remove}
        return {name: request for name, request in found.items() if request is not None}
