"""Is an inbound request genuine?  Checked over the bytes as they came; every doubt refuses.

One configurable check covers nearly all services: which header, how it is encoded, what is signed.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from urllib.parse import parse_qs, parse_qsl, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from app.catalog.format.definition import Verify
from app.errors import DeliveryRefused
from app.flows.mapping.values import as_moment
from app.flows.model import Signature

_STANDARD_PREFIXES = ("webhook-", "svix-")
_STANDARD_SECRET = "whsec_"  # noqa: S105 - how such secrets begin
_MILLISECONDS_FROM = 100_000_000_000
_TIMESTAMP = re.compile(r"\d{1,16}")
_WORD = re.compile(r"\{(body|timestamp|id|method|url|form)\}")
_MOST_FIELDS = 5_000
_DECODED_IN_URLS = {  # HubSpot signs the address with these characters as themselves
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
_ESCAPE = re.compile("|".join(_DECODED_IN_URLS), re.IGNORECASE)

_SHA256 = hashes.SHA256()
_NOTHING = dict.fromkeys(("body", "timestamp", "id", "method", "url", "form"), b"")

Headers = Mapping[str, str] | Sequence[tuple[str, str]]


def verify(
    block: Verify | Signature,
    *,
    method: str,
    url: str,
    headers: Headers,
    body: bytes,
    secrets: Mapping[str, str],
    now: datetime,
    agreed: Sequence[str] = (),
) -> None:
    """Raises DeliveryRefused (401).  `url`: the public address the sender used.  `secrets`: those
    of the connection; besides the secret itself, `previous_<name>` counts while it is rotated.
    `agreed`: further ones, that the service got from us or we from it."""
    if block.scheme == "none":
        return
    given = _by_name(headers)
    key = (block.secret if isinstance(block, Verify) else "") or "secret"
    candidates = _candidates(secrets, key, agreed)
    if block.scheme == "standard_webhooks":
        _verify_standard(given, body, candidates, block.max_age_s, now)
    elif block.scheme == "token":
        _verify_token(block, given, candidates)
    elif block.scheme == "basic":
        _verify_basic(block, given, candidates)
    elif block.scheme == "ecdsa_p256":
        _verify_ecdsa(block, given, body, candidates, now)
    else:
        _verify_hmac(block, method, url, given, body, candidates, now)


def _by_name(headers: Headers) -> dict[str, str]:
    rows = headers.items() if isinstance(headers, Mapping) else headers
    return {name.lower(): value.strip() for name, value in rows}


def _candidates(secrets: Mapping[str, str], key: str, agreed: Sequence[str]) -> list[str]:
    found = [*agreed, secrets.get(key, ""), secrets.get(f"previous_{key}", "")]
    if not any(found):
        raise _refuse("No signing secret is stored for this address yet, so nothing can be accepted.")
    return [secret for secret in found if secret]


def _refuse(sentence: str) -> DeliveryRefused:
    return DeliveryRefused(
        sentence,
        status=401,
        remedy="Compare the signing secret in the connection with the one the sender shows.",
    )


# ------------------------------------------------------------------------------- keyed signatures


def _verify_hmac(
    block: Verify | Signature,
    method: str,
    url: str,
    given: Mapping[str, str],
    body: bytes,
    candidates: Sequence[str],
    now: datetime,
) -> None:
    signatures = _signatures(block, given)
    timestamp = _timestamp(block, given)
    if block.timestamp_header:
        _check_age(_seconds(block, timestamp), block.max_age_s, now)
    identity = given.get(block.id_header.lower(), "") if block.id_header else ""
    form = _form(given, body, url) if "{form}" in block.message else b""
    for address in dict.fromkeys((url, _ESCAPE.sub(lambda found: _DECODED_IN_URLS[found[0].upper()], url))):
        parts = {
            "body": body,
            "timestamp": timestamp.encode(),
            "id": identity.encode("utf-8", "replace"),
            "method": method.upper().encode(),
            "url": address.encode("utf-8", "replace"),
            "form": form,
        }
        message = signed_message(block.message, parts)
        for secret in candidates:
            expected = signature_of(secret, message, block.algorithm, block.encoding)
            if _matches(signatures, expected.encode(), block.encoding):
                return
    raise _refuse(f"The signature in {block.header} does not fit this request and its secret.")


def signed_message(template: str, parts: Mapping[str, bytes]) -> bytes:
    """The template with its words replaced; what is put in is never looked at again."""
    pieces = _WORD.split(template)
    return b"".join(
        parts[piece] if at % 2 else piece.encode("utf-8", "replace") for at, piece in enumerate(pieces)
    )


def _signatures(block: Verify | Signature, given: Mapping[str, str]) -> list[str]:
    """What stands in the header after the prefix; several, where the sender signs with several."""
    value = given.get(block.header.lower(), "")
    if not value:
        raise _refuse(f"The header {block.header} with the signature is missing.")
    if not block.prefix:
        return [value]
    entries = [value, *re.split(r"[,\s]+", value)]
    found = [one[len(block.prefix) :] for one in entries if one.startswith(block.prefix)]
    if not found:
        raise _refuse(f"The signature in {block.header} does not begin with “{block.prefix}”.")
    return found


def _timestamp(block: Verify | Signature, given: Mapping[str, str]) -> str:
    """In a header of its own, or as `t=` beside the signature."""
    if not block.timestamp_header:
        return ""
    value = given.get(block.timestamp_header.lower(), "")
    if block.timestamp_header.lower() == block.header.lower():
        value = next((one[2:] for one in re.split(r"[,\s]+", value) if one.startswith("t=")), "")
    is_iso = isinstance(block, Verify) and block.timestamp_unit == "iso"
    if as_moment(value) is None if is_iso else not _TIMESTAMP.fullmatch(value):
        raise _refuse(f"The time stamp in {block.timestamp_header} is missing or is not a time.")
    return value


def _seconds(block: Verify | Signature, timestamp: str) -> float:
    """The moment of the time stamp, in seconds since 1970."""
    if isinstance(block, Verify) and block.timestamp_unit == "iso":
        moment = as_moment(timestamp)
        return moment.timestamp() if moment is not None else 0.0
    if isinstance(block, Verify):
        return int(timestamp) / (1000.0 if block.timestamp_unit == "ms" else 1.0)
    return int(timestamp) / (1000.0 if int(timestamp) > _MILLISECONDS_FROM else 1.0)


def _check_age(moment_s: float, max_age_s: float, now: datetime) -> None:
    age = now.timestamp() - moment_s
    if abs(age) > max_age_s:
        when = "too old" if age > 0 else "in the future"
        raise _refuse(f"The time stamp of this request is {when}: more than {max_age_s:g} seconds off.")


def signature_of(secret: str, message: bytes, algorithm: str, encoding: str) -> str:
    digest = hmac.new(secret.encode(), message, algorithm).digest()
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()


def _form(given: Mapping[str, str], body: bytes, url: str) -> bytes:
    """The fields in order of their names.  The hash of what is no form stands in the address."""
    if given.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError as reason:
            raise _refuse("The form in the body cannot be read.") from reason
        return "".join(name + value for name, value in sorted(pairs)).encode("utf-8", "replace")
    named = parse_qs(urlsplit(url).query, errors="replace").get("bodySHA256", [""])[0].lower()
    if body and not hmac.compare_digest(named.encode(), sha256(body).hexdigest().encode()):
        raise _refuse("The hash of the body in the address does not fit the body.")
    return b""


def _matches(signatures: Iterable[str], expected: bytes, encoding: str) -> bool:
    """Looks at all of them, each in the same time."""
    same = False
    for signature in signatures:
        text = signature.lower() if encoding == "hex" else signature
        same |= hmac.compare_digest(text.encode("utf-8", "replace"), expected)
    return same


# ---------------------------------------------------------------------------------- public keys


def _verify_ecdsa(
    block: Verify | Signature, given: Mapping[str, str], body: bytes, candidates: Sequence[str], now: datetime
) -> None:
    """The secret is the sender's public key (P-256), as it is shown: base64 of its DER form."""
    signature = _signatures(block, given)[0]
    timestamp = _timestamp(block, given)
    if block.timestamp_header:
        _check_age(_seconds(block, timestamp), block.max_age_s, now)
    message = signed_message(block.message, {**_NOTHING, "body": body, "timestamp": timestamp.encode()})
    for key in candidates:
        try:
            _public_key(key).verify(base64.b64decode(signature, validate=True), message, ECDSA(_SHA256))
        except (InvalidSignature, ValueError):
            continue
        return
    raise _refuse(f"The signature in {block.header} does not fit this request and its public key.")


