"""The documents of this version, served by the product itself: no internet is needed to read them."""

from __future__ import annotations

import posixpath
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, abort
from flask.blueprints import BlueprintSetupState

import app
from app.web.frame.hx import page
from app.web.frame.markdown import Rendered, only_elsewhere, render
from app.web.help.fitting import help_for

# A symbolic link to docs/: the documents lie in one place, and a wheel takes them along as files of `app`.
FOLDER = Path(app.__file__).parent / "help"
_FILES = {".png": "image/png", ".yaml": "text/yaml"}

blueprint = Blueprint("help", __name__)


@blueprint.record_once
def _offer(state: BlueprintSetupState) -> None:
    """Lets the frame of every page ask which document fits it."""
    state.app.jinja_env.globals["help_for"] = help_for


@blueprint.get("/help")
def index() -> Response:
    return _shown("README")


@blueprint.get("/help/<path:name>")
def show(name: str) -> Response:
    """A page by its path without `.md`, or a picture or file that a page links to."""
    if Path(name).suffix in _FILES:
        return _file(name)
    return _shown(name)


def _shown(name: str) -> Response:
    document = document_of(name)
    if document is None:
        abort(404)
    return page("help/show.html", document=document, is_index=name == "README")


def _file(name: str) -> Response:
    path = _inside(name)
    if path is None:
        abort(404)
    answer = Response(path.read_bytes(), mimetype=_FILES[path.suffix])
    if path.suffix == ".yaml":
        answer.headers["Content-Disposition"] = f'attachment; filename="{path.name}"'
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


@lru_cache(maxsize=200)
def document_of(name: str) -> Rendered | None:
    """Returns the document `docs/<name>.md` as HTML, None if there is none."""
    path = _inside(f"{name}.md")
    if path is None:
        return None
    return render(path.read_text(encoding="utf-8"), lambda target: address_of(name, target))


def address_of(name: str, target: str) -> str:
    """Returns where a link of the document `name` leads in the product; '' for files outside of docs/."""
    path, mark, part = target.partition("#")
    if not path:
        return target
    if only_elsewhere(target):
        return target
    place = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    words = place.split("/")
    if words[:2] == ["..", "connectors"] and words[3:] == ["README.md"]:
        return f"/connectors/{words[2]}"
    if place.startswith("..") or not place.endswith((".md", *_FILES)):
        return ""
    page_name = place.removesuffix(".md")
    address = "/help" if page_name == "README" else f"/help/{page_name}"
    return f"{address}{mark}{part}"


def _inside(name: str) -> Path | None:
    """Returns the file `name` below the documents, None for anything that is not there or not below."""
    root = FOLDER.resolve()
    path = (root / name).resolve()
    return path if path.is_relative_to(root) and path.is_file() else None
