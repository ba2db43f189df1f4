"""A server with somebody signed in, as the tests of the pages have it."""

from tests.web.conftest import app, browser, empty, kept_password, parts, service, settings

__all__ = ["app", "browser", "empty", "kept_password", "parts", "service", "settings"]
