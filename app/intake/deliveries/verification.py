"""Is a delivery genuine, and is it one at all: signatures and the handshakes of services."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence

import orjson

from app.catalog.format.definition import Handshake, HandshakeProof, Verify
from app.catalog.format.definition import WebhookTrigger as ServiceTrigger
from app.engine.runtime import Runtime
from app.errors import AppError, DeliveryRefused
from app.flows.mapping.values import as_text
from app.flows.model import ConnectorTrigger, Signature, WebhookTrigger
from app.intake.deliveries.inbound import Accepted, Inbound, MethodRefused
from app.intake.deliveries.places import value_at
from app.intake.deliveries.signatures import signature_of, verify

_LONGEST_SECRET = 1000
# Where nobody has to sign the question, what is asked to be signed must never be a delivery: who gets
# {"order": 1} signed here could send it to us as the service.
_TOKEN = re.compile(r"[A-Za-z0-9+/_.:-]{1,300}={0,2}")
_NO_SECRET = "Deliveries cannot be checked: the connection of this trigger holds no signing secret."  # noqa: S105


def check(
    runtime: Runtime,
    trigger: WebhookTrigger | ConnectorTrigger,
    inbound: Inbound,
    agreed: Sequence[str] = (),
) -> Accepted | None:
    """The answer when the request is a handshake.  Raises DeliveryRefused (401) for what is not
    genuine, and 405 for a method nobody waits for.  `agreed`: secrets that the service and Plumbline
    agreed on between themselves."""
    if isinstance(trigger, WebhookTrigger):
        if trigger.signature is not None:
            secrets = _secrets(runtime, trigger.signature.connection_id)
            _verify(runtime, trigger.signature, inbound, secrets, ())
        return None
    service = service_trigger(runtime, trigger)
    shake = next((one for one in service.handshakes if _is_handshake(one, inbound)), None)
    if shake is None and inbound.method not in ("POST", "PUT"):
        raise MethodRefused(inbound.method, ("POST",))
    if shake is None or (shake.signed and service.verify.scheme != "none"):
        _check_sender(runtime, trigger, service.verify, inbound, agreed)
    return None if shake is None else _answer(runtime, trigger, shake, inbound)


def service_trigger(runtime: Runtime, trigger: ConnectorTrigger) -> ServiceTrigger:
    found = runtime.registry.find_trigger(trigger.connector, trigger.trigger)
    if not isinstance(found, ServiceTrigger):
        raise DeliveryRefused(
            f"The trigger “{trigger.trigger}” of “{trigger.connector}” is not installed here any more.",
            status=409,
            remedy="Install the connector again, or choose another trigger.",
        )
    return found


# ----------------------------------------------------------------------------------- signatures


def _check_sender(
    runtime: Runtime, trigger: ConnectorTrigger, block: Verify, inbound: Inbound, agreed: Sequence[str]
) -> None:
    """Without a secret nothing is taken, unless somebody chose to for this flow."""
    if block.scheme == "none":
        return
    secrets = _secrets(runtime, trigger.connection_id) if trigger.connection_id else {}
    if not secrets.get(block.secret) and not agreed:
        if trigger.accept_unsigned:
            return
        raise DeliveryRefused(_NO_SECRET, status=401, remedy="Add the secret to the connection.")
    _verify(runtime, block, inbound, secrets, agreed)


def _secrets(runtime: Runtime, connection_id: str) -> Mapping[str, str]:
    try:
        return runtime.connections.get(connection_id).secrets
    except AppError as reason:
        raise DeliveryRefused(_NO_SECRET, status=401, remedy="Choose another connection.") from reason


def _verify(
    runtime: Runtime,
    block: Verify | Signature,
    inbound: Inbound,
    secrets: Mapping[str, str],
    agreed: Sequence[str],
) -> None:
    query = f"?{inbound.query}" if inbound.query else ""
    verify(
        block,
        method=inbound.method,
        url=f"{runtime.settings.base_url}{inbound.path}{query}",
        headers=inbound.by_name,
        body=inbound.body,
        secrets=secrets,
        agreed=agreed,
        now=inbound.received_at,
    )


# ----------------------------------------------------------------------------------- handshakes


def _is_handshake(shake: Handshake, inbound: Inbound) -> bool:
    if shake.method != inbound.method:
        return False
    return all(as_text(value_at(place, inbound)) == wanted for place, wanted in shake.when.items())


def _proof(runtime: Runtime, trigger: ConnectorTrigger, proof: HandshakeProof, asked: str) -> str:
    """JSON with what was asked, signed: only who knows the secret can answer so."""
    secrets = _secrets(runtime, trigger.connection_id) if trigger.connection_id else {}
    secret = secrets.get(proof.secret, "")
    if not secret:
        raise DeliveryRefused(_NO_SECRET, status=401, remedy="Add the secret to the connection.")
    if not _TOKEN.fullmatch(asked):
        raise DeliveryRefused("What this handshake asks to be signed is no token, so it was not.", status=401)
    signed = signature_of(secret, asked.encode("utf-8", "replace"), "sha256", proof.encoding)
    plain = {proof.plain_as: asked} if proof.plain_as else {}
    return orjson.dumps({**plain, proof.signed_as: proof.prefix + signed}).decode()


def _answer(runtime: Runtime, trigger: ConnectorTrigger, shake: Handshake, inbound: Inbound) -> Accepted:
    if shake.token is not None:
        secrets = _secrets(runtime, trigger.connection_id) if trigger.connection_id else {}
        wanted = secrets.get(shake.token.secret, "")
        given = as_text(value_at(shake.token.place, inbound))
        if not wanted or not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            raise DeliveryRefused("The token of this handshake is not that of the connection.", status=401)
    reply = as_text(value_at(shake.answer, inbound)) if shake.answer else ""
    if shake.proof is not None:
        reply = _proof(runtime, trigger, shake.proof, reply)
    echo = {}
    if shake.echo_header and (sent := inbound.by_name.get(shake.echo_header.lower())):
        echo = {shake.echo_header: sent[:1000]}
    secret = as_text(value_at(shake.keeps, inbound)) if shake.keeps else ""
    return Accepted(
        200,
        inbound.delivery_id,
        state="handshake",
        reply=reply.encode("utf-8", "replace")[:10_000],
        reply_type="application/json" if shake.proof is not None else "text/plain; charset=utf-8",
        reply_headers=echo,
        secret=secret[:_LONGEST_SECRET],
    )
