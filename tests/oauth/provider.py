"""A certified OpenID provider as a process on this machine, and a person who signs in on its pages."""

from __future__ import annotations

import html
import re
import select
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from tests import needs

_SCRIPT = Path(__file__).parent / "oidc" / "server.mjs"
_PATIENCE_S = 120  # a limit, never a duration
_ACTION = re.compile(r'<form[^>]*action="([^"]+)"')
_PROMPT = re.compile(r'name="prompt" value="(\w+)"')


class Provider:
    """`redirect`: the only address that it sends anybody back to."""

    def __init__(self, folder: Path, redirect: str) -> None:
        node, installed = needs.oidc_provider()
        self._log = (folder / "provider.log").open("ab")
        self._process = subprocess.Popen(
            [node, str(_SCRIPT), installed, redirect], stdout=subprocess.PIPE, stderr=self._log
        )
        self.url = self._first_line()
        self.redirect = redirect

    @property
    def place(self) -> str:
        return urlsplit(self.url).netloc

    def _first_line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE_S)
        line = self._process.stdout.readline().decode().strip() if ready else ""
        if not line.startswith("http"):
            self.close()
            raise AssertionError(f"The provider did not start: {Path(self._log.name).read_text()}")
        return line

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    # ------------------------------------------------------------------------ what happens there

    def take_access_away(self) -> None:
        """As somebody does in the settings of the account."""
        self._get("/tests/take-away")

    @property
    def asked(self) -> list[list[str]]:
        """What came to its token endpoint: the grant type, and `token` or the error."""
        found: list[list[str]] = self._get("/tests/asked")["asked"]
        return found

    @property
    def members(self) -> list[Any]:
        found: list[Any] = self._get("/tests/asked")["members"]
        return found

    def _get(self, path: str) -> Any:
        return httpx.get(self.url + path, trust_env=False, timeout=_PATIENCE_S).json()

    def sign_in(self, address: str, login: str = "harbour", *, allow: bool = True) -> dict[str, str]:
        """From the address the browser is sent to, over the pages of the provider, to what it brings back."""
        with httpx.Client(trust_env=False, timeout=_PATIENCE_S) as client:
            answer = client.get(address)
            for _ in range(12):
                if answer.is_redirect:
                    place = urljoin(str(answer.url), answer.headers["location"])
                    if place.startswith(self.redirect):
                        return dict(httpx.URL(place).params)
                    answer = client.get(place)
                elif allow:
                    address, data = _filled(answer, login)
                    answer = client.post(address, data=data)
                else:
                    answer = client.get(f"{answer.url}/abort")
        raise AssertionError(f"No way back to Plumbline: {answer.status_code} {answer.text[:500]}")


def _filled(page: httpx.Response, login: str) -> tuple[str, dict[str, str]]:
    """The form of its page: who one is, or that one allows it."""
    action, prompt = _ACTION.search(page.text), _PROMPT.search(page.text)
    assert action is not None, page.text
    assert prompt is not None, page.text
    data = {"prompt": prompt[1], "login": login, "password": "any"}
    return urljoin(str(page.url), html.unescape(action[1])), data
