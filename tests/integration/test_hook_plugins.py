"""The plugins for dnf 4 and yum 3 in the Pythons they are for, with stand-ins for the managers.

A real dnf 4 is met in the package tier. yum 3 can be had nowhere these tests run: its stand-in has
what yum 3.4.3's ``plugins.py`` and ``transactioninfo.py`` give a plugin, and no more.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runner import CHECKOUT
from snap_self.changes.dnf import WORDS, parse_event
from snap_self.changes.yum import YUM_WORDS
from snap_self.model.packages import Package

HOOKS = CHECKOUT / "packaging" / "hooks"
NOTING = """#!/bin/sh
cat >"${0%/*}/noted"
printf '%s' "$*" >"${0%/*}/arguments"
echo GUARD-SPEAKS
exit "$(cat "${0%/*}/status" 2>/dev/null || echo 0)"
"""

YUM_PLUGINS = """
TYPE_CORE = 0
class PluginYumExit(Exception):
    pass
"""
# Members as yum/transactioninfo.py makes them, and what pretrans_hook is given.
YUM_DRIVER = """
import json, os, sys
here, case, root = sys.argv[1], sys.argv[2], sys.argv[3]
sys.argv = ["/usr/bin/yum", "-y", "update"]
sys.path[:0] = [here]
import yum.plugins
import snap_self
snap_self.GUARD = os.path.join(here, "guard")

class Po(object):
    pass

class Member(object):
    def __init__(self, pkgtup, ts_state, **more):
        self.pkgtup, self.ts_state = tuple(pkgtup), ts_state
        self.reinstall = False
        self.updates, self.downgrades, self.downgraded_by = [], [], []
        self.__dict__.update(more)

class Info(object):
    def getMembers(self):
        return [Member(*entry[:2], **entry[2]) for entry in json.load(open(case))]

class Conf(object):
    installroot = root

class Conduit(object):
    def getTsInfo(self):
        return Info()
    def getConf(self):
        return Conf()
    def error(self, level, message):
        sys.stderr.write(message + "\\n")

try:
    snap_self.pretrans_hook(Conduit())
except yum.plugins.PluginYumExit as error:
    sys.stderr.write("STOPPED %s\\n" % error)
    sys.exit(1)
"""
DNF_MODULES = {
    "dnf/__init__.py": """
class Plugin(object):
    def __init__(self, base, cli):
        pass
""",
    "dnf/exceptions.py": "class Error(Exception):\n    pass\n",
}
DNF_DRIVER = """
import json, os, sys
here, case, root = sys.argv[1], sys.argv[2], sys.argv[3]
sys.argv = ["/usr/bin/dnf", "upgrade"]
sys.path[:0] = [here]
import dnf.exceptions
import snap_self
snap_self.GUARD = os.path.join(here, "guard")

class Item(object):
    def __init__(self, action_name, name, arch, evr):
        self.action_name, self.name, self.arch, self.evr = action_name, name, arch, evr
    def is_package(self):
        return True

class Conf(object):
    installroot = root

class Base(object):
    conf = Conf()
    transaction = [Item(*entry) for entry in json.load(open(case))]
    args = ["upgrade"]

try:
    snap_self.SnapSelf(Base(), None).pre_transaction()
except dnf.exceptions.Error as error:
    sys.stderr.write("STOPPED %s\\n" % error)
    sys.exit(1)
"""


@functools.cache
def runs(program: str) -> bool:
    """Tell whether a Python starts; a version manager's shim may be there for one that is not."""
    return subprocess.run([program, "-c", ""], capture_output=True).returncode == 0


def python(name: str) -> str:
    """Return a Python of this name that runs; skip the test where there is none."""
    if Path(name).is_absolute():
        return name
    homes = Path.home().glob(f".pyenv/versions/*/bin/{name}")
    for found in (*map(str, homes), shutil.which(name)):
        if found and runs(found):
            return found
    pytest.skip(f"no {name} here; only the grammar of the plugin is tested")


PYTHONS = {
    "yum": [pytest.param("python2.7", id="2.7"), pytest.param(sys.executable, id="this")],
    "dnf": [pytest.param("python3.6", id="3.6"), pytest.param(sys.executable, id="this")],
}


class Plugin:
    """A plugin in a folder with stand-ins and a guard that notes what it is told."""

    def __init__(self, manager: str, folder: Path, python_name: str) -> None:
        self._folder = folder
        self._python = python(python_name)
        source, files, self._driver = {
            "dnf": ("dnf4", DNF_MODULES, DNF_DRIVER),
            "yum": ("yum", {"yum/__init__.py": "", "yum/plugins.py": YUM_PLUGINS}, YUM_DRIVER),
        }[manager]
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        shutil.copy(HOOKS / source / "snap_self.py", folder)
        self.guard(NOTING)

    def guard(self, text: str, mode: int = 0o755) -> None:
        """Write the guard."""
        (self._folder / "guard").write_text(text)
        (self._folder / "guard").chmod(mode)

    def run(
        self, members: object, *, status: int = 0, root: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """Let the manager call the plugin once."""
        (self._folder / "status").write_text(str(status))
        (self._folder / "case").write_text(json.dumps(members))
        argv = [self._python, "-c", self._driver, str(self._folder), str(self._folder / "case")]
        return subprocess.run([*argv, root], capture_output=True, text=True, timeout=60)

    @property
    def noted(self) -> bytes | None:
        """Return what the guard was told, if it was started."""
        path = self._folder / "noted"
        return path.read_bytes() if path.exists() else None

    @property
    def arguments(self) -> str:
        """Return the guard's arguments."""
        return (self._folder / "arguments").read_text()


@pytest.fixture(params=PYTHONS["yum"])
def yum(request: pytest.FixtureRequest, tmp_path: Path) -> Plugin:
    """Return yum's plugin in a Python."""
    return Plugin("yum", tmp_path, request.param)


@pytest.fixture(params=PYTHONS["dnf"])
def dnf(request: pytest.FixtureRequest, tmp_path: Path) -> Plugin:
    """Return dnf's plugin in a Python."""
    return Plugin("dnf", tmp_path, request.param)


def member(name: str, version: str, state: str, *, epoch: str = "0", **more: Any) -> list[object]:
    """Return a member of yum's transaction; ``pkgtup`` is (name, arch, epoch, version, release)."""
    return [[name, "x86_64", epoch, version, "1"], state, more]


TREE = member("tree", "1.7", "u")


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param([TREE], Package("tree", "install", arch="x86_64", new="1.7-1"), id="install"),
        pytest.param(
            [
                member("bash", "5.2", "u", epoch="1", updates=["old"]),
                member("bash", "5.1", "ud", epoch="1"),
            ],
            Package("bash", "upgrade", arch="x86_64", old="1:5.1-1", new="1:5.2-1"),
            id="upgrade",
        ),
        pytest.param(
            [member("a", "1", "u", downgrades=["old"]), member("a", "2", "e")],
            Package("a", "downgrade", arch="x86_64", old="2-1", new="1-1"),
            id="downgrade",
        ),
        pytest.param(
            [member("a", "1", "u", reinstall=True), member("a", "1", "e")],
            Package("a", "reinstall", arch="x86_64", old="1-1", new="1-1"),
            id="reinstall",
        ),
        pytest.param(
            [member("a", "1", "e")],
            Package("a", "remove", arch="x86_64", old="1-1"),
            id="remove",
        ),
    ],
)
def test_what_yum_does_is_announced(yum: Plugin, members: list[object], expected: Package) -> None:
    done = yum.run(members)

    assert done.returncode == 0, done.stderr
    assert yum.noted is not None
    transaction = parse_event(yum.noted, YUM_WORDS, "yum")
    assert transaction is not None
    assert transaction.packages == (expected,)
    assert (transaction.program, transaction.command) == ("yum", "yum -y update")


