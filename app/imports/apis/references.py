"""What a `$ref` leads to, inside the document and in others that were fetched for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

MOST_DOCUMENTS = 40
_LONGEST_CHAIN = 40


class References:
    """`home`: the address the document came from, '' for a file.  Whatever is not there is noted:
    addresses in `wanted`, the rest in `broken`."""

    def __init__(self, root: Any, home: str = "", others: Mapping[str, Any] | None = None) -> None:
        self.root = root
        self.home = home
        self._others = dict(others or {})
        self._homes: dict[int, str] = {}
        self._merged: dict[int, tuple[Any, Any]] = {}
        self.wanted: dict[str, None] = {}
        self.broken: dict[str, str] = {}

    def resolved(self, node: Any) -> Any:
        """What stands there, references followed; {} for one that leads nowhere."""
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
                return node
            target = self._target(node["$ref"], self._homes.get(id(node), self.home))
            if "description" in node and isinstance(target, dict) and "$ref" not in target:
                # The target with the words that stand beside the reference; the same table each time.
                if id(node) not in self._merged:
                    merged = {**target, "description": node["description"]}
                    if id(target) in self._homes:
                        self._homes[id(merged)] = self._homes[id(target)]
                    self._merged[id(node)] = (merged, node)
                return self._merged[id(node)][0]
            node = target
        return {}

    def name_of(self, node: Any) -> str:
        """The reference as it is written: what tells a schema that holds itself."""
        reference = node.get("$ref") if isinstance(node, dict) else None
        return reference if isinstance(reference, str) else ""

    def _target(self, reference: str, home: str) -> Any:
        address, fragment = urldefrag(reference)
        if not address:
            document = self.root if home == self.home else self._others.get(home)
            return self._inside(document, fragment, reference, home)
        full = urljoin(home, address) if home else address
        if urlsplit(full).scheme not in ("http", "https"):
            self.broken.setdefault(reference, f"“{reference[:80]}” is another file, which is not read.")
            return {}
        if full == self.home:
            return self._inside(self.root, fragment, reference, full)
        if full not in self._others:
            if len(self.wanted) + len(self._others) < MOST_DOCUMENTS:
                self.wanted[full] = None
            self.broken.setdefault(reference, f"“{reference[:80]}” could not be fetched.")
            return {}
        return self._inside(self._others[full], fragment, reference, full)

    def _inside(self, document: Any, fragment: str, reference: str, home: str) -> Any:
        found = document
        for part in fragment.split("/")[1:] if fragment else ():
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdigit() and int(name[:6]) < len(found):
                found = found[int(name[:6])]
            else:
                self.broken.setdefault(reference, f"“{reference[:80]}” leads nowhere.")
                return {}
        if home != self.home:
            self._mark(found, home)
        return found

    def _mark(self, node: Any, home: str) -> None:
        """References inside another document are seen from there."""
        open_parts = [node]
        while open_parts:
            part = open_parts.pop()
            if isinstance(part, dict):
                if self._homes.get(id(part)) == home:
                    continue
                self._homes[id(part)] = home
                open_parts.extend(part.values())
            elif isinstance(part, list):
                open_parts.extend(part)
