"""A WordPress of Debian's packages: its files copied, a MariaDB of its own, PHP's built-in server."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.needs import missing
from tests.product import free_port
from tests.systems.processes import run, running, until

_FILES = Path("/usr/share/wordpress")
_PROGRAMS = ("mariadb-install-db", "mariadbd", "mariadb", "php")
_CONFIG = """<?php
define('DB_NAME', 'wp');
define('DB_USER', 'wp');
define('DB_PASSWORD', 'wp');
define('DB_HOST', '127.0.0.1:{database_port}');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HOME', '{address}');
define('WP_SITEURL', '{address}');
define('WP_ENVIRONMENT_TYPE', 'local');  // application passwords without https
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('AUTH_KEY', 'tests'); define('SECURE_AUTH_KEY', 'tests'); define('LOGGED_IN_KEY', 'tests');
define('NONCE_KEY', 'tests'); define('AUTH_SALT', 'tests'); define('SECURE_AUTH_SALT', 'tests');
define('LOGGED_IN_SALT', 'tests'); define('NONCE_SALT', 'tests');
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""
_INSTALL = """<?php
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = '{host}';
require '{site}/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Garden blog', 'ada', 'ada@example.com', true, '', 'a long enough password');
update_option('permalink_structure', '/%postname%/');
update_option('timezone_string', 'Europe/Berlin');
flush_rewrite_rules();
echo WP_Application_Passwords::create_new_application_password(1, ['name' => 'plumbline'])[0];
"""
_ROUTER = """<?php
$file = __DIR__ . parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (is_file($file)) return false;
require __DIR__ . '/index.php';
"""


@dataclass(frozen=True)
class WordPress:
    address: str
    user: str
    password: str

    @property
    def target(self) -> str:
        return self.address.removeprefix("http://")

    def client(self) -> httpx.Client:
        base = f"{self.address}/wp-json/wp/v2"
        return httpx.Client(base_url=base, auth=(self.user, self.password), trust_env=False, timeout=60)


@contextmanager
def wordpress(folder: Path) -> Iterator[WordPress]:
    """Installed anew in `folder`, with one user and an application password."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent or not _FILES.exists():
        missing(f"No WordPress here ({', '.join(absent)}): run `make systems`, which installs it.")
    folder.mkdir(parents=True)
    with _database(folder) as database_port:
        site, port = folder / "site", free_port()
        address = f"http://127.0.0.1:{port}"
        shutil.copytree(_FILES, site, symlinks=False)
        config = _CONFIG.replace("{database_port}", str(database_port)).replace("{address}", address)
        (site / "wp-config.php").write_text(config)
        (site / "router.php").write_text(_ROUTER)
        install = folder / "install.php"
        install.write_text(_INSTALL.replace("{site}", str(site)).replace("{host}", f"127.0.0.1:{port}"))
        said = run(["php", str(install)]).strip()
        password = said[-24:]
        assert password.isalnum(), f"WordPress was not installed:\n{said}"
        command = ["php", "-S", f"127.0.0.1:{port}", "-t", str(site), str(site / "router.php")]
        log = folder / "php.log"
        with running(command, log, env={"PHP_CLI_SERVER_WORKERS": "4"}):
            until(lambda: _answers(address), "WordPress did not answer", log)
            yield WordPress(address, "ada", password)


@contextmanager
def _database(folder: Path) -> Iterator[int]:
    data, port, log = folder / "database", free_port(), folder / "mariadb.log"
    run(
        [
            *("mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}"),
            "--auth-root-authentication-method=normal",
        ]
    )
    address = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={data}/s.sock"]
    with running(["mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", *address], log):
        until(lambda: _listens(port), "MariaDB did not listen", log)
        users = [f"wp@'{host}'" for host in ("localhost", "127.0.0.1")]  # before anybody without a name
        made = [f"CREATE USER {user} IDENTIFIED BY 'wp'; GRANT ALL ON wp.* TO {user};" for user in users]
        script = f"CREATE DATABASE wp CHARACTER SET utf8mb4; {' '.join(made)}"
        run(["mariadb", "--no-defaults", f"--socket={data}/s.sock", "--user=root", "--execute", script])
        yield port


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/wp-json/wp/v2/types", trust_env=False, timeout=60).status_code == 200
    except httpx.TransportError:
        return False
