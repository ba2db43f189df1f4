"""Imports point one way; pyproject.toml says which."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_no_layer_imports_one_above_it() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_demo_services_know_nothing_of_plumbline() -> None:
    """They stand for services of other people: only HTTP is between them and us."""
    for file in sorted((ROOT / "seed_data" / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [name for name in names if name.split(".")[0] == "app"], file


def test_only_one_file_knows_htmx_flask() -> None:
    users = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "app").rglob("*.py"))
        if "htmx_flask" in file.read_text(encoding="utf-8")
    ]
    assert users == ["app/web/frame/hx.py"]


def test_pages_trust_no_data() -> None:
    """Payloads are hostile: no template switches escaping off, no page holds script or style inline."""
    for file in sorted((ROOT / "app" / "templates").rglob("*.html")):
        text = file.read_text(encoding="utf-8")
        for banned in ("|safe", "| safe", "autoescape false", "hx-on", "javascript:", " onclick=", " style="):
            assert banned not in text, f"{file.relative_to(ROOT)}: {banned}"
