"""Assemble the tree under /opt/snap-self: interpreter, libraries down to the C library, agent.

Run by ``packaging/build.sh`` with the Python that is to be carried along. The result takes nothing
from the machine it runs on later: neither its Python, nor its C library, nor that one's loader.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
ELF_MAGIC = b"\x7fELF"

# Of the standard library: what no program needs that does not develop, draw or test with it.
NOT_COPIED = frozenset(
    """
    test tests idlelib tkinter turtledemo lib2to3 ensurepip venv distutils pydoc_data msilib curses
    sqlite3 dbm wsgiref __pycache__ __phello__ site-packages dist-packages lib-dynload turtle.py
    antigravity.py this.py sitecustomize.py usercustomize.py EXTERNALLY-MANAGED _aix_support.py
    _osx_support.py webbrowser.py pydoc.py doctest.py imaplib.py nntplib.py telnetlib.py cgi.py
    """.split()  # noqa: SIM905
)
NOT_COPIED_PATTERNS = re.compile(r"config-\d.*|.*\.(pyc|a|o|exe|bat)")
NOT_LOADED = re.compile(
    r"(_test.*|_tkinter|_ctypes_test|xx.*|_xx(?!subinterpreters).*|_curses.*|_sqlite3|_dbm|_gdbm|nis|"
    r"ossaudiodev|readline|audioop)\..*so"
)
# Of the libraries: what is only there for developing with them.
NOT_NEEDED = re.compile(r"(__pycache__|tests?|testing|.*\.(pyc|pyi|pyx|pxd|c|h|cpp))")
NOT_NEEDED_METADATA = {
    "RECORD",
    "INSTALLER",
    "REQUESTED",
    "direct_url.json",
    "top_level.txt",
    "zip-safe",
}
# Lexers colour source text of some hundred languages; rich asks for Python's at most.
LEXERS_KEPT = {"__init__.py", "_mapping.py", "python.py", "special.py"}

# Loaded by the C library on its own accord, so that no list of needed libraries names them. The
# name services are built in from glibc 2.34 on; before, these files hold them.
LOADED_LATER = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")

# Read by the `site` module where it is not switched off: for children started with `-m`.
SITE = '''"""Find the libraries that are shipped with snap-self, and no user's own."""

import sys

sys.path[:] = [path for path in sys.path if "/.local/lib/python" not in path]
sys.path.append({libraries!r})
'''

# -I: nothing of the environment and no user's folder decides what is loaded. -S: what `site` does
# costs a fifth of the interpreter's start, and is not needed.
PROGRAM = '''#!{prefix}/bin/python3 -IS
"""The command `snap-self`, run by the interpreter that is shipped with it."""

import sys

sys.path.append({libraries!r})
from snap_self.cli.entry import main

