"""What README and docs show is true: code and commands run, and every name exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

import minilm
from minilm import data, models, nn, optim, training
from minilm.data.stories import stories

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "csrc" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# To be quick, the examples run on less data, and in no other way differently.
LESS = {"stories(100_000)": "stories(10_000)"}

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix()
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("console")).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


# --- code and commands --------------------------------------------------------------------------


def test_python_blocks(run_python: Callable[..., str], tmp_path: Path) -> None:
    code = "\n".join(blocks("python"))
    for shown, run in LESS.items():
        assert shown in code
        code = code.replace(shown, run)
    script = tmp_path / "readme.py"
    script.write_text(f"import os; os.chdir({str(tmp_path)!r})\n{code}", encoding="utf-8")
    first, *lines = run_python(script).splitlines()
    assert re.fullmatch(r"the last loss is \d\.\d{3} nats a word", first)
    assert sum(line.startswith("one rainy evening ") for line in lines) == 2  # one in int8
    assert any(line.startswith("transformer.h.0 ") for line in lines)
    assert (tmp_path / "model.safetensors").is_file()


def test_the_tutorial_is_short() -> None:
    assert len([line for line in blocks("python")[0].splitlines() if line.strip()]) <= 27


def test_commands(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minilm.cli.main import main

    monkeypatch.chdir(tmp_path)
    for name, seed in (("my.txt", 1), ("other.txt", 2)):
        Path(name).write_text(stories(3_000, seed=seed), encoding="utf-8")
    shown = [shlex.split(line)[1:] for line in commands() if re.match("minilm .* ", line)]
    kinds = ["train", "generate", "doctor", "eval", "memorisation", "info"]
    assert list(dict.fromkeys(words[0] for words in shown)) == kinds
    for words in [*shown, ["env"]]:
        assert main(words) == 0, words
        assert capsys.readouterr().out.strip(), words
    files = {path.name for path in Path("runs", "mine").glob("[!.]*") if path.is_file()}
    named = set(re.findall(r"`([\w.]+\.(?:jsonl?|safetensors|csv|html))`", README))
    assert files == named


def test_every_command_is_known() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    kinds = {"make": set(), "pip": set(), "pytest": set(), "minilm": set()}
    for line in commands():
        first, *rest = shlex.split(line)
        kinds[first].add(rest[0] if rest else "")
    assert kinds["make"] == {"demo", "test", "ctest"}
    assert set(re.findall(r"`make (\w+)`", README)) | kinds["make"] <= set(targets)


# --- names --------------------------------------------------------------------------------------


def test_everything_in_the_table_exists() -> None:
    table = README.partition("## What is in it")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:nn\.)?(?:utils\.)?(\w+)`", table)) - {"state_dict"}
    places = (minilm, nn, nn.utils, optim, data, models, models.RNNModel, training)
    assert len(named) > 35
    assert not [name for name in named if not any(hasattr(place, name) for place in places)]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path) if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target


def source_names() -> set[str]:
    """Return the name of every file, with and without its folders."""
    folders = ("csrc", "docs", "examples", "minilm", "notebooks", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    paths = {path.relative_to(ROOT).as_posix() for path in [*files, *ROOT.iterdir()]}
    return {"/".join(path.split("/")[i:]) for path in paths for i in range(path.count("/") + 1)}


RUN_FILES = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "run.json",
    "history.csv",
    "report.html",
}
FOREIGN = {"Python.h"}


@each_page
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+\.(?:c|h|def|py|md|ipynb|json|safetensors|csv|html))`", text)
    named += [name.rstrip("/") for name in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/)`", text)]
    assert set(named) - RUN_FILES - FOREIGN <= source_names()


@each_page
def test_c_names_exist(page: Path) -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "csrc").rglob("*")
        if path.suffix in (".c", ".h", ".def")
    )
    defined = set(re.findall(r"\b(?:ml|ML)_\w+", sources))
    pasted = {f"ml_layer_{name}" for name in re.findall(r"^LAYER\((\w+)\)", sources, re.MULTILINE)}
    named = set(re.findall(r"\b(?:ml|ML)_\w+[^\W_]\b", page.read_text(encoding="utf-8")))
    assert named <= defined | pasted


def test_the_layer_that_docs_show_is_the_real_one() -> None:
    """Every line of the excerpts stands in the file that their section names."""
    page = (ROOT / "docs" / "adding-a-layer.md").read_text(encoding="utf-8")
    sections = re.split(r"^## \d\. ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == 5
    for section in sections:
        name = re.search(r"`([\w/.-]+)`", section.splitlines()[0])
        assert name is not None
        real = {
            line.split("  # noqa")[0].strip()
            for line in (ROOT / name[1]).read_text(encoding="utf-8").splitlines()
        }
        excerpts = re.findall(r"^```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        shown = {line.strip() for line in "".join(excerpts).splitlines()} - {"", "..."}
        assert shown <= real, shown - real
