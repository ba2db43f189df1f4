"""The sheets and the templates together: a class has one meaning, and nothing is left over on either side."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import chain

from app.web.frame.static_files import FOLDER

# Names that scripts look for; they have no look of their own.
HOOKS = {"pl-toast-away"}
_CLASS = r"(?<![\w-])(?:pl|is)-[a-z0-9_-]*"
_TEMPLATES = {path: path.read_text() for path in (FOLDER.parent / "templates").rglob("*.html")}
_SCRIPTS = {path: path.read_text() for path in (FOLDER / "js").rglob("*.js")}


def _selectors(sheet: str) -> list[str]:
    """Every selector of the sheet, one by one, those inside @layer and @media included."""
    text = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    preludes = [found.strip() for found in re.findall(r"([^{};]+)\{", text)]
    lists = [re.split(r",(?![^()]*\))", one) for one in preludes if not one.startswith("@")]
    return [selector.strip() for selector in chain.from_iterable(lists)]


SHEETS = {path.stem: _selectors(path.read_text()) for path in (FOLDER / "css").glob("*.css")}
STYLED = {
    name for selectors in SHEETS.values() for one in selectors for name in re.findall(rf"\.({_CLASS})", one)
}


def _used(texts: dict[object, str]) -> set[str]:
    """`pl-badge-{{ look }}` stands for every class that begins so."""
    named = set(re.findall(_CLASS, " ".join(texts.values())))
    begun = tuple(one for one in named if one.endswith("-"))
    return (named - set(begun)) | {one for one in STYLED if one.startswith(begun)}


def test_a_class_is_introduced_in_one_sheet_only() -> None:
    introduced = defaultdict(set)
    for sheet, selectors in SHEETS.items():
        for selector in selectors:
            if not re.search(r"[ >+~]", re.sub(r"\([^)]*\)", "", selector)):
                for name in re.findall(r"\.(pl-[\w-]+)", re.sub(r"\([^)]*\)", "", selector)):
                    introduced[name].add(sheet)
    assert not {name: sheets for name, sheets in introduced.items() if len(sheets) > 1}


def test_every_class_in_a_template_has_a_rule() -> None:
    assert _used(_TEMPLATES) - STYLED - HOOKS == set()


def test_every_class_in_a_sheet_is_used() -> None:
    assert STYLED - _used(_TEMPLATES | _SCRIPTS) == set()


def test_sizes_of_text_and_corners_are_tokens() -> None:
    for path in (FOLDER / "css").glob("*.css"):
        rules = re.sub(r"html \{.*?\}", "", path.read_text(), flags=re.DOTALL)
        assert not re.findall(r"font(?:-size)?: [^;]*\dpx|border-radius: (?!50%|99px)[1-9][^;]*", rules), path
