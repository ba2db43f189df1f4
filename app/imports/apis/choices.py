"""What a person says about a draft before it is made."""

from __future__ import annotations

from dataclasses import dataclass

SIGN_INS = ("", "none", "bearer", "basic", "header", "query")


@dataclass(frozen=True)
class Choices:
    """`server`: the address to use; `auth`: how one signs in, where the document does not say, with the
    name of the header or parameter in `auth_name`."""

    key: str = ""
    name: str = ""
    server: str = ""
    auth: str = ""
    auth_name: str = ""
