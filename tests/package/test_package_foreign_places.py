"""What root starts for an installation, a build and the demo, and where it must not come from.

A folder of another user has a module of every name and a program of every name, each of which
notes that it was run. Root stands in it, and has it in every variable that leads to what is run.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from built_packages import need
from install_rig import ROOT, Machine, copy_checkout, machine_running, make_tree
from plants import NOBODY, Plants, plant

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LIMIT_S = 600.0

pytestmark = [
    pytest.mark.root,
    pytest.mark.own_root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it is what root runs"),
]


@pytest.fixture
def plants(tmp_path: Path) -> Plants:
    """Make a folder full of plants."""
    return plant(tmp_path / "planted")


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Return what root's environment is otherwise, pip's settings included."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    (tmp_path / "scratch").mkdir()
    return {**pip, "PATH": PATH, "HOME": "/root", "TMPDIR": str(tmp_path / "scratch")}


@pytest.fixture
def machine(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[Machine]:
    """Run a machine without snap-self."""
    if Path("/opt/snap-self").exists():
        pytest.skip("snap-self is installed on this machine")
    with machine_running(tmp_path / "machine", environment) as running:
        yield running


def run(
    *argv: str | Path, env: Mapping[str, str], cwd: Path | str = "/"
) -> subprocess.CompletedProcess[str]:
    """Run a script of the checkout to its end."""
    return subprocess.run(
        [str(word) for word in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


# --- what is planted where root stands, and where its variables point --------------------------


def test_plants_note_that_they_are_run(plants: Plants, environment: Mapping[str, str]) -> None:
    env = {**environment, **plants.variables(PATH)}
    tried = "python3 -m venv x; stat /; rpm -q snap-self; bash -c :"
    run("/bin/sh", "-c", tried, env=env, cwd=plants.folder)
    noted = {" ".join(line.split()[:2]) for line in plants.run()}
    assert {f"program {plants.programs}/stat", "BASH_ENV"} <= noted
    assert any(line.startswith("module") for line in noted)
    assert "rpmmacros" in noted or not shutil.which("rpm")


SETTLE = 'PROGRAM=test; checkout="$1"; . "$1/packaging/setup.sh"; env'


@pytest.mark.parametrize(
    "name",
    [
        *("PIP_PYTHON", "PIP_LOG", "PIP_TARGET", "PIP_CACHE_DIR", "PIP_CERT", "PIP_CONFIG_FILE"),
        *("TAR_OPTIONS", "DBUS_SYSTEM_BUS_ADDRESS", "SYSTEMCTL_FORCE_BUS", "RPM_CONFIGDIR"),
        *("LANGUAGE", "LC_ALL", "TERMINFO", "LOCPATH"),
    ],
)
def test_variable_that_leads_to_a_users_place_is_dropped_by_the_scripts(
    plants: Plants, environment: Mapping[str, str], name: str
) -> None:
    env = {**environment, name: str(plants.folder), "PIP_INDEX_URL": "https://index.example"}
    done = run("/bin/sh", "-euc", SETTLE, "sh", ROOT, env=env)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert "PIP_INDEX_URL" in names
    assert name not in names


def test_pip_is_run_by_no_python_of_a_users(
    plants: Plants, environment: Mapping[str, str], tmp_path: Path
) -> None:
    mark, program = tmp_path / "ran", tmp_path / "python"
    program.write_text(f"#!/bin/sh\ntouch {mark}\n")
    program.chmod(0o755)
    script = SETTLE.replace("env", 'pip_install "$2" --no-index --no-deps "$1/no-such-place"')
    env = {**environment, "PIP_PYTHON": str(program)}
    done = run("/bin/sh", "-euc", script, "sh", ROOT, sys.executable, env=env)
    assert done.returncode == 4
    assert not mark.exists()


def test_demo_set_up_among_plants_runs_none_of_them(
    plants: Plants, environment: Mapping[str, str], tmp_path: Path
) -> None:
    env = {**environment, **plants.variables(PATH), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = run(ROOT / "install.sh", "demo", "--setup-only", env=env, cwd=plants.folder)
    assert (done.returncode, plants.run()) == (0, []), done.stderr
    assert (tmp_path / "cache/snap-self/demo-venv/bin/snap-self").exists()


def test_build_among_plants_runs_none_of_them(
    plants: Plants, environment: Mapping[str, str], tmp_path: Path
) -> None:
    need("patchelf", "strip")
    env = {**environment, **plants.variables(PATH)}
    built = tmp_path / "built"
    done = run(ROOT / "packaging/build.sh", "--output", built, env=env, cwd=plants.folder)
    assert (done.returncode, plants.run()) == (0, []), done.stderr
    assert (built / "opt/snap-self/bin/snap-self").exists()


def among(
    machine: Machine, plants: Plants, *argv: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a program on a machine among the plants; return which of them were run too."""
    given = [f"{name}={value}" for name, value in plants.variables(PATH).items()]
    done = machine.run("/usr/bin/env", f"--chdir={plants.folder}", *given, *argv)
    return done, plants.run()


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_installation_and_removal_among_plants_run_none_of_them(
    machine: Machine, plants: Plants, tmp_path: Path, shell: str
) -> None:
    tree = str(make_tree(tmp_path / "tree"))
    script = str(copy_checkout(tmp_path / "checkout") / "install.sh")
    # The shell that root names reads BASH_ENV before the script's first line.
    start = ("/usr/bin/env", "-u", "BASH_ENV", *f"/bin/{shell}".split(), script)
    done, ran = among(machine, plants, *start, "install", "--tree", tree)
    assert (done.returncode, ran) == (0, []), done.stderr
    done, ran = among(machine, plants, *start, "uninstall", "--purge")
    assert (done.returncode, ran) == (0, []), done.stderr


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("dnf4/plugin-path", ()),
        ("dnf5/actions-line", ()),
        ("pacman/isolates", ()),
        ("register", ("add", "dnf4", "dnf5", "zypper", "pacman")),
    ],
)
def test_script_of_the_hooks_among_plants_runs_none_of_them(
    machine: Machine, plants: Plants, script: str, arguments: tuple[str, ...]
) -> None:
    path = str(ROOT / "packaging/hooks" / script)
    assert among(machine, plants, path, *arguments)[1] == []


