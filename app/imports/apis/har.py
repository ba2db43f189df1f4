"""A HAR file, as browsers save it: calls of the page to one API; pictures, tracking, cookies and all
values are dropped: they are somebody's data."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlsplit

from app.errors import ConnectorInvalid
from app.imports.apis.samples import AsDocument, Collector, Recorded

_MOST = 3_000
_LONGEST_ANSWER = 500_000
_TRACKERS = re.compile(
    r"(^|\.)(google-analytics|googletagmanager|doubleclick|facebook|fbcdn|hotjar|segment|mixpanel|sentry|datadoghq"
    r"|clarity|intercom|amplitude|fullstory|newrelic|nr-data|bugsnag|launchdarkly|optimizely|cookielaw|onetrust"
    r"|hs-analytics|hubspot-analytics|linkedin|bing|tiktok|pinterest|gstatic|googleapis|cloudflareinsights)\.",
    re.IGNORECASE,
)
_FILES = re.compile(
    r"\.(js|mjs|css|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|map|mp4|webm|html?|wasm)$", re.IGNORECASE
)


def is_har(root: Any) -> bool:
    log = root.get("log") if isinstance(root, dict) else None
    return isinstance(log, dict) and isinstance(log.get("entries"), list)


def read_har(root: Any, file: str, wanted: str = "") -> AsDocument:
    """Of several hosts the one with most calls, or the one that is `wanted`."""
    entries = [one for one in root["log"]["entries"][:_MOST] if isinstance(one, dict)]
    found = [one for entry in entries if (one := _call(entry)) is not None]
    by_host: dict[str, list[Recorded]] = {}
    for one in found:
        parts = urlsplit(one.url)
        by_host.setdefault(f"{parts.scheme}://{parts.netloc}", []).append(one)
    if not by_host:
        raise ConnectorInvalid(
            "no call in it looks like one of an API.",
            file=file,
            remedy="Record again while the page loads or saves the data you are after.",
        )
    wanted_server = next((server for server in by_host if wanted and wanted.startswith(server)), "")
    main = wanted_server or max(by_host, key=lambda server: len(by_host[server]))
    collector = Collector(urlsplit(main).hostname or "API", main, keeps_values=False)
    for one in by_host[main]:
        collector.add(one)
    notes = [
        f"{len(calls)} calls to {server[:100]} are left out. Give it as the address of the API to take those."
        for server, calls in by_host.items()
        if server != main
    ]
    return collector.document(notes[:10])


def _call(entry: dict[str, Any]) -> Recorded | None:
    request, response = entry.get("request"), entry.get("response")
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        return None
    url, method = request["url"], str(request.get("method") or "GET").upper()
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or _TRACKERS.search(parts.hostname or ""):
        return None
    answer = _answer(response)
    posted = request.get("postData")
    is_data = isinstance(posted, dict) and re.search(r"json|form|xml", str(posted.get("mimeType")), re.I)
    if method in ("OPTIONS", "CONNECT") or _FILES.search(parts.path) or not (answer is not None or is_data):
        return None
    one = Recorded(method, url, headers=_rows(request.get("headers")), answer=answer)
    if isinstance(posted, dict):
        _post(one, posted)
    return one


def _post(one: Recorded, posted: dict[str, Any]) -> None:
    one.content_type = str(posted.get("mimeType") or "").partition(";")[0]
    rows = _rows(posted.get("params"))
    if rows and "form" in one.content_type:
        one.form = rows
    else:
        one.text = str(posted.get("text") or "")


def _rows(rows: Any) -> list[tuple[str, str]]:
    return [
        (str(one["name"]), str(one.get("value") or ""))
        for one in (rows if isinstance(rows, list) else ())
        if isinstance(one, dict) and one.get("name")
    ]


def _answer(response: Any) -> Any:
    content = response.get("content") if isinstance(response, dict) else None
    if not isinstance(content, dict) or "json" not in str(content.get("mimeType")):
        return None
    text = content.get("text")
    if not isinstance(text, str) or len(text) > _LONGEST_ANSWER or content.get("encoding") == "base64":
        return {}
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
