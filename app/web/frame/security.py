"""Who may ask what: login by default for every address, no foreign forms, headers that keep pages shut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flask import Flask, Response, current_app, request
from flask_wtf.csrf import CSRFProtect

from app.errors import NotAllowed
from app.settings import Settings
from app.storage.database.secrets import Vault
from app.web.frame.context import may, me, parts
from app.web.frame.hx import hx, redirect

View = TypeVar("View", bound=Callable[..., object])

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "font-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def public(view: View) -> View:
    """Marks a view that strangers may ask for."""
    view.is_public = True  # type: ignore[attr-defined]
    return view


def for_viewers(view: View) -> View:
    """Marks a view that changes something and is still open to people who may only look."""
    view.is_for_viewers = True  # type: ignore[attr-defined]
    return view


def session_settings(settings: Settings, vault: Vault) -> dict[str, Any]:
    """Returns Flask's settings for the session cookie and the tokens of forms."""
    secure = settings.secure_cookies or settings.base_url.startswith("https://")
    # Cookies are shared by all ports of a host: two installations must not sign each other out.
    name = f"plumbline_{settings.port}"
    return {
        "SECRET_KEY": vault.derive("session cookies"),
        "SESSION_COOKIE_NAME": f"__Host-{name}" if secure else name,
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": 14 * 86400,
        "SESSION_REFRESH_EACH_REQUEST": False,  # static files must not carry a cookie
        "WTF_CSRF_CHECK_DEFAULT": False,  # checked below, after the origin
        "WTF_CSRF_TIME_LIMIT": None,  # an editor stays open all day
        "WTF_CSRF_SSL_STRICT": False,  # the origin is checked below, behind proxies too
    }


def init_security(app: Flask) -> None:
    app.before_request(_refuse_foreign)
    forms = CSRFProtect(app)

    @app.before_request
    def check_token() -> None:
        forms.protect()

    app.before_request(_require_login)
    app.after_request(_shut)


def _refuse_foreign() -> None:
    """Browsers say where a request comes from; another site's forms are refused before all else."""
    if request.method in _SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = request.headers.get("Origin", "")
    own = (request.host, urlsplit(parts().settings.base_url).netloc)  # a proxy may change the first
    foreign = origin and urlsplit(origin).netloc not in own
    if site not in ("same-origin", "none") or (foreign and "Sec-Fetch-Site" not in request.headers):
        raise NotAllowed("This request came from another website and was not carried out.")


def _require_login() -> Response | None:
    if request.endpoint is None:
        return None
    view = current_app.view_functions[request.endpoint]
    if getattr(view, "is_public", False):
        return None
    if me() is None:
        return _to_login()
    if (
        request.method not in _SAFE_METHODS
        and not may("editor")
        and not getattr(view, "is_for_viewers", False)
    ):
        raise NotAllowed(
            "You may look, but not change anything here.",
            remedy="Ask an administrator of this Plumbline to make you an editor.",
        )
    return None


def _to_login() -> Response:
    wanted = request.full_path.rstrip("?")
    if hx():
        current = urlsplit(hx().current_url or "/")
        wanted = current.path + (f"?{current.query}" if current.query else "")
    from_get = request.method in _SAFE_METHODS or hx()
    suffix = f"?next={quote(wanted, safe='/')}" if from_get and wanted != "/" else ""
    return redirect(f"/login{suffix}")


def _shut(answer: Response) -> Response:
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)
    if answer.mimetype == "text/html":
        answer.vary.update(("HX-Request", "HX-Request-Type"))
        answer.headers.setdefault("Cache-Control", "no-store" if hx().partial else "no-cache")
    return answer
