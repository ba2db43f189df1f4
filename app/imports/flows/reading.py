"""Recognises what a file is, by its content, and brings its flows along: n8n, Make, or our own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from app.errors import FlowInvalid
from app.flows.portable.files import from_text
from app.imports.flows.drafts import Draft
from app.imports.flows.report import Report
from app.imports.flows.work import Connectors

LIMIT_SIZE = 5_000_000
LIMIT_NESTING = 100
MOST_FLOWS = 50


@dataclass(frozen=True)
class Brought:
    """`tool`: n8n, make or plumbline."""

    tool: str
    drafts: list[Draft]
    report: Report


def bring_flows(
    text: str, connectors: Connectors, *, file: str = "", time_zone: str = "UTC", tool: str = ""
) -> Brought:
    """Raises FlowInvalid, which names the file, the place and the reason, and then nothing is brought.
    `tool`: refuse what is from another one."""
    if len(text) > LIMIT_SIZE:
        raise FlowInvalid(f"the file is larger than {LIMIT_SIZE // 1_000_000} MB.", where=file)
    if not text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return _own(text, file, tool)
    data = _document(text, file)
    documents = _documents(data)
    # what reads the expressions of other tools is a tenth of all imports, and few servers ever use it
    from app.imports.flows.make.blueprint import bring_make, is_make
    from app.imports.flows.n8n.export import bring_n8n, is_n8n

    tools = [("n8n", is_n8n, bring_n8n), ("make", is_make, bring_make)]
    for name, is_it, bring in tools:
        if documents and all(is_it(one) for one in documents):
            if tool not in ("", name):
                raise FlowInvalid(f"this is an export of {TITLES[name]}, not of {TITLES[tool]}.", where=file)
            if len(documents) > MOST_FLOWS:
                raise FlowInvalid(
                    f"the file holds {len(documents)} flows; at most {MOST_FLOWS} are read.", where=file
                )
            drafts: list[Draft] = []
            report = Report()
            stem = re.sub(r"\.[a-z]+$", "", file.rpartition("/")[2])[:100]
            for number, document in enumerate(documents, start=1):
                own = Report() if len(documents) > 1 else report
                where = f"{file}, flow {number}" if len(documents) > 1 else file
                drafts += _one(bring, document, connectors, own, where, stem, time_zone)
                if own is not report:
                    report.add(own, f"{number}: ")
            return Brought(name, drafts, report)
    return _own(text, file, tool)


Bring = Callable[..., list[Draft]]
TITLES = {"n8n": "n8n", "make": "Make", "plumbline": "Plumbline"}


def _own(text: str, file: str, tool: str) -> Brought:
    if tool:
        raise FlowInvalid(f"this is not an export of {TITLES[tool]}.", where=file, remedy=_HOW[tool])
    drafts = [Draft(one) for one in from_text(text, file)]
    return Brought("plumbline", drafts, Report())


_HOW = {
    "n8n": "In n8n, open the workflow and choose Download from the menu at the top right.",
    "make": "In Make, open the scenario and choose Export Blueprint from the menu at the bottom.",
}


def _one(
    bring: Bring, document: Any, connectors: Connectors, report: Report, where: str, name: str, zone: str
) -> list[Draft]:
    try:
        return bring(document, connectors, report, where=where, name=name, time_zone=zone)
    except FlowInvalid as error:
        place = error.where if where in error.where else ": ".join(one for one in (where, error.where) if one)
        raise FlowInvalid(error.reason, where=place, remedy=error.remedy) from None
    except RecursionError:
        raise FlowInvalid("its parts are connected in too tangled a way.", where=where) from None


def _documents(data: Any) -> list[Any]:
    """One flow, a list of flows, or either of them inside a wrapper."""
    for key in ("response", "data", "workflow", "workflows", "blueprint"):
        if (
            isinstance(data, dict)
            and "nodes" not in data
            and "flow" not in data
            and isinstance(data.get(key), dict | list)
        ):
            data = data[key]
    return data if isinstance(data, list) else [data]


_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def _document(text: str, file: str) -> Any:
    text = _NUL.sub(r"\1", text.lstrip("\ufeff").replace("\x00", ""))
    try:
        data = orjson.loads(text.encode("utf-8", "replace"))
    except orjson.JSONDecodeError as error:
        where = f"{file}, line {error.lineno}" if file else f"line {error.lineno}"
        raise FlowInvalid(f"this is not JSON: {error.msg}.", where=where) from None
    layer, levels = [data], 0
    while layer and levels <= LIMIT_NESTING:
        layer = [
            inner
            for value in layer
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        levels += 1
    too_deep = bool(layer)
    if too_deep:
        raise FlowInvalid(f"the file is nested more than {LIMIT_NESTING} deep.", where=file)
    return data
