"""Flows between servers that nobody here wrote: WordPress, MailDev, and the demo's CRM."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.product import EMAIL, PASSWORD, Product
from tests.systems.maildev import MailDev, maildev
from tests.systems.processes import until
from tests.systems.wordpress import WordPress, wordpress

FLOWS = Path(__file__).parent / "flows"
_TOKEN = re.compile(r'X-CSRFToken": "([^"]+)"')


class WithDemo(Product):
    words = ("serve", "--demo")

    @property
    def demo_url(self) -> str:
        found = re.search(r"The demo shop is open: (http://\S+?)/shop/", self.log)
        assert found, self.log
        return found[1]

    def runs(self, flow_id: str) -> list[dict[str, Any]]:
        printed = self.command("runs", "list", "--flow", flow_id, "--json")
        found: list[dict[str, Any]] = json.loads(printed)["runs"]
        return found

    def install(self, file: str) -> dict[str, str]:
        printed = self.command(
            *("flows", "import", str(FLOWS / file), "--publish", "--on", "--json"), demo_url=self.demo_url
        )
        made: dict[str, str] = json.loads(printed)[0]
        return made


@pytest.fixture(scope="module")
def blog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordPress]:
    with wordpress(tmp_path_factory.mktemp("blog") / "wordpress") as blog:
        yield blog


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailDev]:
    with maildev(tmp_path_factory.mktemp("mail") / "maildev") as mail:
        yield mail


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, blog: WordPress, mail: MailDev) -> Iterator[WithDemo]:
    settings = {"allow_targets": blog.target, "smtp_url": f"smtp://127.0.0.1:{mail.smtp_port}"}
    product = WithDemo(tmp_path_factory.mktemp("systems") / "product", settings)
    try:
        product.start()
        product.add_user()
        with signed_in(product) as person:
            connect(person, blog)
        yield product
    finally:
        product.stop()


@contextmanager
def signed_in(product: Product) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=product.base_url, trust_env=False, timeout=60) as person:
        send(person, "/login", {"email": EMAIL, "password": PASSWORD})
        yield person


def send(person: httpx.Client, path: str, form: dict[str, str]) -> httpx.Response:
    found = _TOKEN.search(person.get("/nothing-is-here").text)
    assert found is not None
    return person.post(path, data={"csrf_token": found[1], **form})


def connect(person: httpx.Client, blog: WordPress) -> None:
    made = send(person, "/connections/new", {"connector": "wordpress", **_form(blog)})
    assert made.status_code == 303, made.text
    page = made.headers["location"].partition("?")[0]
    send(person, f"{page}/check", {})
    assert "account “ada”" in person.get(page).text


def fix(person: httpx.Client, blog: WordPress) -> None:
    found = re.search(
        r'href="(/connections/con_[a-z0-9]+)"[^>]*>[^<]*Garden blog', person.get("/connections").text
    )
    assert found is not None
    assert send(person, found[1], _form(blog)).status_code == 303


def _form(blog: WordPress) -> dict[str, str]:
    return {
        "name": "Garden blog",
        "auth": "application_password",
        "field.site": blog.address,
        "field.username": blog.user,
        "field.password": blog.password,
    }


def test_a_message_of_the_form_waits_as_a_draft_in_wordpress(product: WithDemo, blog: WordPress) -> None:
    flow = product.install("form_to_draft.yaml")
    body = {"submission_id": "f-1", "name": "Ana Silva", "message": "When do I plant tulips? & <soon>"}
    for status in (202, 200):  # sent twice by an impatient form: one draft
        answer = httpx.post(flow["hook_url"], json=body, trust_env=False, timeout=60)
        assert answer.status_code == status, answer.text
    until(lambda: _states(product, flow) == ["succeeded"], f"No draft: {product.runs(flow['id'])}")
    with blog.client() as editor:
        drafts = editor.get("/posts", params={"status": "draft", "context": "edit"}).json()
    assert [post["title"]["raw"] for post in drafts] == ["Question of Ana Silva"]
    assert "When do I plant tulips?" in drafts[0]["content"]["raw"]


def test_a_new_post_reaches_the_crm_and_the_editors_by_mail(
    product: WithDemo, blog: WordPress, mail: MailDev
) -> None:
    flow = product.install("post_to_crm.yaml")
    until(lambda: _has_looked(product, flow), "The blog was not looked at")
    with blog.client() as editor:
        post = {"title": "Tulips & daffodils", "content": "<p>Now.</p>", "status": "publish"}
        made = editor.post("/posts", json=post)
        assert made.status_code == 201, made.text
    until(lambda: _states(product, flow) == ["succeeded"], f"No run: {product.runs(flow['id'])}")
    with httpx.Client(base_url=product.demo_url, trust_env=False, timeout=60) as demo:
        assert f"post-{made.json()['id']}@blog.example.com" in demo.get("/crm/").text
    mails = mail.mails()
    assert [one["to"][0]["address"] for one in mails] == ["editors@example.com"]
    assert mails[0]["subject"].startswith("New post: Tulips")
    assert made.json()["link"] in mails[0]["text"]


def _has_looked(product: WithDemo, flow: dict[str, str]) -> bool:
    with signed_in(product) as person:
        return "It has not looked yet" not in person.get(f"/flows/{flow['id']}/polls").text


def test_a_password_that_was_taken_back_is_told_and_the_run_goes_on_with_a_new_one(
    product: WithDemo, blog: WordPress
) -> None:
    flow = product.install("form_to_draft.yaml")
    passwords = "/users/me/application-passwords"
    with blog.client() as editor:
        other = editor.post(passwords, json={"name": "other"}).json()
    anew = WordPress(blog.address, blog.user, other["password"])
    with anew.client() as editor:
        for one in editor.get(passwords).json():
            if one["uuid"] != other["uuid"]:
                editor.delete(f"{passwords}/{one['uuid']}")
        body = {"submission_id": "f-2", "name": "Rui Costa", "message": "Do you deliver?"}
        httpx.post(flow["hook_url"], json=body, trust_env=False, timeout=60)
        until(lambda: _states(product, flow) == ["waiting"], f"It did not wait: {product.runs(flow['id'])}")
        assert "Garden blog" in product.runs(flow["id"])[0]["sentence"]
        with signed_in(product) as person:
            fix(person, anew)
        until(lambda: _states(product, flow) == ["succeeded"], f"It waits: {product.runs(flow['id'])}")
        drafts = editor.get("/posts", params={"status": "draft", "search": "Rui Costa"}).json()
    assert len(drafts) == 1


def _states(product: WithDemo, flow: dict[str, str]) -> list[str]:
    return [run["state"] for run in product.runs(flow["id"])]