def _public_key(text: str) -> EllipticCurvePublicKey:
    """Raises ValueError for what is none."""
    key = load_der_public_key(base64.b64decode("".join(text.split()), validate=True))
    if not isinstance(key, EllipticCurvePublicKey):
        raise ValueError("not a key of an elliptic curve")
    return key


# ------------------------------------------------------------------------- tokens, Standard Webhooks


def _verify_basic(block: Verify | Signature, given: Mapping[str, str], candidates: Sequence[str]) -> None:
    """The name and password that a sender gives to every web server."""
    scheme, _, packed = given.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not packed:
        raise _refuse("The header Authorization with name and password is missing.")
    expected = [base64.b64encode(f"{block.username}:{secret}".encode()) for secret in candidates]
    if not any([_matches([packed.strip()], one, "token") for one in expected]):  # noqa: C419 - all
        raise _refuse("The name and password of this request are not those stored here.")


def _verify_token(block: Verify | Signature, given: Mapping[str, str], candidates: Sequence[str]) -> None:
    value = given.get(block.header.lower(), "")
    if not value:
        raise _refuse(f"The header {block.header} with the token is missing.")
    tokens = [value.removeprefix(block.prefix)] if value.startswith(block.prefix) else []
    if not any([_matches(tokens, secret.encode(), "token") for secret in candidates]):  # noqa: C419 - all
        raise _refuse(f"The token in {block.header} is not the one stored here.")


