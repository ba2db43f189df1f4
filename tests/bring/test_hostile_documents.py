"""Broken and hostile descriptions: a report with file, place and reason; never a hang, never half a
connector."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.catalog.load import load_connector
from app.errors import ConnectorInvalid
from app.imports.apis.draft import Draft, draft_of
from app.imports.apis.fenced import draft_fenced
from app.imports.apis.fetching import draft_with_references
from app.imports.apis.folder import write_connector
from app.imports.apis.given import Given, draft_from

DAY = "2026-11-21"
ROOT = Path(__file__).parents[2]


def document(paths: Any, **more: Any) -> dict[str, Any]:
    head = {"openapi": "3.0.3", "info": {"title": "Odd", "version": "1"}}
    return {**head, "servers": [{"url": "https://x.example"}], "paths": paths, **more}


def read(root: Any) -> Draft:
    text = root if isinstance(root, str) else json.dumps(root)
    return draft_from(Given(text.encode("utf-8", "surrogatepass"), "odd.json", DAY))


def post(schema: Any, **more: Any) -> dict[str, Any]:
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": {"requestBody": body, **more}}


def inputs(draft: Draft) -> dict[str, dict[str, Any]]:
    (one,) = draft.operations
    assert one.reason == ""
    return {field["key"]: field for field in one.action["input"]}


def test_ids_that_are_missing_or_there_twice_get_keys_of_their_own() -> None:
    get = {"get": {"operationId": "same"}}
    draft = read(
        document({"/a": get, "/b": get, "/c/{id}": {"get": {}}, "/d": {"get": {"operationId": "1 %"}}})
    )
    assert [one.key for one in draft.usable] == ["same", "same_2", "get_c_id", "get_1"]


def test_a_schema_that_holds_itself_becomes_json() -> None:
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "child": {"$ref": "#/components/schemas/Tree"}},
    }
    ring = {"allOf": [{"$ref": "#/components/schemas/Ring"}]}
    schemas = {"Tree": tree, "Ring": ring}
    draft = read(
        document({"/t": post({"$ref": "#/components/schemas/Tree"})}, components={"schemas": schemas})
    )
    assert {key: field.get("type") for key, field in inputs(draft).items()} == {"name": None, "child": "json"}
    rings = document({"/t": post({"$ref": "#/components/schemas/Ring"})}, components={"schemas": schemas})
    assert read(rings).usable


def test_variants_offer_all_fields_and_ask_for_one() -> None:
    by_mail = {"type": "object", "required": ["email"], "properties": {"email": {"type": "string"}}}
    by_id = {"type": "object", "required": ["user"], "properties": {"user": {"type": "integer"}}}
    draft = read(document({"/t": post({"oneOf": [by_mail, by_id]})}))
    assert set(inputs(draft)) == {"email", "user"}
    assert draft.usable[0].action["one_of"] == ["email", "user"]


def test_types_of_3_1_constants_and_what_only_the_service_writes() -> None:
    schema = {
        "type": "object",
        "required": ["kind", "size"],
        "properties": {
            "kind": {"const": "note"},
            "size": {"type": ["integer", "null"], "examples": [3]},
            "level": {"enum": [1, 2]},
            "when": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "readOnly": True},
        },
    }
    draft = read(document({"/t": post(schema)}))
    assert {key: field.get("type") for key, field in inputs(draft).items()} == {
        "size": "integer",
        "level": "choice",
        "when": "datetime",
    }
    assert draft.usable[0].action["requests"][0]["body"] == {
        "kind": "note",
        "size": "${input.size}",
        "level": "${input.level | number}",
        "when": "${input.when | iso8601}",
    }


def test_what_looks_like_a_reference_of_ours_is_never_taken_for_one(tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"const": "${connection.token}"},
            "${input.b}": {"type": "string"},
            "$when": {"type": "string"},
        },
    }
    draft = read(document({"/t": post(schema), "/${connection.token}": {"get": {}}, "/ok": {"get": {}}}))
    assert [one.title for one in draft.usable] == ["GET /ok"]
    assert all(one.reason for one in draft.refused)


@pytest.mark.parametrize(
    ("name", "why"),
    [("cookie", "cookie"), ("mutual", "mutual TLS"), ("gone", "does not describe")],
)
def test_a_sign_in_that_cannot_be_done_is_a_reason(name: str, why: str) -> None:
    schemes = {"cookie": {"type": "apiKey", "in": "cookie", "name": "sid"}, "mutual": {"type": "mutualTLS"}}
    paths = {"/t": {"get": {"security": [{name: []}]}}}
    draft = read(document(paths, components={"securitySchemes": schemes}))
    assert why in draft.refused[0].reason


@pytest.mark.parametrize(
    ("servers", "base"),
    [
        ([], "${connection.server}"),
        ([{"url": "/api/v3"}], "${connection.server}/api/v3"),
        ([{"url": "https://{shop}.example/v1"}], "https://${connection.shop}.example/v1"),
        ([{"url": "{base}"}], "${connection.base}"),
        ([{"url": "https://a.example"}, {"url": "https://b.example"}], "${connection.server}"),
    ],
)
def test_servers_without_an_address_are_asked_for_and_held_to_a_pattern(servers: Any, base: str) -> None:
    draft = read(document({"/t": {"get": {}}}, servers=servers))
    assert draft.head["api"]["base_url"] == base
    assert all(one.get("pattern") for one in draft.head["connection_fields"])
    assert draft.usable


def test_a_part_of_a_server_cannot_lead_to_another_host() -> None:
    draft = read(document({"/t": {"get": {}}}, servers=[{"url": "https://{shop}.example/{path}"}]))
    for field in draft.head["connection_fields"]:
        for evil in ("evil.test/", "evil.test#", "a@evil.test", "evil.test?", "evil.test\\", "x/../.."):
            assert not re2.fullmatch(field["pattern"], evil), (field["key"], evil)


def test_a_relative_server_is_seen_from_where_the_document_came() -> None:
    root = json.dumps(document({"/t": {"get": {}}}, servers=[{"url": "/v2"}])).encode()
    draft = draft_from(Given(root, "x", DAY, home="https://docs.example/openapi.json"))
    assert draft.head["api"]["base_url"] == "https://docs.example/v2"


def test_yaml_keeps_dates_and_words_as_texts_and_shares_what_anchors_name() -> None:
    text = """