main()
'''

# What must be importable in the result; each stands for a part that could be missing.
NEEDED_MODULES = """
    ssl ctypes zlib bz2 lzma decimal socket asyncio multiprocessing uuid zoneinfo unicodedata
    hashlib requests psutil typer rich.table rich.progress aliyunsdkcore.client aliyunsdkecs certifi
    idna cryptography.x509 pymysql psycopg redis pymongo encodings.idna
    """.split()  # noqa: SIM905


class BuildFault(Exception):
    """Something that the person who builds can mend."""


def main() -> int:
    """Run one step; say on standard error what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    wanted = steps.add_parser("requirements", help="print what the agent needs, one a line")
    wanted.add_argument("pyproject", type=Path)
    wanted.add_argument("--extra", action="append", default=[])
    base = steps.add_parser("base", help="interpreter, standard library, libraries, C library")
    base.add_argument("--libraries", type=Path, required=True, help="what pip installed")
    agent = steps.add_parser("agent", help="add the agent to a base")
    agent.add_argument("--sources", type=Path, required=True)
    for step in (base, agent):
        step.add_argument("--prefix", required=True, help="where the tree will be")
        step.add_argument("tree", type=Path)
    options = parser.parse_args()
    try:
        if options.step == "requirements":
            print("\n".join(requirements(options.pyproject, options.extra)))
        elif options.step == "base":
            Base(options.tree, options.prefix).make(options.libraries)
        else:
            add_agent(options.tree, options.prefix, options.sources)
    except (BuildFault, OSError) as fault:
        print(f"packaging/build.sh: {fault}", file=sys.stderr)
        return 1
    return 0


def requirements(pyproject: Path, extras: Sequence[str]) -> list[str]:
    """Return the dependencies that the project file names, with those of the extras."""
    project = read_toml(pyproject)["project"]
    return [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a file in TOML says."""
    toml = importlib.import_module(
        "tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli"
    )
    found: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    return found


# --- the base --------------------------------------------------------------------------------


class Base:
    """The tree without the agent.

    Args:
        tree: the folder to fill; stands for ``prefix``.
        prefix: where it will be on the machines it is installed on.
    """

    def __init__(self, tree: Path, prefix: str) -> None:
        self.tree = tree
        self.prefix = prefix
        self.lib = tree / "lib"
        self.stdlib = stdlib_in(tree)
        self.libraries = self.stdlib / "site-packages"

    def make(self, installed: Path) -> None:
        """Fill the folder and try what it holds."""
        for folder in (self.tree / "bin", self.lib, self.stdlib):
            folder.mkdir(parents=True, exist_ok=True)
        self._copy_interpreter()
        self._copy_standard_library()
        copy_libraries(installed, self.libraries)
        site = SITE.format(libraries=at_prefix(self.libraries, self.tree, self.prefix))
        (self.stdlib / "sitecustomize.py").write_text(site, encoding="utf-8")
        self._copy_shared_objects()
        compile_all(self.tree, self.prefix)
        settle(self.tree)
        check_closed(self.tree)
        self._try()

    def _copy_interpreter(self) -> None:
        interpreter = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        if not is_elf(interpreter):
            raise BuildFault(
                f"{interpreter} is not a program but a script: name the real one with --python"
            )
        self.origin = interpreter
        self.interpreter = self.tree / "bin" / "python3"
        shutil.copy2(interpreter, self.interpreter)
        for licence in ("LICENSE.txt", "LICENSE"):
            found = Path(sysconfig.get_path("stdlib")) / licence
            if found.is_file():
                shutil.copy2(found, self.stdlib / "LICENSE.txt")

    def _copy_standard_library(self) -> None:
        source = Path(sysconfig.get_path("stdlib"))
        copy_tree(
            source,
            self.stdlib,
            lambda name: name in NOT_COPIED or bool(NOT_COPIED_PATTERNS.fullmatch(name)),
        )
        loaded = Path(sysconfig.get_config_var("DESTSHARED") or source / "lib-dynload")
        if not loaded.is_dir():
            loaded = source / "lib-dynload"
        copy_tree(
            loaded, self.stdlib / "lib-dynload", lambda name: bool(NOT_LOADED.fullmatch(name))
        )

    def _copy_shared_objects(self) -> None:
        """Bring all that is needed along, loader included; bind the interpreter to it."""
        loader = output("patchelf", "--print-interpreter", str(self.interpreter)).strip()
        needed = needed_libraries(elf_files(self.tree), Path(loader))
        c_library = next((path for name, path in needed.items() if name == "libc.so.6"), None)
        if c_library is None:
            raise BuildFault(
                "the interpreter is not linked to glibc (libc.so.6); only that is supported"
            )
        for name in LOADED_LATER:
            if (c_library.parent / name).exists():
                needed.setdefault(name, c_library.parent / name)
        for name, path in sorted(needed.items()):
            place = self.lib / name
            shutil.copy2(path, place)
            place.chmod(0o644)
        own_loader = self.lib / Path(loader).name
        shutil.copy2(loader, own_loader)
        own_loader.chmod(0o755)
        for path in (*(self.stdlib / "lib-dynload").glob("*.so"), *self.lib.glob("lib*.so*")):
            if not is_of_c_library(path.name):
                run("patchelf", "--remove-rpath", str(path))
        for path in elf_files(self.tree):
            strip(path)
        copy_licences(
            [Path(loader), *needed.values(), self.origin], self.tree / "share" / "licenses"
        )
        # Of the two kinds of search path this one goes before LD_LIBRARY_PATH, and holds for all
        # that the program's libraries load in turn. Absolute: $ORIGIN would need a mounted /proc.
        folder = f"{self.prefix}/lib"
        run("patchelf", "--force-rpath", "--set-rpath", folder, str(self.interpreter))
        loader_there = f"{folder}/{own_loader.name}"
        run("patchelf", "--set-interpreter", loader_there, str(self.interpreter))

    def _try(self) -> None:
        """Import what must be importable, in the new interpreter run by its own loader."""
        loader = next(self.lib.glob("ld-*.so*"))
        code = f"import sys; sys.path.append({str(self.libraries)!r})\nimport " + ", ".join(
            NEEDED_MODULES
        )
        home = {"PYTHONHOME": str(self.tree), "PATH": os.environ.get("PATH", "")}
        argv = [str(loader), "--library-path", str(self.lib), str(self.interpreter), "-sSBc", code]
        tried = subprocess.run(argv, env=home, cwd="/", capture_output=True, text=True, check=False)
        if tried.returncode:
            raise BuildFault(
                f"the new interpreter cannot import all that the agent needs:\n{tried.stderr}"
            )


def stdlib_in(tree: Path) -> Path:
    """Return where the interpreter will look for its standard library."""
    return tree / sys.platlibdir / PYTHON


def at_prefix(path: Path, tree: Path, prefix: str) -> str:
    """Return the name that a file of the tree will have."""
    return f"{prefix}/{path.relative_to(tree)}"


def copy_libraries(installed: Path, place: Path) -> None:
    """Copy what pip installed, without what only their developers need; their licences stay."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        parent = Path(folder)
        if parent.name.endswith(".dist-info"):
            return NOT_NEEDED_METADATA & set(names)
        if parent == installed:
            return {name for name in names if name in ("bin", "__pycache__")}
        if parent.parts[-2:] == ("pygments", "lexers"):
            return set(names) - LEXERS_KEPT
        return {name for name in names if NOT_NEEDED.fullmatch(name)}

    shutil.copytree(installed, place, ignore=left_out, dirs_exist_ok=True)


def copy_tree(source: Path, place: Path, left_out: Callable[[str], bool]) -> None:
    """Copy a folder's files, links followed, without those that are left out."""
    shutil.copytree(
        source,
        place,
        ignore=lambda _, names: {name for name in names if left_out(name)},
        ignore_dangling_symlinks=True,
        dirs_exist_ok=True,
    )


# --- shared objects --------------------------------------------------------------------------


def is_elf(path: Path) -> bool:
    """Tell whether a file is a program or a shared object."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == ELF_MAGIC


def elf_files(tree: Path) -> Iterator[Path]:
    """Return all programs and shared objects of a tree."""
    return (path for path in sorted(tree.rglob("*")) if is_elf(path))


def needed_libraries(files: Iterable[Path], loader: Path) -> dict[str, Path]:
    """Return by name which libraries outside their own tree these files need, directly or not.

    Raises:
        BuildFault: one is not on this machine.
    """
    needed: dict[str, Path] = {}
    for file in files:
        # Variants for newer processors stay out: the result must run on all of them.
        listing = output(
            str(loader), "--glibc-hwcaps-mask", "", "--list", str(file), allowed=(0, 1, 127)
        )
        for name, found in re.findall(
            r"^\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$", listing, re.MULTILINE
        ):
            if found == "not found":
                raise BuildFault(f"{file} needs {name}, which is not on this machine")
            path = Path(os.path.normpath(found))
            if "glibc-hwcaps" in path.parts:
                raise BuildFault(f"{path} is for newer processors only")
            if file.parents[1] not in path.parents and not path.name.startswith("ld-"):
                needed[name] = path
    return needed


def is_of_c_library(name: str) -> bool:
    """Tell whether a file belongs to glibc, which is left as it was built."""
    return bool(re.match(r"(ld-|lib(c|m|dl|rt|pthread|util|resolv|nss_\w+|crypt|anl)[.-])", name))


def strip(path: Path) -> None:
    """Drop symbols that only a debugger reads."""
    # A file that patchelf moved a search path into is damaged by it.
    if is_of_c_library(path.name) or output("patchelf", "--print-rpath", str(path)).strip():
        return
    run("strip", "--strip-unneeded", str(path))


def check_closed(tree: Path) -> None:
    """See that what every file of the tree needs is in the tree."""
    there = {path.name for path in tree.rglob("*.so*")}
    for file in elf_files(tree):
        for name in output("patchelf", "--print-needed", str(file)).split():
            if name not in there:
                raise BuildFault(f"{file} needs {name}, which was not brought along")


def copy_licences(files: Iterable[Path], place: Path) -> None:
    """Copy the licences of the packages that these files of the system belong to."""
    for file in files:
        for package, licence in licences_of(file):
            (place / package).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(licence, place / package / licence.name)


def licences_of(file: Path) -> list[tuple[str, Path]]:
    """Return name and licence files of the package a file is from; nothing where none is known."""
    if shutil.which("dpkg-query"):
        # Where /lib is a link, packages may name their files by it or not.
        names = {str(file), f"/usr{file}", str(file).removeprefix("/usr")}
        owners = output("dpkg-query", "--search", *sorted(names), allowed=(0, 1))
        package = owners.partition(":")[0]
        found = [Path("/usr/share/doc") / package / "copyright"]
    elif shutil.which("rpm"):
        asked = ("rpm", "--query", "--queryformat", "%{NAME}", "--file", str(file))
        package = output(*asked, allowed=(0, 1))
        found = [Path(line) for line in output("rpm", "-qL", package, allowed=(0, 1)).split()]
    else:
        return []
    return [(package, path) for path in found if package and path.is_file()]


# --- the agent -------------------------------------------------------------------------------


def add_agent(tree: Path, prefix: str, sources: Path) -> None:
    """Put the agent and the simulated ECS beside the libraries, and write the command."""
    libraries = stdlib_in(tree) / "site-packages"
    for package in ("snap_self", "ecs_simulator"):
        shutil.rmtree(libraries / package, ignore_errors=True)
        copy_tree(sources / package, libraries / package, lambda name: name == "__pycache__")
        compile_all(libraries / package, at_prefix(libraries / package, tree, prefix))
    program = tree / "bin" / "snap-self"
    text = PROGRAM.format(prefix=prefix, libraries=at_prefix(libraries, tree, prefix))
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    settle(tree)


def compile_all(folder: Path, prefix: str) -> None:
    """Compile ahead: the agent writes nothing there, and starts without a look at the sources.

    Always the same files in a fresh process: what a compiled file holds depends a little on what
    the compiling interpreter has met before.
    """
    files = sorted(folder.rglob("*.py"))
    pairs = [(str(file), f"{prefix}/{file.relative_to(folder)}") for file in files]
    with multiprocessing.get_context("fork").Pool(maxtasksperchild=1) as pool:
        faults = [fault for fault in pool.imap(compile_one, pairs, chunksize=25) if fault]
    if faults:
        raise BuildFault("\n".join(faults))


def compile_one(pair: tuple[str, str]) -> str:
    """Compile one file under the name it will have; return what is wrong."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    try:
        py_compile.compile(pair[0], dfile=pair[1], doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, OSError) as fault:
        return str(fault)
    return ""


def settle(tree: Path) -> None:
    """Give every file the mode it is to have, and the one time of the build."""
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    for path in [tree, *tree.rglob("*")]:
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.parent.name == "bin" or path.name.startswith("ld-")
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (epoch, epoch))


# --- programs --------------------------------------------------------------------------------


def run(*argv: str) -> None:
    """Run a tool."""
    output(*argv)


def output(*argv: str, allowed: Sequence[int] = (0,)) -> str:
    """Run a tool and return what it says.

    Raises:
        BuildFault: it is missing or fails.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise BuildFault(f"the program {argv[0]} is missing") from missing
    if done.returncode not in allowed:
        raise BuildFault(f"{' '.join(argv)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
