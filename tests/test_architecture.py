"""The rules of the house that a program can check: who may import and include whom."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minilm"
CORE = ROOT / "csrc" / "core"

MODULES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted(path for path in (ROOT / "csrc").rglob("*.[ch]"))
CORE_FILES = [path for path in C_FILES if CORE in path.parents]

# Imports go down this list or stay within one name. What it does not name lies below everything.
LAYERS = [
    {"__main__"},
    {"cli"},
    {"__init__"},
    {"repro"},
    {"doctor"},
    {"tuning"},
    {"training"},
    {"evaluation"},
    {"pipelines"},
    {"tokenization"},
    {"generation", "models"},
    {"optim"},
    {"utils"},
    {"nn", "data"},
]
SIBLINGS = [{"generation", "models"}]  # these two also know each other
# Methods of a model that hand over to what lies above it, for the sake of model.fit(...).
DOORS = {("models", "minilm.training.fit.fit"), ("models", "minilm.training.fit.fit_by_counting")}
LAZY = set(
    "tokenizers nltk safetensors tqdm matplotlib huggingface_hub datasets jinja2 optuna ray".split()
)
LONGEST_FILE = 450  # that is, about 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parametrize(files: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", files, ids=name_of)


# --- Python -------------------------------------------------------------------------------------


def imported_modules(path: Path, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Yield the full names that import statements ask for: ``minilm.nn.linear``, ``numpy``."""
    package = path.relative_to(ROOT).parent.parts
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def outside_functions(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over what runs when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from outside_functions(node)


def is_module(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def part_of(module: str) -> str:
    """Return what a module of minilm belongs to: ``nn`` for ``minilm.nn.linear.Linear``.

    Names of the package itself, ``minilm.Tensor``, belong to ``__init__``.
    """
    name = module.split(".")[1] if "." in module else "__init__"
    return name if name == "_core" or is_module(name) else "__init__"


def rank(part: str) -> int:
    return next((i for i, layer in enumerate(LAYERS) if part in layer), len(LAYERS))


@pytest.mark.parametrize(
    ("module", "part"),
    [("minilm.nn.linear", "nn"), ("minilm._core", "_core"), ("minilm.nothing", "__init__")],
)
def test_part_of(module: str, part: str) -> None:
    assert part_of(module) == part


def may_import(part: str, other: str) -> bool:
    siblings = any({part, other} <= group for group in SIBLINGS)
    return part == other or siblings or rank(other) == len(LAYERS) or rank(other) > rank(part)


@parametrize(MODULES)
def test_imports_flow_one_way(path: Path) -> None:
    part = path.relative_to(PACKAGE).with_suffix("").parts[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for module in imported_modules(path, ast.walk(tree)):
        if module.split(".")[0] == "minilm" and (part, module) not in DOORS:
            assert may_import(part, part_of(module)), f"{part} must not know of {module}"


@pytest.mark.parametrize(
    ("part", "other", "allowed"),
    [
        ("__main__", "cli", True),
        ("nn", "__init__", False),
        ("cli", "training", True),
        ("cli", "doctor", True),
        ("doctor", "training", True),
        ("training", "doctor", False),
        ("training", "evaluation", True),
        ("evaluation", "training", False),
        ("evaluation", "models", True),
        ("models", "evaluation", False),
        ("training", "cli", False),
        ("cli", "tuning", True),
        ("tuning", "training", True),
        ("training", "tuning", False),
        ("models", "data", True),
        ("data", "models", False),
        ("data", "nn", False),
        ("nn", "training", False),
        ("optim", "nn", True),
        ("nn", "optim", False),
        ("nn", "tensor", True),
        ("tensor", "nn", False),
        ("tensor", "random", True),
        ("generation", "models", True),
        ("tokenization", "models", True),
        ("models", "tokenization", False),
        ("pipelines", "generation", True),
    ],
)
def test_the_rule_itself(part: str, other: str, allowed: bool) -> None:
    assert may_import(part, other) == allowed


@parametrize(MODULES)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    roots = {name.split(".")[0] for name in imported_modules(path, outside_functions(tree))}
    foreign = roots - set(sys.stdlib_module_names) - {"minilm", "numpy"}
    assert not foreign, f"import {foreign} inside the functions that use it"


def test_import_minilm_loads_nothing_heavy() -> None:
    pytest.importorskip("minilm._core")
    program = "import json, sys, minilm; print(json.dumps(list(sys.modules)))"
    output = subprocess.check_output([sys.executable, "-c", program], text=True)
    loaded = {name.split(".")[0] for name in json.loads(output)}
    assert "numpy" in loaded
    assert not loaded & (LAZY | {"torch", "asyncio", "http", "multiprocessing", "unittest"})


@parametrize(MODULES)
def test_no_pickle(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = imported_modules(path, ast.walk(tree))
    assert not {name.split(".")[0] for name in modules} & {"pickle", "marshal", "shelve", "dill"}


def text_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that read or write text in an encoding of their choice."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        binary = re.search(r"""['"][rwax+]*b[+]?['"]""", ast.unparse(node))
        if called.endswith((".read_text", ".write_text")) or (called == "open" and not binary):
            yield node


@parametrize(MODULES)
def test_text_files_name_their_encoding(path: Path) -> None:
    for call in text_calls(ast.parse(path.read_text(encoding="utf-8"))):
        statement = ast.unparse(call)
        named = "encoding=" in statement or "'utf-8'" in statement
        assert named, f"line {call.lineno}: {statement}"


# --- C ------------------------------------------------------------------------------------------


def includes(path: Path) -> set[str]:
    return set(re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text("utf-8"), re.M))


def code_of(path: Path) -> str:
    """Return a C file without its comments and the contents of its strings."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


@parametrize(CORE_FILES)
def test_the_core_knows_no_python(path: Path) -> None:
    assert not [name for name in includes(path) if name.startswith(("Python.h", "numpy/"))]
    assert not re.search(r"\bPy[A-Z_]\w*", code_of(path))


@parametrize([path for path in C_FILES if path != CORE / "gemm.c"])
def test_only_gemm_knows_blas(path: Path) -> None:
    assert not includes(path) & {"cblas.h", "f77blas.h", "Accelerate/Accelerate.h"}
    assert not re.search(r"\b(scipy_)?(cblas|openblas)_\w+", code_of(path))


@parametrize(CORE_FILES)
def test_the_core_neither_prints_nor_exits(path: Path) -> None:
    forbidden = r"\b(v?f?printf|f?puts|f?putc|putchar|perror|_?exit|quick_exit|abort|assert)\s*\("
    assert not re.search(forbidden, code_of(path))


def test_each_layer_kind_has_a_file_of_its_name() -> None:
    table = (CORE / "layers.def").read_text(encoding="utf-8")
    kinds = re.findall(r"^LAYER\((\w+)\)", table, re.M)
    assert "lstm" in kinds
    assert [kind for kind in kinds if not (CORE / f"{kind}.c").is_file()] == []


@pytest.mark.parametrize("name", ["setup.py", "Makefile", "csrc/tests/Makefile", "pyproject.toml"])
def test_no_flag_that_changes_results(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"-ffast-math|-funsafe-math|-Ofast|-march=|-mtune=|/fp:fast", text)


# --- all ----------------------------------------------------------------------------------------


@parametrize(MODULES + C_FILES + sorted((ROOT / "tests").rglob("*.py")))
def test_a_file_is_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@parametrize(sorted((ROOT / "notebooks").rglob("*.ipynb")))
def test_notebooks_are_kept_without_their_output(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
