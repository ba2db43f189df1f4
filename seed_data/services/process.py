"""The demo services as one Flask application and as one process."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
from flask import Flask, Response, abort, flash, jsonify, redirect, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server
from werkzeug.wrappers import Response as Answer

from seed_data.services import chat, crm, mail, shop, site
from seed_data.services.faults import MODES, Faults, RateLimit
from seed_data.services.outbox import Outbox, crm_headers, shop_headers
from seed_data.services.shared import KEYS, SECRETS, Services, log_call, services
from seed_data.services.shelf import Shelf

_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
NAMES = {"shop": "Shop", "site": "Website", "crm": "CRM", "mail": "Email tool", "chat": "Team chat"}


def create_services(
    file: Path | None = None,
    *,
    transport: httpx.BaseTransport | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Flask:
    """`file`: where they keep their things, None = in memory.  `transport`: for their webhooks."""
    app = Flask(__name__)
    app.secret_key = os.urandom(16)
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000
    shelf = Shelf(file)
    signers = {
        "shop": lambda body: shop_headers(SECRETS["shop"], body),
        "crm": lambda body: crm_headers(SECRETS["crm"], body),
    }
    outbox = Outbox(shelf, signers, transport=transport)
    limits = {"shop": RateLimit(20), "crm": RateLimit(10), "mail": RateLimit(10)}
    app.extensions["services"] = Services(shelf, outbox, Faults(shelf, wait=wait), limits)
    for module in (shop, crm, mail, chat, site):
        app.register_blueprint(module.blueprint)
    _add_pages(app)
    with app.app_context():
        shop.seed()
        crm.seed()
    return app


def _add_pages(app: Flask) -> None:
    app.context_processor(_facts)
    app.before_request(_refuse_foreign_forms)
    app.after_request(log_call)
    app.after_request(_add_headers)
    app.add_url_rule("/", "front", lambda: redirect("/shop/"))
    app.add_url_rule("/health", "health", lambda: jsonify({"ok": True, "is": "plumbline demo services"}))
    app.add_url_rule("/switch/<service>", "switch", _switch, methods=["POST"])


def _facts() -> dict[str, object]:
    here = request.path.split("/")[1]
    faults: Faults = services().faults
    return {
        "names": NAMES,
        "here": here,
        "modes": MODES,
        "mode": faults.mode(here),
        "troubled": [name for name in NAMES if faults.mode(name) != "fine"],
        "key": KEYS.get(here, ""),
        "secret": SECRETS.get(here, ""),
    }


def _switch(service: str) -> Answer:
    if service not in NAMES:
        abort(404)
    services().faults.set_mode(service, request.form.get("mode", ""))
    flash(f"{NAMES[service]}: {MODES[services().faults.mode(service)].lower()}.", "good")
    return redirect(f"/{service}/")


def _refuse_foreign_forms() -> None:
    """A page from elsewhere may not place orders here through somebody's browser."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") == "cross-site":
        abort(403)


def _add_headers(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = _POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


# ------------------------------------------------------------------------------------- process


class _Quiet(WSGIRequestHandler):
    """Keeps connections open, as services do, and does not write a line per request."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return


def _listen(host: str, ports: Iterable[int]) -> socket.socket:
    """On the first port that is free.  Raises OSError when none is."""
    reason: OSError | None = None
    for port in ports:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=128)
        except OSError as one:
            reason = one
    raise reason or OSError("no port to try")


class RunningServices:
    """The services on a port of this process; for the command and for tests.  `last_port`: when the
    port is taken the next ones are tried, up to this."""

    def __init__(self, host: str, port: int, file: Path | None = None, *, last_port: int = 0) -> None:
        with _listen(host, range(port, max(port, last_port) + 1)) as listener:
            self.app = create_services(file)
            self._server: BaseWSGIServer = make_server(
                host, port, self.app, threaded=True, request_handler=_Quiet, fd=listener.fileno()
            )
        self.address = f"http://{host}:{self._server.port}"
        self._outbox = self.app.extensions["services"].outbox

    def serve(self) -> None:
        """Until `stop` is called from another thread, or Ctrl-C."""
        self._outbox.start()
        self._server.serve_forever()

    def start(self) -> None:
        threading.Thread(target=self.serve, name="demo services", daemon=True).start()

    def stop(self) -> None:
        self._outbox.stop()
        self._server.shutdown()
        self._server.server_close()
        self.app.extensions["services"].shelf.close()


def end_with(parent: int) -> None:
    """End this process when its parent has ended, however that came about."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
