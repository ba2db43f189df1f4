"""Everything that can go wrong, in one tree; each error is a sentence a marketer understands.

AppError
├── SettingInvalid        the server's configuration is wrong: start is refused
├── FlowInvalid           a flow (or flow file) that may not be saved or published
├── MappingFailed         a field could not be filled from the data
├── ConnectorInvalid      a connector file that cannot be loaded
├── DeliveryRefused       an inbound HTTP request that was not accepted
├── CallFailed            an outgoing HTTP call that did not succeed
├── ConnectionBroken      a connection whose credentials no longer work
├── NotAllowed            this person may not do that
├── NotFound              nothing of that id is here
├── Stale                 somebody else changed it in the meantime
└── Unavailable           the server cannot accept anything now (database away, disk low)
"""

from __future__ import annotations

from typing import Literal, get_args

ErrorKind = Literal[
    "rate_limited",
    "unavailable",
    "auth_expired",
    "permission_missing",
    "invalid_payload",
    "not_found",
    "conflict",
    "gone",
]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


class AppError(Exception):
    """`kind` is for machines, `sentence` and `remedy` for people, `ids` say what it is about."""

    kind: str = "error"

    def __init__(self, sentence: str, *, remedy: str = "", **ids: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.ids = ids

    def __str__(self) -> str:
        about = " ".join(f"{name}={value}" for name, value in self.ids.items())
        return f"{self.sentence} [{about}]" if about else self.sentence


class SettingInvalid(AppError):
    kind = "setting_invalid"


class FlowInvalid(AppError):
    """`where` names the place: a file, a step, a field (`steps.s2.input.email`)."""

    kind = "flow_invalid"

    def __init__(self, sentence: str, *, where: str = "", remedy: str = "", **ids: str) -> None:
        super().__init__(f"{where}: {sentence}" if where else sentence, remedy=remedy, **ids)
        self.where = where
        self.reason = sentence


class MappingFailed(AppError):
    """`field` is the input field that stays empty, `reference` the mapping that found nothing."""

    kind = "invalid_payload"

    def __init__(self, sentence: str, *, field: str = "", reference: str = "", remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.field = field
        self.reference = reference


class ConnectorInvalid(AppError):
    kind = "connector_invalid"

    def __init__(self, sentence: str, *, file: str, field: str = "", remedy: str = "") -> None:
        super().__init__(f"{file}: {field}: {sentence}" if field else f"{file}: {sentence}", remedy=remedy)
        self.file = file
        self.field = field
        self.reason = sentence


class DeliveryRefused(AppError):
    """`status` is the HTTP status the sender gets (4xx)."""

    kind = "delivery_refused"

    def __init__(self, sentence: str, *, status: int = 400, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.status = status


class CallFailed(AppError):
    """One of the eight closed kinds; the engine decides what follows, never the connector.

    `wait_s`: seconds the service asked us to wait, if it did.  `ambiguous`: the request may have
    reached the service although no answer came back.  `permanent`: trying again cannot help.
    `is_ours`: a mistake of Plumbline's own.
    """

    def __init__(
        self,
        kind: ErrorKind,
        sentence: str,
        *,
        remedy: str = "",
        status: int | None = None,
        wait_s: float | None = None,
        ambiguous: bool = False,
        permanent: bool | None = None,
        is_ours: bool = False,
        **ids: str,
    ) -> None:
        super().__init__(sentence, remedy=remedy, **ids)
        self.kind: ErrorKind = kind
        self.status = status
        self.wait_s = wait_s
        self.ambiguous = ambiguous
        self.is_ours = is_ours
        self.permanent = (
            permanent if permanent is not None else kind not in ("rate_limited", "unavailable", "conflict")
        )


class ConnectionBroken(AppError):
    kind = "auth_expired"


class NotAllowed(AppError):
    kind = "not_allowed"


class NotFound(AppError):
    kind = "not_found"


class Stale(AppError):
    kind = "stale"


class Unavailable(AppError):
    """`retry_after_s`: when the sender may try again, in seconds."""

    kind = "unavailable"

    def __init__(self, sentence: str, *, retry_after_s: int = 30, remedy: str = "") -> None:
        super().__init__(sentence, remedy=remedy)
        self.retry_after_s = retry_after_s
