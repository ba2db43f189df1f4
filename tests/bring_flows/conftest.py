"""A server with somebody signed in, and one without web, as other tests have them."""

from tests.engine.conftest import world
from tests.web.conftest import app, browser, empty, kept_password, parts, service, settings

__all__ = ["app", "browser", "empty", "kept_password", "parts", "service", "settings", "world"]
