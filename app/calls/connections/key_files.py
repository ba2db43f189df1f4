"""Key files of service accounts: what a person pasted or uploaded, judged before it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from app.catalog.format.sign_in import ServiceAccountAuth


def objections(auth: ServiceAccountAuth, secrets: Mapping[str, str]) -> dict[str, str]:
    """Field -> what is wrong with it, in words that never quote the key."""
    found: dict[str, str] = {}
    if text := secrets.get("key_file", ""):
        document, found["key_file"] = _read(text)
        if not found["key_file"]:
            found["key_file"] = _of_file(document, auth)
    if key := secrets.get("private_key", ""):
        found["private_key"] = _of_key(key, auth)
    return {name: sentence for name, sentence in found.items() if sentence}


def pem_of(text: str) -> str:
    """As it stands in a file of its own: some paste it with the escapes of JSON."""
    return text.strip().strip('"').replace("\\n", "\n")


def _read(text: str) -> tuple[dict[str, Any], str]:
    if "-----BEGIN" in text[:80]:
        return {}, "This is the key alone. The whole JSON file is needed, from { to }."
    try:
        document = json.loads(text)
    except json.JSONDecodeError as reason:
        return {}, (
            f"This is not a complete JSON file: it cannot be read from line {reason.lineno}, "
            f"column {reason.colno} on. Paste everything from {{ to }}, or upload the file."
        )
    except (ValueError, RecursionError):
        return {}, "This is not a JSON file. Paste everything from { to }, or upload the file."
    if not isinstance(document, dict):
        return {}, "This is JSON, but not a key file: that begins with { and ends with }."
    return document, ""


def _of_file(document: Mapping[str, Any], auth: ServiceAccountAuth) -> str:
    if "installed" in document or "web" in document:
        return (
            "This file belongs to an OAuth client. The key of a service account is needed: its file says "
            "“type”: “service_account”."
        )
    wanted = ["private_key"] if auth.issuer else ["client_email", "private_key"]
    missing = [name for name in wanted if not isinstance(document.get(name), str) or not document[name]]
    if missing:
        return f"The file holds no “{missing[0]}”. Choose the JSON file that was downloaded with the key."
    return _of_key(document["private_key"], auth)


def _of_key(key: str, auth: ServiceAccountAuth) -> str:
    kind, name = (RSAKey, "an RSA") if auth.algorithm == "RS256" else (ECKey, "an EC")
    try:
        is_private = kind.import_key(pem_of(key)).is_private
    except (JoseError, ValueError, TypeError):
        is_private = False
    if is_private:
        return ""
    return f"The private key inside is not {name} key as a whole, from -----BEGIN to -----END."