# --- what others can change and root is told to run --------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the checkout, to be given to somebody."""
    return copy_checkout(tmp_path / "checkout")


def give(path: Path, user: int, group: int = NOBODY) -> None:
    """Give a folder and all below it to a user."""
    for one in (path, *path.rglob("*")):
        os.chown(one, user, group, follow_symlinks=False)


def check(checkout: Path, env: Mapping[str, str], **variables: str) -> tuple[int, str]:
    """Ask whether anything is in the way of an installation from there."""
    tree = make_tree(checkout.parent / "tree")
    words = ("install", "--check", "--tree", str(tree))
    done = run(checkout / "install.sh", *words, env={**env, **variables})
    return done.returncode, done.stderr


def test_checkout_of_another_user_is_refused_with_the_reason_and_a_hint(
    checkout: Path, environment: Mapping[str, str]
) -> None:
    give(checkout, NOBODY)
    status, said = check(checkout, environment)
    assert status == 4
    assert f"{checkout} belongs to user id {NOBODY}" in said
    assert f"hint: copy it to a place of root's own: cp -R {checkout} /root/" in said


def test_checkout_of_who_calls_by_sudo_is_accepted(
    checkout: Path, environment: Mapping[str, str]
) -> None:
    give(checkout, NOBODY)
    assert check(checkout, environment, SUDO_UID=str(NOBODY), SUDO_GID=str(NOBODY))[0] == 0


def test_checkout_of_another_than_who_calls_by_sudo_is_refused(
    checkout: Path, environment: Mapping[str, str]
) -> None:
    give(checkout, 12345)
    assert check(checkout, environment, SUDO_UID=str(NOBODY))[0] == 4


@pytest.mark.parametrize(
    "changeable", [".", "packaging", "packaging/stage.sh", "agent/snap_self/data", "install.sh"]
)
@pytest.mark.parametrize("mode", [0o020, 0o002])
def test_checkout_that_others_can_write_is_refused(
    checkout: Path, environment: Mapping[str, str], changeable: str, mode: int
) -> None:
    path = checkout / changeable
    path.chmod(path.stat().st_mode | mode)
    assert check(checkout, environment)[0] == 4


def test_checkout_below_a_folder_of_another_user_is_refused(
    checkout: Path, environment: Mapping[str, str]
) -> None:
    between = checkout.parent / "between"
    between.mkdir()
    shutil.move(checkout, between)
    os.chown(between, NOBODY, NOBODY)
    status, said = check(between / "checkout", environment)
    assert status == 4
    assert f"{between} belongs to user id {NOBODY}" in said


def user_with_own_group() -> pwd.struct_passwd:
    """Return a user of this machine whose group has that name, and nobody else in it."""
    users = pwd.getpwall()
    for user in users:
        with suppress(KeyError):
            group = grp.getgrgid(user.pw_gid)
            alone = sum(other.pw_gid == user.pw_gid for other in users) == 1
            if user.pw_uid and group.gr_name == user.pw_name and not group.gr_mem and alone:
                return user
    pytest.skip("no user of this machine has a group alone")


