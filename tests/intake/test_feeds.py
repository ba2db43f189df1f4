"""Feeds of every kind give their entries in one form; what is no feed is said, and no bomb goes off."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors
from app.errors import CallFailed
from app.intake.polls.feeds import read_feed
from tests.fakes.clock import FakeClock
from tests.fakes.service import FakeService
from tests.intake.conftest import Server
from tests.intake.test_verification import trigger

URL = "https://blog.example.com/feed.xml"
RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"
     xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Casa Silva</title><link>https://blog.example.com</link>
<atom:link href="https://blog.example.com/feed.xml" rel="self"/>
<item><title>Second</title><link>https://blog.example.com/2</link><guid isPermaLink="false">p-2</guid>
<pubDate>Sat, 21 Nov 2026 09:00:00 +0100</pubDate><dc:creator>Ana Silva</dc:creator>
<category>Offers</category><category>News</category><description>Short.</description>
<content:encoded><![CDATA[<p>Long &amp; rich.</p>]]></content:encoded>
<enclosure url="https://blog.example.com/2.mp3" type="audio/mpeg" length="123"/></item>
<item><title>First</title><link>https://blog.example.com/1</link><guid>https://blog.example.com/?p=1</guid>
<pubDate>Fri, 20 Nov 2026 09:00:00 GMT</pubDate></item>
</channel></rss>"""
RDF = b"""<?xml version="1.0" encoding="iso-8859-1"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
  xmlns:dc="http://purl.org/dc/elements/1.1/">
<channel rdf:about="https://n.example/"><title>N\xe9ws</title><link>https://n.example/</link></channel>
<item rdf:about="https://n.example/1"><title>One</title><link>https://n.example/1</link>
<dc:date>2026-11-21T08:00:00Z</dc:date></item></rdf:RDF>"""
RSS_090 = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns="http://my.netscape.com/rdf/simple/0.9/"><channel><title>Old</title></channel>
 <item><title>Only</title><link>https://old.example/1</link></item></rdf:RDF>"""
RSS_091 = b"""<?xml version="1.0"?><!DOCTYPE rss PUBLIC "-//Netscape Communications//DTD RSS 0.91//EN"
 "http://my.netscape.com/publish/formats/rss-0.91.dtd"><rss version="0.91"><channel><title>Old</title>
<item><title>Plain</title><link>https://old.example/2</link><description>Text</description></item></channel></rss>"""
ATOM = b"""<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Atom</title>
<link href="https://a.example/"/><author><name>The team</name></author>
<entry><id>tag:a.example,2026:1</id><title type="html">One &amp;amp; two</title>
<updated>2026-11-21T08:00:00Z</updated>
<published>2026-11-20T08:00:00+01:00</published><link rel="self" href="https://a.example/self"/>
<link href="https://a.example/1"/>
<link rel="enclosure" href="https://a.example/1.pdf" type="application/pdf"/>
<category term="Offers"/><summary>Short</summary>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Deep <b>text</b></p></div></content>
</entry></feed>"""
JSON = orjson.dumps(
    {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "JSON",
        "home_page_url": "https://j.example",
        "items": [
            {
                "id": "1",
                "url": "https://j.example/1",
                "title": "One",
                "content_html": "<p>Hi</p>",
                "date_published": "2026-11-21T08:00:00Z",
                "authors": [{"name": "Ana"}],
                "tags": ["Offers"],
                "attachments": [{"url": "https://j.example/1.mp3", "mime_type": "audio/mpeg"}],
            }
        ],
    }
)


def test_rss_2_gives_everything_a_reader_shows() -> None:
    second = {one["id"]: one for one in read_feed(RSS)}["p-2"]
    assert second == {
        "id": "p-2",
        "title": "Second",
        "link": "https://blog.example.com/2",
        "summary": "Short.",
        "content": "<p>Long &amp; rich.</p>",
        "author": "Ana Silva",
        "published": "2026-11-21T09:00:00+01:00",
        "updated": "",
        "categories": ["Offers", "News"],
        "enclosure": {"url": "https://blog.example.com/2.mp3", "type": "audio/mpeg", "length": "123"},
        "feed": {"title": "Casa Silva", "link": "https://blog.example.com"},
    }


@pytest.mark.parametrize(
    ("feed", "own_id", "title"),
    [
        (RDF, "https://n.example/1", "One"),
        (RSS_090, "https://old.example/1", "Only"),
        (RSS_091, "https://old.example/2", "Plain"),
        (ATOM, "tag:a.example,2026:1", "One &amp; two"),
        (JSON, "1", "One"),
    ],
    ids=["rss 1.0", "rss 0.90", "rss 0.91", "atom", "json feed"],
)
def test_every_kind_of_feed_is_read(feed: bytes, own_id: str, title: str) -> None:
    (one,) = read_feed(feed)
    assert (one["id"], one["title"]) == (own_id, title)
    assert one["link"].startswith("https://")


def test_the_encoding_a_feed_declares_counts() -> None:
    assert read_feed(RDF)[0]["feed"]["title"] == "Néws"
    other = RDF.replace(b"iso-8859-1", b"windows-1252").replace(b"N\xe9ws", b"N\x80ws")
    assert read_feed(other)[0]["feed"]["title"] == "N€ws"
    wide = RSS.replace(b"UTF-8", b"UTF-16").decode().encode("utf-16")
    assert len(read_feed(wide)) == 2


def test_atom_keeps_text_in_elements_and_the_right_link() -> None:
    (one,) = read_feed(ATOM)
    assert set(one["content"].split()) == {"Deep", "text"}
    assert one["link"] == "https://a.example/1"
    assert one["author"] == "The team"
    assert one["enclosure"]["url"] == "https://a.example/1.pdf"


