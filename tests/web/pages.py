"""The pages as an application: made once per test process, since its addresses and templates are the same
for every installation, and then bound to the parts of a test."""

from __future__ import annotations

import copy

from flask import Flask

from app.parts import Parts
from app.web import bind, create_app

_made: list[Flask] = []


def pages_over(parts: Parts) -> Flask:
    if not _made:
        _made.append(create_app(parts))
    app = copy.copy(_made[0])
    app.config = copy.copy(app.config)
    app.teardown_appcontext_funcs = []
    app.extensions = {name: value for name, value in app.extensions.items() if name != "sqlalchemy"}
    bind(app, parts)
    return app
