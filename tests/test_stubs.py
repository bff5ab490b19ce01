"""The type stub of the extension says what the extension is."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import minilm
from minilm import _core

PACKAGE = Path(minilm.__file__).parent
CONFIG = Path(__file__).parents[1] / "pyproject.toml"
STUB = ast.parse((PACKAGE / "_core.pyi").read_text(encoding="utf-8"))


def public_names(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign):
            names.add(ast.unparse(node.target))
    return {name for name in names if not name.startswith("_")}


def test_the_stub_has_the_names_of_the_module() -> None:
    assert public_names(STUB.body) == {name for name in dir(_core) if not name.startswith("_")}


@pytest.mark.parametrize("name", ["Layer", "Saved", "NGram", "Decoder"])
def test_the_stub_has_the_names_of_the_types(name: str) -> None:
    [stub] = [node for node in STUB.body if isinstance(node, ast.ClassDef) and node.name == name]
    attributes = {name for name in dir(getattr(_core, name)) if not name.startswith("_")}
    assert public_names(stub.body) == attributes


def test_stubtest_finds_no_difference() -> None:
    """Compare signatures: names, order, defaults, what is by keyword only."""
    pytest.importorskip("mypy.stubtest")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "minilm._core", "--mypy-config-file", CONFIG],
        cwd=PACKAGE.parent,
        env=os.environ | {"MYPY_CACHE_DIR": str(CONFIG.parent / ".mypy_cache")},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
