"""What is installed: version, licences, the extension and the libraries that it carries."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import minilm
from minilm import _core

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def distribution() -> importlib.metadata.Distribution:
    # A checkout's egg-info also answers to the name, but it has no record of installed files.
    for found in importlib.metadata.distributions(name="minilm"):
        if found.read_text("RECORD"):
            return found
    pytest.skip("minilm is built in place, not installed")


def test_one_version_everywhere(distribution: importlib.metadata.Distribution) -> None:
    version = PROJECT["project"]["version"]
    assert distribution.version == version
    assert minilm.__version__ == version
    assert _core.config()["version"] == version


def test_changelog_knows_the_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{PROJECT['project']['version']}]" in changelog


def test_licences_are_installed(distribution: importlib.metadata.Distribution) -> None:
    installed = {path.name: path for path in distribution.files or [] if "licenses" in path.parts}
    assert {"LICENSE", "OpenBLAS.txt"} <= set(installed)
    openblas = installed["OpenBLAS.txt"].read_text(encoding="utf-8")
    for carried in ("OpenBLAS", "LAPACK", "GCC runtime library", "libquadmath"):
        assert f"Name: {carried}\n" in openblas


def test_command_is_installed(distribution: importlib.metadata.Distribution) -> None:
    [command] = distribution.entry_points.select(group="console_scripts")
    assert (command.name, command.value) == ("minilm", "minilm.cli.main:main")
    assert callable(command.load())


def test_requirements_are_light(distribution: importlib.metadata.Distribution) -> None:
    required = [line for line in distribution.requires or [] if "extra ==" not in line]
    names = {re.split("[^a-z]", line)[0] for line in required}
    assert names == {"numpy", "tokenizers", "nltk", "safetensors", "tqdm"}


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_c_tests_compile_kernels_as_the_extension_does(isa: str) -> None:
    """Without Python, the makefile of the C tests cannot ask setup.py for its flags."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    [flags] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "UNIX_FLAGS"
    ]
    makefile = (ROOT / "csrc" / "tests" / "Makefile").read_text(encoding="utf-8")
    assert f"ISA_FLAGS_{isa} = {' '.join(flags[isa])}\n" in makefile


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an ELF matter")
def test_openblas_is_our_own() -> None:
    """Under NumPy's SONAME the loader could hand us NumPy's OpenBLAS, or ours to NumPy."""
    libs = Path(minilm.__file__).with_name("_libs")
    if not libs.exists():
        pytest.skip("built without scipy-openblas")
    _core.config()
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8")
    [openblas] = libs.glob("*openblas*")
    assert str(openblas) in mapped
    assert openblas.name.encode() + b"\0" in openblas.read_bytes(), "its SONAME is its file name"


# --- from source to an environment --------------------------------------------------------------


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command with nothing of this environment in its way."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of a new environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_sdist_to_wheel_to_install(python: Path, tmp_path: Path) -> None:
    run(python, "-m", "pip", "install", "--quiet", "build", cwd=tmp_path)
    run(python, "-m", "build", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    [sdist] = tmp_path.glob("*.tar.gz")
    [wheel] = tmp_path.glob("*.whl")

    with tarfile.open(sdist) as archive:
        carried = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "csrc/core/gemm.c", "csrc/tests/check.h", "tests/test_build.py"} <= carried
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    assert {"minilm/py.typed", "minilm/_core.pyi"} <= set(packed)
    assert {name.split("/")[0] for name in packed if ".dist-info/" not in name} == {"minilm"}

    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    program = (
        "import minilm, minilm.nn as nn;"
        "loss = nn.Linear(3, 2)(minilm.randn(4, 3)).sum(); loss.backward();"
        "print(minilm.__version__)"
    )
    assert run(python, "-c", program, cwd=tmp_path).strip() == PROJECT["project"]["version"]