def _verify_standard(
    given: Mapping[str, str], body: bytes, candidates: Sequence[str], max_age_s: float, now: datetime
) -> None:
    """The Standard Webhooks specification, symmetric signatures (`v1`)."""
    prefix = next((one for one in _STANDARD_PREFIXES if f"{one}signature" in given), "webhook-")
    identity, timestamp, signature = (
        given.get(f"{prefix}{name}", "") for name in ("id", "timestamp", "signature")
    )
    if not identity or not signature or not _TIMESTAMP.fullmatch(timestamp):
        raise _refuse(f"One of the headers {prefix}id, {prefix}timestamp and {prefix}signature is missing.")
    _check_age(float(timestamp), max_age_s, now)
    message = b".".join([identity.encode("utf-8", "replace"), timestamp.encode(), body])
    signatures = [one[3:] for one in signature.split() if one.startswith("v1,")]
    for secret in candidates:
        digest = hmac.new(_standard_key(secret), message, "sha256").digest()
        if _matches(signatures, base64.b64encode(digest), "base64"):
            return
    raise _refuse(f"The signature in {prefix}signature does not fit this request and its secret.")


def _standard_key(secret: str) -> bytes:
    text = secret.strip().removeprefix(_STANDARD_SECRET)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as reason:
        raise _refuse("The signing secret stored here is not one of Standard Webhooks (whsec_…).") from reason
    if not key:
        raise _refuse("The signing secret stored here is empty.")
    return key
