"""Every notebook runs from top to bottom, with less text, and draws its plots."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.rglob("*.ipynb"))


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix()


def execute(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a notebook in a folder of its own, in a kernel that imports what this process does."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("MINILM_NOTEBOOK_FAST", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("HF_HOME", str(folder / "cache"))  # where datasets keeps what it makes
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    if any("from datasets import" in cell.source for cell in notebook.cells):
        pytest.importorskip("datasets")
    client = nbclient.NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    return notebook


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = execute(path, tmp_path, monkeypatch)
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        warnings = [o.text for o in outputs if o.get("name") == "stderr"]
        assert not warnings, f"{cell.source}\n{warnings}"
        drawn = [o for o in outputs if "image/png" in o.get("data", {})]
        assert len(drawn) == cell.source.count("plt.show()"), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_notebook_names_no_machine(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all("metadata" not in cell or not cell["metadata"] for cell in notebook["cells"])


def test_there_is_a_notebook() -> None:
    assert [name_of(path) for path in NOTEBOOKS] == [
        "01_tutorial.ipynb",
        "unit-08/answers/part1.ipynb",
        "unit-08/answers/part2.ipynb",
        "unit-08/part1.ipynb",
        "unit-08/part2.ipynb",
    ]