openapi: 3.1.0
info: {title: Dated, version: 2024-01-01}
servers: [{url: "https://x.example"}]
components: {schemas: {Note: &note {type: object, properties: {on: {type: string, example: 2024-05-06}}}}}
paths:
  /notes:
    post:
      requestBody: {content: {application/json: {schema: *note}}}
      responses: {200: {description: "ok\x07"}}
"""
    draft = read(text)
    assert draft.version == "2024-01-01"
    assert inputs(draft)["on"]["help"] == "For example: 2024-05-06"


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}' if n else '*a'] * 9)}]\n" for n in range(20)),
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        "- " * 10_000,
        "{a: " * 10_000,
        "%YAML 9.9\n---\n&x *x",
        "",
        "\x00\x01\x02",
        "openapi: 3.0.0\npaths: []",
        '{"openapi": "4.0.0", "paths": {"/x": {}}}',
        '{"swagger": "1.2"}',
        "null",
    ],
    ids=range(12),
)
def test_what_cannot_be_read_is_refused_with_the_file_and_a_reason(text: str) -> None:
    with pytest.raises(ConnectorInvalid) as refused:
        read(text)
    assert refused.value.file == "odd.json"
    assert len(refused.value.reason) > 10


def test_references_that_double_at_each_level_do_not_unfold() -> None:
    def one(n: int) -> dict[str, Any]:
        link = {"$ref": f"#/components/schemas/S{n + 1}", "description": "more"}
        return {"allOf": [link, {"type": "object", "properties": {"a": link, "b": link}}, link]}

    schemas: dict[str, Any] = {f"S{n}": one(n) for n in range(60)} | {"S60": {"type": "string"}}
    started = time.process_time()
    draft = read(document({"/t": post({"$ref": "#/components/schemas/S0"})}, components={"schemas": schemas}))
    assert len(draft.operations) == 1
    assert time.process_time() - started < 60


def test_a_hostile_pattern_is_left_out_and_others_hold_for_the_whole_value() -> None:
    schema = {
        "type": "object",
        "properties": {
            "bad": {"type": "string", "pattern": "(?=a)(a+)+$"},
            "back": {"type": "string", "pattern": r"(a)\1"},
            "part": {"type": "string", "pattern": "[0-9]"},
            "whole": {"type": "string", "pattern": "^[a-z]{2}$"},
        },
    }
    found = inputs(read(document({"/t": post(schema)})))
    assert "pattern" not in found["bad"]
    assert "pattern" not in found["back"]
    assert found["whole"]["pattern"] == "(?:[a-z]{2})"
    assert found["part"]["pattern"] == "(?s:.*)(?:[0-9])(?s:.*)"


# ------------------------------------------------------------------------------------ the fence


def test_a_document_that_takes_too_long_ends_with_a_sentence() -> None:
    with pytest.raises(ConnectorInvalid, match="could not be read within"):
        draft_fenced(Given(b"{}", "slow.json", DAY), most_s=0.001)


def test_a_refusal_comes_through_the_fence_as_it_is() -> None:
    with pytest.raises(ConnectorInvalid) as refused:
        draft_fenced(Given(b"{}", "empty.json", DAY))
    assert (refused.value.file, "openapi" in refused.value.reason) == ("empty.json", True)


def big(size: int) -> bytes:
    words = "Something that a description says at length about this field. " * 8
    fields = {f"field_{n}": {"type": "string", "description": words} for n in range(30)}
    schemas = {f"S{n}": {"type": "object", "properties": fields} for n in range(size // 17_000)}
    paths = {f"/s{n}": post({"$ref": f"#/components/schemas/{name}"}) for n, name in enumerate(schemas)}
    return json.dumps(document(paths, components={"schemas": schemas})).encode()


MEASURED = """
import json, resource, sys
from pathlib import Path
from app.imports.apis.fenced import draft_fenced
from app.imports.apis.given import Given
draft = draft_fenced(Given(Path(sys.argv[1]).read_bytes(), "big.json", "2026-11-21"), most_s=120)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([len(draft.usable), len(draft.operations), used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def test_three_megabytes_stay_within_ten_seconds_of_work_and_300_mb(tmp_path: Path) -> None:
    """Measured in a process of its own: what other children of this one took must not count."""
    file = tmp_path / "big.json"
    file.write_bytes(big(3_200_000))
    assert file.stat().st_size > 3_000_000
    words = [sys.executable, "-c", MEASURED, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT, timeout=200)
    usable, operations, seconds, kilobytes = json.loads(done.stdout)
    assert usable == operations > 100
    assert seconds < 10
    assert kilobytes < 300 * 1024


# ----------------------------------------------------------------------------- other documents


def test_references_to_addresses_are_fetched_and_files_are_not_read() -> None:
    asked: list[str] = []
    parts: dict[str, Any] = {"https://x.example/parts.json": {"Note": {"$ref": "more.json#/Note"}}}
    parts["https://x.example/more.json"] = {
        "Note": {"type": "object", "properties": {"title": {"type": "string"}}}
    }

    def fetch(address: str) -> bytes:
        asked.append(address)
        return json.dumps(parts[address]).encode()

    root = document(
        {
            "/n": post({"$ref": "parts.json#/Note"}),
            "/f": post({"$ref": "file:///etc/passwd"}),
            "/g": {"get": {}},
        }
    )
    given = Given(json.dumps(root).encode(), "x", DAY, home="https://x.example/openapi.json")
    draft = draft_with_references(given, fetch)
    assert asked == ["https://x.example/parts.json", "https://x.example/more.json"]
    notes = {one.title: one for one in draft.usable}
    assert [field["key"] for field in notes["POST /n"].action["input"]] == ["title"]
    assert any("is another file" in note for note in draft.notes)


def test_a_reference_that_cannot_be_had_is_a_note_and_no_failure() -> None:
    def fetch(address: str) -> bytes:
        raise ConnectorInvalid("it could not be fetched. The address is private.", file=address)

    root = document({"/n": post({"$ref": "http://169.254.169.254/latest#/x"})})
    draft = draft_with_references(Given(json.dumps(root).encode(), "x", DAY), fetch)
    assert draft.usable
    assert any("private" in note for note in draft.notes)


def test_no_more_documents_are_fetched_than_a_limit() -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return json.dumps({"$ref": f"https://x.example/{len(asked)}a", "b": 1}).encode()

    paths = {f"/p{n}": post({"$ref": f"https://x.example/{n}"}) for n in range(100)}
    draft_with_references(Given(json.dumps(document(paths)).encode(), "x", DAY), fetch)
    assert len(asked) <= 40


# ----------------------------------------------------------------------------------------- fuzz

WORDS = st.sampled_from(
    [
        "type",
        "object",
        "array",
        "string",
        "integer",
        "$ref",
        "#/components/schemas/A",
        "#/paths",
        "properties",
        "items",
        "allOf",
        "oneOf",
        "enum",
        "required",
        "format",
        "date-time",
        "parameters",
        "in",
        "query",
        "name",
        "schema",
        "content",
        "application/json",
        "requestBody",
        "200",
        "responses",
        "${x}",
        "example",
        "\x00é",
    ]
)
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), WORDS, st.text(max_size=8)
)
OPEN = {"get": {"security": []}}
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(operation=st.dictionaries(WORDS, TREES, max_size=6), schema=TREES, security=TREES)
def test_whatever_stands_in_a_document_the_reader_answers(operation: Any, schema: Any, security: Any) -> None:
    """Not by its last net, which turns any stumbling into a refusal: nothing may stumble."""
    root = document(
        {
            "/a/{b}": {"post": operation, "parameters": schema},
            "/c": post(schema),
            "/d": {"get": {"security": []}},
        },
        components={"schemas": {"A": schema}, "securitySchemes": {"type": security}},
    )
    draft = draft_of(root, file="odd.json", today=DAY)
    assert "GET /d" in [one.title for one in draft.usable]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))
)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for start in (b"", b"curl ", b"{", b"openapi: 3.0.0\npaths:\n  "):
        with contextlib.suppress(ConnectorInvalid):
            draft_from(Given(start + content, "odd", DAY))


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    words = "- a: 'b' \"c\" #d\n\x07 2024-01-01 ${x} {{y}} \u2028 yes"
    schema = {
        "type": "object",
        "properties": {
            "on": {"type": "string", "description": words, "enum": ["no", "010", "1:30", "2024-01-01", "~"]},
            "n": {"type": "number", "example": 1e30},
            "e": {"type": "string", "example": words},
        },
    }
    draft = read(document({"/t": post(schema, summary=words)}))
    made = write_connector(draft, tmp_path).folder
    assert made is not None
    field = load_connector(made).actions[draft.usable[0].key].input[0]
    assert field.choices == ("no", "010", "1:30", "2024-01-01", "~")