def test_a_kernel_of_yum_beside_the_older_one_has_no_old_version(yum: Plugin) -> None:
    yum.run([member("kernel", "3.2", "i"), member("kernel", "3.0", "e")])

    assert yum.noted is not None
    transaction = parse_event(yum.noted, YUM_WORDS, "yum")
    assert transaction is not None
    assert [(p.action, p.old, p.new) for p in transaction.packages] == [
        ("install", None, "3.2-1"),
        ("remove", "3.0-1", None),
    ]


def test_the_guard_is_told_which_manager_calls(yum: Plugin) -> None:
    yum.run([TREE])

    assert yum.arguments == "yum"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (99, "STOPPED snap-self stopped this transaction, nothing was changed"),
        (129, "STOPPED snap-self was interrupted"),
        (130, "STOPPED snap-self was interrupted"),
        (143, "STOPPED snap-self was interrupted"),
    ],
)
def test_yum_is_stopped_by_its_own_exception(yum: Plugin, status: int, says: str) -> None:
    done = yum.run([TREE], status=status)

    assert done.returncode == 1
    assert says in done.stderr


@pytest.mark.parametrize("status", [1, 2, 124, 126, 127, 137])
def test_yum_goes_on_when_the_agent_is_broken(yum: Plugin, status: int) -> None:
    done = yum.run([TREE], status=status)

    assert (done.returncode, done.stdout) == (0, "")
    assert f"its guard ended with {status}" in done.stderr


@pytest.mark.parametrize(
    ("guard", "mode"),
    [(NOTING, 0o644), ("#!/no/such/interpreter\n", 0o755), ("#!/bin/sh\nkill -9 $$\n", 0o755)],
)
def test_yum_goes_on_when_the_guard_is_broken(yum: Plugin, guard: str, mode: int) -> None:
    yum.guard(guard, mode)

    done = yum.run([TREE])

    assert done.returncode == 0
    assert "snap-self: no snapshot was considered" in done.stderr


def test_yum_goes_on_when_the_plugin_itself_has_a_fault(yum: Plugin) -> None:
    done = yum.run([["no", "such", "member"]])

    assert done.returncode == 0
    assert "snap-self: no snapshot was considered" in done.stderr


@pytest.mark.parametrize(("members", "root"), [([TREE], "/mnt/sysimage"), ([], "/")])
def test_yum_with_another_root_or_nothing_to_do_calls_nothing(
    yum: Plugin, members: list[object], root: str
) -> None:
    done = yum.run(members, root=root)

    assert (done.returncode, done.stderr, yum.noted) == (0, "", None)


def test_a_guard_that_does_not_listen_does_not_end_yum(yum: Plugin) -> None:
    yum.guard("#!/bin/sh\nexit 0\n")

    done = yum.run([member(f"package-{number}", "1", "u") for number in range(2000)])

    assert (done.returncode, done.stderr) == (0, "")


def test_dnfs_plugin_runs_in_its_python(dnf: Plugin) -> None:
    done = dnf.run([["Install", "tree", "noarch", "1.7-1"]])

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert dnf.noted is not None
    transaction = parse_event(dnf.noted, WORDS, "dnf")
    assert transaction is not None
    assert transaction.packages == (Package("tree", "install", arch="noarch", new="1.7-1"),)


@pytest.mark.parametrize(("status", "ended"), [(99, 1), (130, 1), (1, 0)])
def test_dnfs_plugin_stops_in_its_python(dnf: Plugin, status: int, ended: int) -> None:
    done = dnf.run([["Install", "tree", "noarch", "1.7-1"]], status=status)

    assert done.returncode == ended
    assert ("STOPPED" in done.stderr) is bool(ended)
