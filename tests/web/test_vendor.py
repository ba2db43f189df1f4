"""What others made: every file is listed with its licence and has not been changed; icons exist."""

from __future__ import annotations

import hashlib
import re
import tomllib

import pytest

from app.web.frame.static_files import FOLDER, StaticFiles
from app.web.frame.words import OWN_KINDS

LISTED = tomllib.loads((FOLDER / "vendor/VENDOR.toml").read_text())["file"]
TEMPLATES = FOLDER.parent / "templates"
ICONS = set(re.findall(r'<symbol id="([^"]+)"', (FOLDER / "icons/ui.svg").read_text()))


@pytest.mark.parametrize("entry", LISTED, ids=lambda entry: entry["file"])
def test_a_vendored_file_is_the_one_that_was_listed(entry: dict[str, str]) -> None:
    assert hashlib.sha256((FOLDER / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
    assert (FOLDER / entry["licence_text"]).read_text().strip()
    assert entry["licence"] in ("0BSD", "MIT", "OFL-1.1", "ISC")


def test_every_vendored_file_is_listed() -> None:
    files = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / "vendor").glob("*.*")}
    assert files - {"vendor/VENDOR.toml"} <= {entry["file"] for entry in LISTED}


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    named = set(OWN_KINDS.values())
    for template in TEMPLATES.rglob("*.html"):
        named |= set(re.findall(r"""icon\(["']([a-z0-9-]+)["']""", template.read_text()))
    assert named <= ICONS


def test_the_styles_and_scripts_of_every_page_stay_small() -> None:
    files = StaticFiles(FOLDER).files
    shared = (
        "vendor/basecoat-1.0.2.css",
        "css/app.css",
        "css/pieces.css",
        "vendor/htmx-4.0.1-sse.js",
        "js/app.js",
    )
    assert sum(len(files[name].squeezed or b"") for name in shared) < 50_000


def test_no_page_holds_a_script_or_style_of_its_own() -> None:
    """The content security policy would refuse them; handlers in attributes too."""
    for template in TEMPLATES.rglob("*.html"):
        text = template.read_text()
        assert not re.search(
            r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|hx-on|\bjs:|\|\s*safe", text
        ), template


def test_no_page_fetches_anything_from_elsewhere() -> None:
    for template in TEMPLATES.rglob("*.html"):
        assert not re.search(r"""(src|srcset)=["'](https?:)?//""", template.read_text()), template
    for sheet in FOLDER.glob("css/*.css"):
        assert not re.search(r"""url\(["']?(https?:)?//|@import""", sheet.read_text()), sheet
