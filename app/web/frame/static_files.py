"""Styles, scripts, fonts and icons: held in memory, compressed once, under addresses that change with
their content, so that a browser may keep them for a year."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Flask, Response, abort, current_app, request

from app.web.frame.security import public

FOLDER = Path(__file__).parents[2] / "static"
_COMPRESSED = (".css", ".js", ".svg")
_TYPES = {".woff2": "font/woff2", ".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}
_SERVED = (*_TYPES, ".png", ".ico")

blueprint = Blueprint("static_files", __name__)


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    squeezed: bytes | None
    mimetype: str


class StaticFiles:
    """`digest` covers all files: a style sheet names its fonts by relative addresses, so they have to
    change together."""

    def __init__(self, folder: Path) -> None:
        found = sorted(path for path in folder.rglob("*") if path.suffix in _SERVED)
        self.files = {path.relative_to(folder).as_posix(): _load(path) for path in found}
        everything = hashlib.sha256()
        for name, file in self.files.items():
            everything.update(name.encode() + b"\0" + file.body)
        self.digest = everything.hexdigest()[:12]

    def url(self, name: str) -> str:
        if name not in self.files:
            raise LookupError(f"app/static/{name} does not exist")
        return f"/static/{self.digest}/{name}"


def _load(path: Path) -> _File:
    body = path.read_bytes()
    squeezed = gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSED else None
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(body, squeezed, _TYPES.get(path.suffix, guessed))


def init_static(app: Flask) -> None:
    files = StaticFiles(FOLDER)
    app.extensions["plumbline_static"] = files
    app.jinja_env.globals["static_url"] = files.url


@blueprint.get("/static/<digest>/<path:name>")
@public
def file(digest: str, name: str) -> Response:
    files: StaticFiles = current_app.extensions["plumbline_static"]
    found = files.files.get(name)
    if found is None:
        abort(404)
    answer = Response(found.body, mimetype=found.mimetype)
    if found.squeezed and "gzip" in request.headers.get("Accept-Encoding", ""):
        answer = Response(found.squeezed, mimetype=found.mimetype)
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.add("Accept-Encoding")
    # An address of an earlier release gets today's file, but nobody may keep it.
    current = digest == files.digest
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if current else "no-cache"
    return answer
