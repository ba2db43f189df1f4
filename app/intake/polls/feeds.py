"""RSS, Atom and JSON feeds as a poll: their entries in one form, whatever the feed is written in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from html import unescape
from typing import Any
from xml.parsers.expat import ExpatError

import orjson
import xmltodict

from app.calls.message.call import Answer, CallRequest
from app.engine.runtime import Runtime
from app.errors import CallFailed
from app.flows.mapping.values import as_moment, as_text
from app.intake.polls.source import Look

_ACCEPTED = (
    "application/rss+xml, application/atom+xml, application/feed+json, application/xml;q=0.9, */*;q=0.5"
)
_WHOLE_EVERY_S = 3 * 86400  # so that entries that stay in an unchanged feed stay known
_MOST_ENTRIES = 5_000
_LONGEST_TEXT = 200_000
_DEEPEST = 40
_SPACES = {
    "http://www.w3.org/2005/Atom": "atom",
    "http://purl.org/atom/ns#": "atom",
    "http://purl.org/rss/1.0/": None,
    "http://my.netscape.com/rdf/simple/0.9/": None,
    "http://channel.netscape.com/rdf/simple/0.9/": None,
    "http://backend.userland.com/rss2": None,
    "http://blogs.law.harvard.edu/tech/rss": None,
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://purl.org/rss/1.0/modules/content/": "content",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://purl.org/dc/terms/": "dcterms",
    "http://www.itunes.com/dtds/podcast-1.0.dtd": "itunes",
    "http://www.w3.org/1999/xhtml": "xhtml",
}
_KNOWN_TO_EXPAT = frozenset({"utf-8", "utf-16", "iso-8859-1", "us-ascii"})
_DECLARED = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']", re.DOTALL)
_DECLARATION = re.compile(r"^\s*<\?xml.{0,300}?\?>", re.DOTALL)
_BARE = re.compile(
    rb"&(?!#\d{1,7};|#x[0-9a-fA-F]{1,6};|(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]{1,30};)?"
)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
Entry = dict[str, Any]


# -------------------------------------------------------------------------------------- the poll


async def entries(
    runtime: Runtime, look: Look, values: dict[str, Any], since: Any
) -> AsyncIterator[list[Entry]]:
    """The cursor holds what the server said of this version of the feed, so that one that did not
    change is not sent again."""
    url, now = as_text(values.get("url")).strip(), runtime.clock.now()
    known = since if isinstance(since, dict) and since.get("url") == url else {}
    answer = await _fetch(runtime, look, url, _conditions(known, now))
    if answer is None:
        yield []
        return
    found = read_feed(answer.body)
    look.cursor = {
        "url": url,
        "etag": answer.header("etag")[:500],
        "modified": answer.header("last-modified")[:100],
        "read_at": now.isoformat(),
    }
    yield found


def _conditions(known: dict[str, Any], now: datetime) -> list[tuple[str, str]]:
    read_at = as_moment(known.get("read_at"))
    if read_at is None or (now - read_at).total_seconds() > _WHOLE_EVERY_S:
        return []
    rows = [("If-None-Match", known.get("etag")), ("If-Modified-Since", known.get("modified"))]
    return [(name, str(value)) for name, value in rows if value]


async def _fetch(runtime: Runtime, look: Look, url: str, conditions: list[tuple[str, str]]) -> Answer | None:
    """None = nothing changed.  Raises CallFailed."""
    headers = [("Accept", _ACCEPTED), *conditions]
    request = CallRequest("GET", url, headers=headers, follow_redirects=True)
    outcome = await runtime.caller.send(request)
    look.calls.extend((*outcome.before, outcome.row))
    if outcome.answer is not None and outcome.answer.status == 304:
        outcome.row.update(error_kind=None, sentence="")
        return None
    if outcome.failure is not None or outcome.answer is None:
        raise outcome.failure or CallFailed("unavailable", "The feed gave no answer.")
    return outcome.answer


# ------------------------------------------------------------------------------------- reading


def read_feed(body: bytes) -> list[Entry]:
    """The oldest first, as far as the feed says which that is.  Raises CallFailed."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        found = list(_json_entries(body))
    else:
        found = list(_xml_entries(_parsed(body)))
    if len(found) > _MOST_ENTRIES:
        raise _unreadable(f"This feed has {len(found):,} entries; at most {_MOST_ENTRIES:,} are taken.")
    return found if all(one["published"] or one["updated"] for one in found) else found[::-1]