@pytest.mark.parametrize("own", [True, False])
def test_checkout_writable_by_its_owners_group_is_accepted_where_nobody_else_is_in_it(
    checkout: Path, environment: Mapping[str, str], *, own: bool
) -> None:
    user = user_with_own_group()
    give(checkout, user.pw_uid, user.pw_gid if own else grp.getgrnam("users").gr_gid)
    for path in (checkout, *checkout.rglob("*")):
        path.chmod(path.stat().st_mode | 0o020)  # as a umask of 002 leaves it
    status, said = check(checkout, environment, SUDO_UID=str(user.pw_uid))
    assert status == (0 if own else 4), said


@pytest.mark.parametrize("owner", [NOBODY, 0])
def test_tree_that_others_can_change_is_not_installed(
    checkout: Path, environment: Mapping[str, str], tmp_path: Path, owner: int
) -> None:
    tree = make_tree(tmp_path / "other")
    program = tree / "opt/snap-self/bin/snap-self"
    os.chown(program, owner, owner)
    program.chmod(0o775)
    words = ("install", "--check", "--tree", str(tree))
    done = run(checkout / "install.sh", *words, env=environment)
    assert (done.returncode, "root is not to run" in done.stderr) == (4, True)


@pytest.mark.parametrize("option", [True, False])
def test_python_of_another_user_is_refused(
    checkout: Path, environment: Mapping[str, str], plants: Plants, *, option: bool
) -> None:
    python = str(plants.programs / "python3")
    words = ("install", "--check", *(("--python", python) if option else ()))
    env = environment if option else {**environment, "PYTHON": python}
    done = run(checkout / "install.sh", *words, env=env)
    assert (done.returncode, plants.run()) == (4, [])
    assert (
        f"root is not to run {python}: {plants.folder} belongs to user id {NOBODY}" in done.stderr
    )


def test_link_of_root_that_leads_to_another_users_python_is_passed_over(
    checkout: Path, environment: Mapping[str, str], plants: Plants, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    links.mkdir()
    (links / "python3").symlink_to(plants.programs / "python3")
    env = {**environment, "PATH": f"{links}:{PATH}"}
    done = run(checkout / "install.sh", "install", "--check", env=env)
    assert (done.returncode, plants.run()) == (0, []), done.stderr


def test_folder_for_temporary_files_that_is_another_users_is_not_used(
    checkout: Path, environment: Mapping[str, str], plants: Plants
) -> None:
    status, said = check(checkout, environment, TMPDIR=str(plants.folder))
    assert status == 0
    assert f"not using TMPDIR: {plants.folder} belongs to user id {NOBODY}" in said


# --- where the demo's environment lies -----------------------------------------------------------


def removal(env: Mapping[str, str], **variables: str) -> str:
    """Return what `demo --remove` says, which looks where the demo would."""
    done = run(ROOT / "install.sh", "demo", "--remove", env={**env, **variables})
    assert done.returncode == 0, done.stderr
    return done.stderr


def cached(folder: Path) -> Path:
    """Make what a demo leaves; return its folder."""
    (folder / "snap-self/demo-venv/bin").mkdir(parents=True)
    return folder / "snap-self"


@pytest.mark.parametrize("variable", ["HOME", "XDG_CACHE_HOME"])
def test_cache_below_another_users_home_is_not_used_by_root_though_it_is_roots(
    environment: Mapping[str, str], tmp_path: Path, variable: str
) -> None:
    home = tmp_path / "home"
    made = cached(home / ".cache")
    os.chown(home, NOBODY, NOBODY)
    value = home if variable == "HOME" else home / ".cache"
    assert str(made) not in removal(environment, **{variable: str(value)})
    assert made.exists()


def test_cache_below_a_home_of_roots_is_used(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    made = cached(tmp_path / "home/.cache")
    assert f"removed {made}/demo-venv" in removal(environment, HOME=str(tmp_path / "home"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that an ordinary user can reach; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(("mode", "used"), [(0o755, True), (0o777, False)])
def test_cache_of_an_ordinary_user_is_used_where_nobody_else_can_exchange_it(
    open_folder: Path, *, mode: int, used: bool
) -> None:
    checkout = copy_checkout(open_folder / "checkout")
    made = cached(open_folder / "homes/home/.cache")
    give(open_folder / "homes/home", NOBODY)
    (open_folder / "homes").chmod(mode)
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    env = {"PATH": PATH, "HOME": str(open_folder / "homes/home")}
    done = run(*user, checkout / "install.sh", "demo", "--remove", env=env)
    assert (f"removed {made}/demo-venv" in done.stderr) is used, done.stderr
    assert made.exists() is not used