def test_an_entry_without_an_id_is_known_by_its_text() -> None:
    bare = b"<rss><channel><item><title>A</title></item><item><title>B</title></item></channel></rss>"
    first, second = read_feed(bare)
    assert first["id"] != second["id"]
    assert first["id"].startswith("sha256:")
    assert {one["id"] for one in read_feed(bare)} == {first["id"], second["id"]}
    assert [first["title"], second["title"]] == ["B", "A"], "without dates the last one is the oldest"


def test_what_people_write_by_mistake_is_mended() -> None:
    title = b"<title>Caf&eacute; & Bar &nbsp;&unknown; &lt;b&gt;</title>"
    sloppy = b"<rss><channel><item>" + title + b"</item></channel></rss>"
    assert read_feed(sloppy)[0]["title"] == "Café & Bar \xa0&unknown; <b>"
    assert read_feed(RSS.replace(b"Short.", b"Sh\x0cort."))[0]["title"] == "Second"


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 9))
    + b"]><rss><channel><title>&a8;</title></channel></rss>"
)
FILE = (
    b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss><channel><title>&f;</title></channel></rss>'
)


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        FILE,
        b"",
        b"<html><body>Sign in</body></html>",
        b"<rss><channel>",
        b'{"items": 7}',
        b"{",
        b"\xff" * 50,
    ],
)
def test_what_is_no_feed_is_said_and_nothing_is_expanded(body: bytes) -> None:
    with pytest.raises(CallFailed, match="feed") as reason:
        read_feed(body)
    assert reason.value.kind == "invalid_payload"


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(RSS)), st.integers(0, 40))
def test_a_feed_with_any_part_replaced_is_read_or_refused(junk: bytes, at: int, cut: int) -> None:
    try:
        found = read_feed(RSS[:at] + junk + RSS[at + cut :])
    except CallFailed:
        return
    assert all(one["id"] for one in found)


# -------------------------------------------------------------------------------------- as a poll


@pytest.fixture
def server(tmp_path: Path, clock: FakeClock, service: FakeService) -> Iterator[Server]:
    shutil.copytree(Path(connectors.__file__).parent / "rss", tmp_path / "connectors" / "rss")
    server = Server(tmp_path, clock, service)
    yield server
    server.close()


def reading(url: str = URL) -> dict[str, Any]:
    return trigger("rss", "new_entry", input={"url": url})


def item(number: int) -> bytes:
    return b"<item><title>T%d</title><guid>g%d</guid></item>" % (number, number)


def feed(*numbers: int) -> bytes:
    return b"<rss><channel><title>Blog</title>" + b"".join(map(item, numbers)) + b"</channel></rss>"


def test_the_entries_there_are_start_nothing_and_new_ones_do_oldest_first(
    server: Server, service: FakeService
) -> None:
    flow_id = server.live(reading())
    service.answers("GET", "/feed.xml", feed(2, 1), feed(4, 3, 2, 1), feed(4, 3, 2, 1))
    first = server.poll_now(flow_id)
    assert (first.state, first.seeded, server.events()) == ("succeeded", 2, [])
    server.poll_now(flow_id)
    server.poll_now(flow_id)
    assert [event["title"] for event in server.events()] == ["T3", "T4"]


def test_a_feed_that_did_not_change_is_not_sent_again(server: Server, service: FakeService) -> None:
    flow_id = server.live(reading())
    head = {"ETag": '"abc"', "Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT"}
    service.answers("GET", "/feed.xml", (200, feed(1), head), 304, (200, feed(2, 1), head))
    server.poll_now(flow_id)
    unchanged = server.poll_now(flow_id)
    assert (unchanged.state, unchanged.new, unchanged.sentence) == ("succeeded", 0, "")
    assert service.requests[1].headers["if-none-match"] == '"abc"'
    assert service.requests[1].headers["if-modified-since"] == head["Last-Modified"]
    assert server.poll_now(flow_id).new == 1


def test_now_and_then_the_whole_feed_is_read(server: Server, service: FakeService) -> None:
    flow_id = server.live(reading())
    service.answers("GET", "/feed.xml", (200, feed(1), {"ETag": '"abc"'}))
    server.poll_now(flow_id)
    server.clock.advance(3 * 86400 + 1)
    server.poll_now(flow_id)
    assert "if-none-match" not in service.requests[1].headers


def test_another_address_is_another_feed_whose_old_entries_start_nothing(
    server: Server, service: FakeService
) -> None:
    flow_id = server.live(reading())
    service.answers("GET", "/feed.xml", (200, feed(1), {"ETag": '"abc"'}))
    service.answers("GET", "/other.xml", feed(9, 8))
    server.poll_now(flow_id)
    server.edit(flow_id, reading("https://blog.example.com/other.xml"))
    assert server.poll_now(flow_id).seeded == 2
    assert server.events() == []
    assert "if-none-match" not in service.requests[-1].headers


def test_a_feed_that_moved_is_followed(server: Server, service: FakeService) -> None:
    flow_id = server.live(reading())
    service.answers("GET", "/feed.xml", (301, None, {"Location": "https://www.example.com/new.xml"}))
    service.answers("GET", "/new.xml", feed(1))
    assert server.poll_now(flow_id).seeded == 1


def test_a_page_that_is_no_feed_fails_the_look_with_what_to_do(server: Server, service: FakeService) -> None:
    flow_id = server.live(reading())
    service.answers("GET", "/feed.xml", "<html><p>Hello</p></html>")
    failed = server.poll_now(flow_id)
    assert failed.state == "failed"
    assert "This is not a feed: it begins with <html>." in failed.sentence