def _unreadable(sentence: str) -> CallFailed:
    return CallFailed(
        "invalid_payload",
        sentence,
        remedy="Open the address in a browser: it has to show RSS, Atom or a JSON feed.",
        permanent=True,
    )


def _parsed(body: bytes) -> dict[str, Any]:
    """Entities of its own are never expanded; what people write by mistake is fixed once."""
    body = _CONTROL.sub(b"", body) if b"\x00" not in body[:4] else body
    for text in (body, None):
        try:
            return _xml(_mended(body) if text is None else text)
        except ExpatError as reason:
            if text is None:
                raise _unreadable(f"This is not a feed that can be read: {reason}.") from reason
        except (ValueError, LookupError, RecursionError) as reason:
            raise _unreadable(
                "This is not a feed that can be read: it defines entities of its own."
            ) from reason
    raise AssertionError("the loop returns or raises")


def _xml(body: bytes) -> dict[str, Any]:
    declared = _DECLARED.match(body)
    text: bytes | str = body
    if declared is not None and declared[1].decode().lower() not in _KNOWN_TO_EXPAT:
        text = _DECLARATION.sub("", body.decode(declared[1].decode(), "replace"))
    document = xmltodict.parse(text, process_namespaces=True, namespaces=_SPACES, disable_entities=True)
    return document if isinstance(document, dict) else {}


def _mended(body: bytes) -> bytes:
    """`&nbsp;` and a lone `&` are no XML, but common."""

    def one(found: re.Match[bytes]) -> bytes:
        name = found[1]
        meant = unescape(f"&{name.decode()}") if name else ""
        if not name or meant.startswith("&"):
            return b"&amp;" + (name or b"")
        return "".join(f"&#{ord(letter)};" for letter in meant).encode()

    return _BARE.sub(one, body)


def _xml_entries(document: dict[str, Any]) -> Iterator[Entry]:
    if isinstance(feed := document.get("atom:feed"), dict):
        yield from (_atom(one, feed) for one in _many(feed.get("atom:entry")))
    elif isinstance(rss := document.get("rss"), dict):
        channel = _table(rss.get("channel"))
        yield from (_rss(one, channel) for one in _many(channel.get("item")) or _many(rss.get("item")))
    elif isinstance(rdf := document.get("rdf:RDF"), dict):
        channel = _table(rdf.get("channel"))
        yield from (_rss(one, channel) for one in _many(rdf.get("item")))
    else:
        root = next(iter(document), "nothing")
        raise _unreadable(f"This is not a feed: it begins with <{root.rpartition(':')[2][:40]}>.")


def _rss(item: dict[str, Any], channel: dict[str, Any]) -> Entry:
    link = _first_text(item, "link", "atom:link") or _href(item.get("atom:link"))
    guid = item.get("guid")
    if not link and _text(_table(guid).get("@isPermaLink") or "true") == "true":
        link = _text(guid) if _text(guid).startswith("http") else ""
    return _entry(
        own_id=_text(guid) or _text(item.get("@rdf:about")) or link,
        title=_first_text(item, "title", "dc:title"),
        link=link,
        summary=_first_text(item, "description", "itunes:summary"),
        content=_first_text(item, "content:encoded", "xhtml:body"),
        author=_first_text(item, "author", "dc:creator", "itunes:author"),
        published=_moment(item, "pubDate", "dc:date", "dcterms:created"),
        updated=_moment(item, "atom:updated", "dcterms:modified"),
        categories=[_text(one) for one in _any(item.get("category")) + _any(item.get("dc:subject"))],
        enclosure=_enclosure(next(iter(_many(item.get("enclosure"))), {}), "@url"),
        feed=(_first_text(channel, "title"), _first_text(channel, "link")),
    )


