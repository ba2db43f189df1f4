"""Every environment variable: its name, type, default and one sentence.

A variable that starts with PLUMBLINE_ and is not known here stops the start, as does a value that
does not parse: a typing error must not silently become a default.  `<NAME>_FILE` reads the value
from a file, for secrets.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from app.errors import SettingInvalid

PREFIX = "PLUMBLINE_"
_HERE = Path("instance")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.replace(",", " ").split() if word)


def _flag(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("use 1 or 0")


def _setting(default: Any, parse: Callable[[str], Any], sentence: str) -> Any:
    return field(default=default, metadata={"parse": parse, "sentence": sentence})


@dataclass(frozen=True, kw_only=True)
class Settings:
    host: str = _setting("127.0.0.1", str, "The address to listen on.")
    port: int = _setting(8000, int, "The port to listen on.")
    data_dir: Path = _setting(_HERE, Path, "Where the database and the key are kept.")
    database_url: str = _setting("", str, "An SQLAlchemy address; empty = SQLite in the data folder.")
    public_url: str = _setting("", str, "The address senders and browsers use, if not host and port.")
    secret_key: str = _setting("", str, "The master key (64 hex digits); empty = a file in the data folder.")
    allow_targets: tuple[str, ...] = _setting(
        (), _words, "Private addresses calls may go to: `host:port`, `host` or a CIDR range, by spaces."
    )
    connectors_path: str = _setting("", str, "Folder of your own connectors; empty = `connectors` in data.")
    smtp_url: str = _setting(
        "", str, "`smtp://user:password@host:port` for alerts, and email steps without connection."
    )
    smtp_from: str = _setting("", str, "The sender of alerts, and of emails when a step names none.")
    max_body_mb: int = _setting(10, int, "The largest webhook body that is accepted, in megabytes.")
    history_days: int = _setting(30, int, "Days that finished runs are kept.")
    concurrency: int = _setting(256, int, "How many runs may be under way at once.")
    min_free_mb: int = _setting(500, int, "Below this much free disk webhooks are answered 503.")
    demo_url: str = _setting("", str, "Where the demo services answer; empty = no demo.")
    web_threads: int = _setting(40, int, "Threads that serve pages and webhooks.")
    door_process: bool = _setting(
        True, _flag, "0 = deliveries are taken in the process that runs flows, as on one core."
    )
    log_level: str = _setting("info", str, "debug, info, warning or error.")
    secure_cookies: bool = _setting(False, _flag, "1 when people reach Plumbline over https only.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        environ = os.environ if environ is None else environ
        known = {PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        for name in sorted(n for n in environ if n.startswith(PREFIX)):
            base = name.removesuffix("_FILE")
            if name not in known and base not in known:
                raise _unknown(name, list(known))
            setting = known.get(name) or known[base]
            text = environ[name] if name in known else _read(name, environ[name])
            values[setting.name] = _parse(name, text, setting.metadata["parse"])
        return cls(**values)

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{(self.data_dir / 'plumbline.db').absolute()}"

    @property
    def base_url(self) -> str:
        """How a browser on this machine reaches the server, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def connectors_folder(self) -> Path:
        return Path(self.connectors_path) if self.connectors_path else self.data_dir / "connectors"


def _unknown(name: str, known: list[str]) -> SettingInvalid:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return SettingInvalid(f"{name} is not a setting of Plumbline.{hint}", remedy="See docs/settings.md.")


def _read(name: str, path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError as reason:
        raise SettingInvalid(f"{name}: {path} cannot be read ({reason.strerror}).") from reason


def _parse(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError as reason:
        raise SettingInvalid(f"{name}={text!r} cannot be used: {reason}.") from reason
