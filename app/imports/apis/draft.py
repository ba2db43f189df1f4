"""A whole document as a draft of a connector: what can be used, what cannot and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from app.imports.apis.choices import Choices
from app.imports.apis.described import check_document, described
from app.imports.apis.head import head_of
from app.imports.apis.operations import DraftOperation, OperationMaker, at_of, drop_faulty
from app.imports.apis.references import References
from app.imports.apis.servers import MOST_OTHERS, Base, base_of, commonest, is_fixed, path_between, servers_of
from app.imports.apis.shapes import Shapes
from app.imports.apis.sign_in import SignIn

__all__ = ["Draft", "DraftOperation", "draft_of"]


@dataclass
class Draft:
    """`head`: connector.yaml.  `wanted`: addresses the document refers to that were not at hand.
    `secrets`: values that stood in what was given, by connection field; never part of a file."""

    key: str
    name: str
    head: dict[str, Any]
    operations: list[DraftOperation]
    kind: str = "openapi"
    version: str = ""
    source: str = ""
    wanted: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    public: dict[str, str] = field(default_factory=dict)

    @property
    def usable(self) -> list[DraftOperation]:
        return [one for one in self.operations if not one.reason]

    @property
    def refused(self) -> list[DraftOperation]:
        return [one for one in self.operations if one.reason]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Draft:
        operations = [DraftOperation(**one) for one in data["operations"]]
        return cls(**{**data, "operations": operations})


def draft_of(
    root: Any,
    *,
    file: str,
    today: str,
    home: str = "",
    others: Mapping[str, Any] | None = None,
    choices: Choices | None = None,
) -> Draft:
    """`home`: the address it was fetched from.  Raises ConnectorInvalid for what is no document."""
    check_document(root, file)
    chosen = choices or Choices()
    references = References(root, home, others)
    shapes = Shapes(references)
    # Without what may be a key: it goes into files.
    parts = urlsplit(home)
    source = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.scheme else ""
    servers = servers_of(root, source)
    found = list(described(root, references))
    base, prefixes = _bases(found, servers, chosen.server)
    address = servers[0]["url"] if "{" not in servers[0]["url"] else source
    sign_in = SignIn(root, references, address or "https://localhost/", chosen.auth, chosen.auth_name)
    sign_in.guess((one.place, one.name) for operation in found for one in operation.parameters)
    maker = OperationMaker(shapes, sign_in)
    also_at = _also_at(prefixes)
    operations = []
    for one in found:
        server = _server_of(one, servers)
        at = also_at.get(server, "")
        operations.append(maker.made(one, "" if at else prefixes.get(server), references, at))
    head = head_of(root, base, sign_in, maker, chosen, today=today, home=source, file=file)
    if named := at_of(operations):
        head["api"]["also_at"] = named
    drop_faulty(head, operations)
    draft = Draft(head["key"], head["name"], head, operations, source=source)
    info = root.get("info")
    draft.version = str(info.get("version") or "")[:60] if isinstance(info, dict) else ""
    draft.wanted = list(references.wanted)
    draft.notes = list(dict.fromkeys(references.broken.values()))[:20]
    return draft


def _bases(found: list[Any], servers: list[Any], wanted: str) -> tuple[Base, dict[str, str | None]]:
    """The connector's address, and what stands before a path of each server; None = out of reach."""
    used = [_server_of(one, servers) for one in found]
    own_first = sorted(used, key=lambda url: url != servers[0]["url"])  # where two are as common
    main = wanted.rstrip("/") or commonest(own_first) or servers[0]["url"]
    distinct = list(dict.fromkeys(used))
    starts = [one for one in distinct if path_between(main, one) is None and _origin(one) == _origin(main)]
    address = _origin(main) if starts and _origin(main) else main
    known = [one for one in _all_servers(found, servers) if one["url"].rstrip("/") == main.rstrip("/")]
    own: dict[str, Any] = known[0] if known else {}
    also = servers if main == servers[0]["url"] else []
    base = base_of({**own, "url": address}, set(), [one for one in also if one["url"] != address])
    prefixes: dict[str, str | None] = {}
    for one in distinct:
        between = path_between(address, one)
        prefixes[one] = None if between is None else base.path + between
    return base, prefixes


def _also_at(prefixes: dict[str, str | None]) -> dict[str, str]:
    """Other servers that single operations name, by how they are written: those at a fixed address."""
    found = {url: url.rstrip("/") for url, path in prefixes.items() if path is None}
    fixed = {url: address for url, address in found.items() if is_fixed(address)}
    return dict(list(fixed.items())[:MOST_OTHERS])


def _server_of(one: Any, servers: list[Any]) -> str:
    listed = one.servers if isinstance(one.servers, list) else []
    own = next((s.get("url") for s in listed if isinstance(s, dict) and s.get("url")), None)
    if isinstance(own, str) and own.startswith(("http://", "https://")):
        known = [str(server["url"]) for server in servers]
        return next((url for url in known if url.rstrip("/") == own.rstrip("/")), own)
    return str(servers[0]["url"])


def _all_servers(found: list[Any], servers: list[Any]) -> list[Any]:
    own = [s for one in found for s in (one.servers if isinstance(one.servers, list) else [])]
    return [*servers, *(one for one in own if isinstance(one, dict) and isinstance(one.get("url"), str))]


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    return f"{scheme}://{host}" if rest and host else ""