def _atom(entry: dict[str, Any], feed: dict[str, Any]) -> Entry:
    link = _href(entry.get("atom:link"))
    authors = _many(entry.get("atom:author")) or _many(feed.get("atom:author"))
    media = [one for one in _many(entry.get("atom:link")) if one.get("@rel") == "enclosure"]
    return _entry(
        own_id=_text(entry.get("atom:id")) or link,
        title=_text(entry.get("atom:title")),
        link=link,
        summary=_text(entry.get("atom:summary")),
        content=_text(entry.get("atom:content")),
        author=", ".join(filter(None, (_text(one.get("atom:name")) for one in authors))),
        published=_moment(entry, "atom:published", "atom:issued"),
        updated=_moment(entry, "atom:updated", "atom:modified"),
        categories=[_text(_table(one).get("@term")) for one in _any(entry.get("atom:category"))],
        enclosure=_enclosure(media[0] if media else {}, "@href"),
        feed=(_text(feed.get("atom:title")), _href(feed.get("atom:link"))),
    )


def _json_entries(body: bytes) -> Iterator[Entry]:
    try:
        feed = orjson.loads(body.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as reason:
        raise _unreadable(f"This is not a feed that can be read: {reason}.") from reason
    if not isinstance(feed, dict) or not isinstance(feed.get("items"), list):
        raise _unreadable("This JSON is not a feed: it has no list “items”.")
    for item in _many(feed["items"]):
        people = _many(item.get("authors")) or _many(item.get("author")) or _many(feed.get("authors"))
        media = next(iter(_many(item.get("attachments"))), {})
        yield _entry(
            own_id=_text(item.get("id")) or _text(item.get("url")),
            title=_text(item.get("title")),
            link=_text(item.get("url")) or _text(item.get("external_url")),
            summary=_text(item.get("summary")),
            content=_text(item.get("content_html")) or _text(item.get("content_text")),
            author=", ".join(filter(None, (_text(one.get("name")) for one in people))),
            published=_moment(item, "date_published"),
            updated=_moment(item, "date_modified"),
            categories=[_text(one) for one in _any(item.get("tags"))],
            enclosure=_enclosure(
                {
                    "@url": media.get("url"),
                    "@type": media.get("mime_type"),
                    "@length": media.get("size_in_bytes"),
                },
                "@url",
            ),
            feed=(_text(feed.get("title")), _text(feed.get("home_page_url"))),
        )


# -------------------------------------------------------------------------------------- pieces


def _entry(own_id: str, feed: tuple[str, str], **parts: Any) -> Entry:
    """One without an id is known by what it says."""
    said = f"{parts['title']}\0{parts['summary']}\0{parts['content']}\0{parts['published']}"
    made = "sha256:" + hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()
    parts["categories"] = [one for one in parts["categories"] if one]
    return {"id": own_id or made, **parts, "feed": {"title": feed[0], "link": feed[1]}}


def _any(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _many(value: Any) -> list[dict[str, Any]]:
    return [one for one in _any(value) if isinstance(one, dict)]


def _table(value: Any) -> dict[str, Any]:
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, dict) else {}


def _text(value: Any, depth: int = 0) -> str:
    """Of an element with others inside, all their texts."""
    if depth > _DEEPEST or value is None:
        return ""
    if isinstance(value, dict):
        inner = (one for name, one in value.items() if not name.startswith("@"))
        value = " ".join(filter(None, (_text(one, depth + 1) for one in inner)))
    elif isinstance(value, list):
        value = _text(value[0], depth + 1) if depth == 0 else " ".join(_text(one, depth + 1) for one in value)
    return as_text(value).strip()[:_LONGEST_TEXT]


def _first_text(item: dict[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _text(item.get(name)))), "")


def _href(value: Any) -> str:
    """The link to the page itself: without rel, or rel="alternate"."""
    links = _many(value)
    pages = [one for one in links if one.get("@rel", "alternate") == "alternate"]
    return _text((pages or links or [{}])[0].get("@href"))


def _moment(item: dict[str, Any], *names: str) -> str:
    """ISO 8601, so that all feeds are ordered alike; '' = none that can be read."""
    moment = as_moment(_first_text(item, *names))
    return moment.isoformat() if moment is not None else ""


def _enclosure(media: dict[str, Any], place: str) -> dict[str, str]:
    kept = {"url": media.get(place), "type": media.get("@type"), "length": media.get("@length")}
    return {name: _text(value) for name, value in kept.items() if value is not None}
