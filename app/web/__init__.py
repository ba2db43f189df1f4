"""Pages: one module per noun, with templates of the same name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import jinja2
from flask import Blueprint, Flask

from app.storage.database.db import init_sessions
from app.web.frame.context import init_context
from app.web.frame.errors import init_errors
from app.web.frame.hx import init_hx
from app.web.frame.security import init_security, session_settings
from app.web.frame.static_files import init_static
from app.web.home.health import init_health

if TYPE_CHECKING:
    from app.parts import Parts


def create_app(parts: Parts) -> Flask:
    """Makes the pages over parts that somebody else starts and stops; deliveries do not come here."""
    app = Flask("app", static_folder=None)
    app.jinja_options = {"autoescape": True, "undefined": jinja2.StrictUndefined}
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    init_hx(app)
    init_security(app)
    init_static(app)
    init_context(app)
    init_errors(app)
    for blueprint in _blueprints():
        app.register_blueprint(blueprint)
    bind(app, parts)
    return app


def bind(app: Flask, parts: Parts) -> None:
    """Sets all of an application that depends on the parts: the rest is the same for every installation."""
    app.extensions["plumbline"] = parts
    app.config["MAX_CONTENT_LENGTH"] = (parts.settings.max_body_mb + 1) * 1024 * 1024
    app.config["MAX_FORM_MEMORY_SIZE"] = app.config["MAX_CONTENT_LENGTH"]  # a flow pasted as text
    app.config["MAX_FORM_PARTS"] = 5000
    app.config.update(session_settings(parts.settings, parts.vault))
    init_sessions(app, parts.database)
    init_health(app, parts.changes)


def _blueprints() -> list[Blueprint]:
    """What the modules below this folder call `blueprint`: a new page touches no shared file."""
    names = sorted(module.name for module in pkgutil.walk_packages(__path__, f"{__name__}."))
    modules = [importlib.import_module(name) for name in names]
    found = [getattr(module, "blueprint", None) for module in modules]
    return [blueprint for blueprint in found if isinstance(blueprint, Blueprint)]
