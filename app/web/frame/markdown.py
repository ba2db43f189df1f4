"""Markdown as HTML for pages: raw HTML is shown as text, and only links that the caller allows are links."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup

_LONGEST = 200_000
_READER = MarkdownIt("commonmark", {"html": False}).enable("table")
_ELSEWHERE = ("https://", "http://")


@dataclass(frozen=True)
class Rendered:
    """A page: its first heading as plain text, and everything below it."""

    title: str
    body: Markup


def render(text: str, address_of: Callable[[str], str]) -> Rendered:
    """Returns `text` as HTML without its first heading of level 1.

    `address_of` gets the target of each link and picture and returns the address to use; '' keeps the text
    of the link and drops the picture.  Pictures from elsewhere are always dropped.
    """
    tokens = _READER.parse(text[:_LONGEST])
    title = ""
    if len(tokens) > 2 and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        title, tokens = _plain(tokens[1]), tokens[3:]
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", anchor(_plain(tokens[at + 1])))
        if token.children is not None:
            token.children = _with_addresses(token.children, address_of)
    return Rendered(title, Markup(_Renderer(_READER).render(tokens, _READER.options, {})))  # noqa: S704


def only_elsewhere(target: str) -> str:
    """Returns web addresses as they are and '' for all else: for texts that strangers wrote."""
    return target if target.startswith(_ELSEWHERE) else ""


def anchor(heading: str) -> str:
    """Returns the id of a heading as GitHub makes it: links to a part of a page work in both places."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _plain(heading: Token) -> str:
    return "".join(part.content for part in heading.children or ())


def _with_addresses(parts: Sequence[Token], address_of: Callable[[str], str]) -> list[Token]:
    kept: list[Token] = []
    dropped: list[bool] = []  # for each link that is open: was it dropped?
    for part in parts:
        if part.type == "image":
            address = address_of(str(part.attrGet("src")))
            if address and not only_elsewhere(address):
                part.attrSet("src", address)
                part.attrSet("loading", "lazy")
                kept.append(part)
            continue
        if part.type == "link_open":
            address = address_of(str(part.attrGet("href")))
            dropped.append(not address)
            part.attrSet("href", address)
            if address.startswith(_ELSEWHERE):
                part.attrSet("rel", "noopener noreferrer")
                part.attrSet("target", "_blank")
        if part.type == "link_close":
            if dropped.pop():
                continue
        elif part.type == "link_open" and dropped[-1]:
            continue
        kept.append(part)
    return kept


class _Renderer(RendererHTML):
    """Wide tables and code scroll by themselves, with the keyboard too."""

    def table_open(self, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
        return '<div class="pl-scroll" tabindex="0"><table class="table">\n'

    def table_close(self, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
        return "</table></div>\n"

    def code_block(self, tokens: Sequence[Token], idx: int, options: object, env: object) -> str:
        return f'<pre tabindex="0"><code>{Markup.escape(tokens[idx].content)}</code></pre>\n'

    fence = code_block
