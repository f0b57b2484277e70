"""`install.sh install` and `uninstall`, run for real on overlays of this machine's folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from built_packages import self_contained_tree
from install_rig import ROOT, Machine, copy_checkout, machine_running, make_tree, shim

from json_schemas import described

pytestmark = [pytest.mark.root, pytest.mark.own_root, pytest.mark.slow]

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG = "/etc/snap-self/config.toml"
MANIFEST = "/opt/snap-self/install-manifest"
ENABLED = (
    "/etc/systemd/system/sysinit.target.wants/snap-self-thaw.service",
    "/etc/systemd/system/multi-user.target.wants/snap-self-unmount.service",
    "/etc/systemd/system/multi-user.target.wants/snap-self-confirm.service",
)
AGENT = "/opt/snap-self/bin/snap-self"
DPKG_STATUS = "/var/lib/dpkg/status"
MARKER = "/run/snap-self/frozen.json"
METRICS = "/var/lib/snap-self.prom"
WATCHED = f'[metrics]\ntextfile = "{METRICS}"\n'


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Return a machine's environment, where this one has no snap-self."""
    if Path(MANIFEST).parent.exists() or (
        shutil.which("dpkg-query")
        and subprocess.run(["dpkg-query", "-W", "snap-self"], capture_output=True).returncode == 0
    ):
        pytest.skip("snap-self is installed on this machine")
    folder = tmp_path_factory.mktemp("temporary")
    return {"PATH": PATH, "HOME": "/root", "TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}


@pytest.fixture
def machine(tmp_path: Path, environment: Mapping[str, str]) -> Iterator[Machine]:
    """Run a machine without snap-self."""
    own = {**environment, "TMPDIR": str(tmp_path)}
    with machine_running(tmp_path / "machine", own) as running:
        yield running


@pytest.fixture(scope="module")
def installed_once(
    tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]
) -> Iterator[Machine]:
    """Run a machine on which snap-self is installed, to make others like it."""
    folder = tmp_path_factory.mktemp("installed")
    with machine_running(folder / "machine", environment) as running:
        result = install(running, copy_checkout(folder / "checkout"), make_tree(folder / "tree"))
        assert result.returncode == 0, result.stderr
        yield running


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Make what stands for the built tree."""
    return make_tree(tmp_path / "tree")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Copy the checkout."""
    return copy_checkout(tmp_path / "checkout")


@pytest.fixture
def installed(tmp_path: Path, installed_once: Machine) -> Iterator[Machine]:
    """Run a machine on which snap-self is installed."""
    own = {**installed_once.environment, "TMPDIR": str(tmp_path)}
    with machine_running(tmp_path / "machine", own, like=installed_once) as running:
        yield running


def install(
    machine: Machine, checkout: Path, tree: Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return machine.run(
        str(checkout / "install.sh"), "install", "--tree", str(tree), *options, env=variables
    )


def uninstall(machine: Machine, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return machine.run(str(checkout / "install.sh"), "uninstall", *options)


def manifest(machine: Machine, *kinds: str) -> set[str]:
    lines = [line.split(" ", 2) for line in machine.read(MANIFEST).splitlines()]
    return {path for kind, _, path in lines if not kinds or kind in kinds}


def files_in(machine: Machine) -> set[str]:
    return manifest(machine, "tree", "file", "link", "conf", "hook")


def said(result: subprocess.CompletedProcess[str], word: str) -> set[str]:
    return set(re.findall(rf"^install\.sh: {word} (\S+)", result.stderr, flags=re.MULTILINE))


# --- installing ------------------------------------------------------------------------------


def test_install_puts_down_what_it_says_and_what_the_manifest_names(
    machine: Machine, checkout: Path, tree: Path
) -> None:
    result = install(machine, checkout, tree)
    assert (result.returncode, result.stdout) == (0, "")
    assert machine.changed() == files_in(machine)
    outside = manifest(machine, "file", "link", "conf", "hook")
    assert said(result, "placed") == {"/opt/snap-self", *outside}


def test_install_puts_the_parts_where_the_system_looks_for_them(installed: Machine) -> None:
    assert installed.run("snap-self", "--version").stdout == "snap-self 1.0\n"
    for name in (
        CONFIG,
        "/etc/snap-self/hook-guard",
        "/usr/lib/systemd/system/snap-self-thaw.service",
        "/usr/lib/tmpfiles.d/snap-self.conf",
        "/usr/share/bash-completion/completions/snap-self",
        "/usr/share/fish/vendor_completions.d/snap-self.fish",
        "/usr/share/man/man8/snap-self.8.gz",
        "/usr/share/doc/snap-self/ram/snap-self-create.json",
        *(f"/usr/share/snap-self/schema/{name}.schema.json" for name in described()),
    ):
        assert installed.path(name).is_file(), name
    assert installed.path("/etc/snap-self/conf.d").is_dir()
    assert installed.path("/etc/snap-self/hooks.d").is_dir()


def test_install_enables_what_mends_and_not_the_prune_timer(installed: Machine) -> None:
    for wanted in ENABLED:
        assert installed.path(wanted).is_symlink()
    assert not list(installed.path("/etc/systemd/system").rglob("*prune*"))


def test_install_registers_with_the_package_managers_here(installed: Machine) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get here")
    assert "/etc/apt/apt.conf.d/65snap-self" in manifest(installed, "hook")
    assert installed.run("apt-config", "dump").returncode == 0


def test_install_without_hooks_registers_nothing_and_takes_back(
    installed: Machine, checkout: Path, tree: Path
) -> None:
    result = install(installed, checkout, tree, "--no-hooks")
    assert result.returncode == 0
    assert manifest(installed, "hook") == set()
    assert not installed.path("/etc/apt/apt.conf.d/65snap-self").exists()


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"]], ids=lambda words: words[0])
def test_install_and_uninstall_run_in_any_posix_shell(
    machine: Machine, checkout: Path, tree: Path, shell: list[str]
) -> None:
    script = str(checkout / "install.sh")
    assert machine.run(*shell, script, "install", "--tree", str(tree)).returncode == 0
    assert machine.run(*shell, script, "uninstall", "--purge").returncode == 0
    assert machine.changed() == set()


def test_install_without_systemd_leaves_its_units_out(
    machine: Machine, checkout: Path, tree: Path
) -> None:
    machine.run("rm", "/usr/lib/systemd/systemd")
    result = install(machine, checkout, tree)
    assert result.returncode == 0
    assert "no systemd here" in result.stderr
    assert not machine.path("/usr/lib/systemd/system/snap-self-thaw.service").exists()
    assert machine.path("/run/snap-self").is_dir()


@pytest.mark.parametrize("before", [None, 0o755])
def test_install_lets_others_only_pass_through_the_folder_of_the_marker(
    machine: Machine, checkout: Path, tree: Path, before: int | None
) -> None:
    folder = machine.path("/run/snap-self")
    machine.run("rm", "-rf", "/run/snap-self")
    if before is not None:
        folder.mkdir()
        folder.chmod(before)
    assert install(machine, checkout, tree).returncode == 0
    assert folder.stat().st_mode & 0o777 == 0o711


def test_install_of_a_checkout_that_is_not_whole_changes_nothing(
    machine: Machine, checkout: Path, tree: Path
) -> None:
    (checkout / "packaging/man/snap-self.8").unlink()
    result = install(machine, checkout, tree)
    assert (result.returncode, machine.changed()) == (4, set())
    assert "packaging/man/snap-self.8 is missing" in result.stderr


def test_installed_agent_needs_no_python_of_the_system_and_writes_nothing_into_its_tree(
    machine: Machine,
) -> None:
    script = str(ROOT / "install.sh")
    tree = str(self_contained_tree())
    assert machine.run(script, "install", "--tree", tree).returncode == 0
    named = files_in(machine)
    machine.write("/etc/snap-self/conf.d/50-watched.toml", WATCHED)
    machine.run("sh", "-c", "rm /usr/bin/python3*")
    assert machine.run("snap-self", "metrics", "--refresh").returncode == 0
    assert METRICS in machine.changed()
    assert machine.run("snap-self", "thaw").returncode == 0
    assert machine.run("snap-self", "list").returncode == 4  # it is no ECS instance
    assert {path for path in machine.changed() if path.startswith("/opt")} <= named
    if shutil.which("apt-get"):
        assert machine.run("apt-get", "--simulate", "install", "apt").returncode == 0
    assert machine.run(script, "install", "--tree", tree).returncode == 0
    assert METRICS in machine.changed()
    result = machine.run(script, "uninstall", "--purge")
    assert result.returncode == 0
    assert f"removed {METRICS} (metrics.textfile)" in result.stderr
    assert machine.changed() == set()


# --- what is in the way ----------------------------------------------------------------------


def test_check_changes_nothing(machine: Machine, checkout: Path, tree: Path) -> None:
    result = install(machine, checkout, tree, "--check")
    assert (result.returncode, machine.changed()) == (0, set())
    assert "nothing is in the way" in result.stderr


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_without_root_nothing_is_done(
    machine: Machine, checkout: Path, tmp_path: Path, verb: str
) -> None:
    programs = shim(tmp_path / "shims", "id", "echo 1000")
    result = machine.run(str(checkout / "install.sh"), verb, env={"PATH": f"{programs}:{PATH}"})
    assert (result.returncode, machine.changed()) == (4, set())
    assert f"{verb} must be run by root" in result.stderr


def tell_dpkg(machine: Machine, state: str) -> None:
    """Let dpkg's own list say that it knows the package."""
    package = (
        f"\nPackage: snap-self\nStatus: {state}\nArchitecture: all\nVersion: 1\n"
        "Maintainer: x\nDescription: x\n"
    )
    if not state.endswith(" installed"):
        package += "Config-Version: 1\n"
    machine.write(DPKG_STATUS, machine.read(DPKG_STATUS) + package)


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("install ok installed", "apt-get remove --purge snap-self"),
        ("install ok half-configured", "dpkg --configure snap-self"),
        ("deinstall ok config-files", "dpkg --purge snap-self"),
    ],
)
def test_package_of_dpkg_that_owns_the_files_is_refused_with_a_hint(
    machine: Machine, checkout: Path, tree: Path, state: str, advice: str
) -> None:
    if not shutil.which("dpkg-query"):
        pytest.skip("no dpkg here")
    tell_dpkg(machine, state)
    result = install(machine, checkout, tree)
    assert (result.returncode, machine.changed()) == (4, {DPKG_STATUS})
    assert advice in result.stderr


def test_package_of_rpm_is_refused_with_a_hint(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path
) -> None:
    programs = shim(tmp_path / "shims", "rpm", '[ "$*" = "-q snap-self" ]')
    result = install(machine, checkout, tree, PATH=f"{programs}:{PATH}")
    assert (result.returncode, machine.changed()) == (4, set())
    assert "dnf remove snap-self" in result.stderr


def test_foreign_command_of_that_name_is_not_overwritten(
    machine: Machine, checkout: Path, tree: Path
) -> None:
    machine.write("/usr/bin/snap-self", "#!/bin/sh\n", mode=0o755)
    result = install(machine, checkout, tree)
    assert (result.returncode, machine.changed()) == (4, {"/usr/bin/snap-self"})
    assert "in the way" in result.stderr
    assert "/usr/bin/snap-self" in result.stderr


def test_foreign_folder_of_that_name_is_not_touched(
    machine: Machine, checkout: Path, tree: Path
) -> None:
    machine.write("/opt/snap-self/notes", "mine\n")
    result = install(machine, checkout, tree)
    assert (result.returncode, machine.changed()) == (4, {"/opt/snap-self/notes"})
    assert "was not made by install.sh" in result.stderr


def test_other_architecture_is_refused(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path
) -> None:
    programs = shim(tmp_path / "shims", "uname", '[ "$1" = -s ] && echo Linux || echo mips')
    result = install(machine, checkout, tree, PATH=f"{programs}:{PATH}")
    assert (result.returncode, machine.changed()) == (4, set())
    assert "mips" in result.stderr


def test_full_disk_is_refused_before_anything_is_placed(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path
) -> None:
    programs = shim(tmp_path / "shims", "df", "echo head; echo disk 1000 900 2048 90% /opt")
    result = install(machine, checkout, tree, PATH=f"{programs}:{PATH}")
    assert (result.returncode, machine.changed()) == (4, set())
    assert "/opt has 2 MiB free" in result.stderr


def test_read_only_machine_is_refused(machine: Machine, checkout: Path, tree: Path) -> None:
    machine.run("mount", "-o", "remount,ro", "/usr")
    result = install(machine, checkout, tree)
    assert (result.returncode, machine.changed()) == (4, set())
    assert "/usr cannot be written" in result.stderr


def test_upgrade_while_something_is_frozen_is_refused(
    installed: Machine, checkout: Path, tree: Path
) -> None:
    installed.write(MARKER, "{}")
    result = install(installed, checkout, tree)
    assert result.returncode == 4
    assert "snap-self thaw" in result.stderr


def test_upgrade_waits_for_a_run_to_end(
    installed: Machine, checkout: Path, tree: Path, tmp_path: Path
) -> None:
    installed.write("/var/lib/snap-self/lock", "")
    os.mkfifo(tmp_path / "end")
    holder = installed.start("flock", "/var/lib/snap-self/lock", "cat", str(tmp_path / "end"))
    upgrade = installed.start(str(checkout / "install.sh"), "install", "--tree", str(tree))
    assert upgrade.stderr is not None
    line = next(line for line in upgrade.stderr if "placed" in line or "waiting" in line)
    assert "a run of snap-self is going on" in line
    (tmp_path / "end").write_text("")
    upgrade.communicate(timeout=120)
    holder.communicate(timeout=120)
    assert upgrade.returncode == 0


# --- upgrading -------------------------------------------------------------------------------


def test_upgrade_brings_the_new_version_and_removes_what_is_old(
    installed: Machine, checkout: Path, tmp_path: Path
) -> None:
    old = "/usr/share/doc/snap-self/old.txt"
    lines = installed.read(MANIFEST)
    installed.write(old, "old\n")
    installed.write(MANIFEST, f"{lines}file 00 {old}\n")
    result = install(installed, checkout, make_tree(tmp_path / "new", version="2.0"))
    assert result.returncode == 0
    assert installed.run("snap-self", "--version").stdout == "snap-self 2.0\n"
    assert old in said(result, "removed")
    assert installed.changed() == files_in(installed)


def test_upgrade_in_place_is_never_seen_half_done(
    installed: Machine, checkout: Path, tmp_path: Path
) -> None:
    calls = installed.start(
        "sh",
        "-c",
        # Each answer once: nobody reads meanwhile.
        f"while :; do {AGENT} --version || echo gone; [ ! -e /run/enough ] || exit; done | uniq",
    )
    for number in range(3):
        tree = make_tree(tmp_path / f"tree{number}", version=f"{number}.5")
        assert install(installed, checkout, tree).returncode == 0
    installed.write("/run/enough", "")
    out, err = calls.communicate(timeout=60)
    assert set(out.split("\n")) == {"", "snap-self 1.0", *(f"snap-self {n}.5" for n in range(3))}
    assert err == ""


def test_upgrade_to_what_does_not_run_goes_back(
    installed: Machine, checkout: Path, tmp_path: Path
) -> None:
    broken = make_tree(tmp_path / "new", program="#!/bin/sh\necho broken >&2\nexit 1\n")
    result = install(installed, checkout, broken)
    assert result.returncode == 4
    assert "broken" in result.stderr
    assert installed.run("snap-self", "--version").stdout == "snap-self 1.0\n"
    assert installed.changed() == files_in(installed)


def test_first_installation_of_what_does_not_run_leaves_nothing(
    machine: Machine, checkout: Path, tmp_path: Path
) -> None:
    broken = make_tree(tmp_path / "new", program="#!/bin/sh\nexit 1\n")
    assert install(machine, checkout, broken).returncode == 4
    assert machine.changed() == set()


def new_default(checkout: Path) -> str:
    """Change the default configuration that the checkout ships; return it."""
    path = checkout / "agent/snap_self/data/config.example.toml"
    text = path.read_text(encoding="utf-8") + "# new in this version\n"
    path.write_text(text, encoding="utf-8")
    return text


def test_upgrade_replaces_a_configuration_that_nobody_changed(
    installed: Machine, checkout: Path, tree: Path
) -> None:
    text = new_default(checkout)
    assert install(installed, checkout, tree).returncode == 0
    assert installed.read(CONFIG) == text


def test_upgrade_keeps_a_changed_configuration_and_puts_the_new_one_beside(
    installed: Machine, checkout: Path, tree: Path
) -> None:
    installed.write(CONFIG, "[snapshot]\nkeep = '30d'\n")
    text = new_default(checkout)
    result = install(installed, checkout, tree)
    assert installed.read(CONFIG) == "[snapshot]\nkeep = '30d'\n"
    assert installed.read(f"{CONFIG}.new") == text
    assert f"kept {CONFIG}" in result.stderr


def test_upgrade_does_not_bring_a_deleted_configuration_back(
    installed: Machine, checkout: Path, tree: Path
) -> None:
    installed.path(CONFIG).unlink()
    assert install(installed, checkout, tree).returncode == 0
    assert not installed.path(CONFIG).exists()


# --- interruptions ---------------------------------------------------------------------------

KILL_AT = """
count=$(cat "$COUNT" 2>/dev/null || echo 0)
echo $((count + 1)) >"$COUNT"
[ "$count" -ne "$AT" ] || { kill -KILL $PPID; exit 1; }
exec /bin/mv "$@"
"""


def killed(machine: Machine, checkout: Path, tree: Path, folder: Path, *, at: int) -> None:
    """Install, and be killed instead of one of the renames."""
    programs = shim(folder / "shims", "mv", KILL_AT)
    variables = {"PATH": f"{programs}:{PATH}", "COUNT": str(folder / "count"), "AT": str(at)}
    result = install(machine, checkout, tree, **variables)
    assert result.returncode not in (0, 4)


@pytest.mark.parametrize("at", [0, 1, 2, 12, 30])
def test_first_installation_that_was_killed_can_be_repeated(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path, at: int
) -> None:
    killed(machine, checkout, tree, tmp_path, at=at)
    assert install(machine, checkout, tree).returncode == 0
    assert machine.changed() == files_in(machine)


@pytest.mark.parametrize("at", [1, 12, 30])
def test_first_installation_that_was_killed_can_be_removed(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path, at: int
) -> None:
    killed(machine, checkout, tree, tmp_path, at=at)
    assert uninstall(machine, checkout, "--purge").returncode == 0
    assert machine.changed() == set()


@pytest.mark.parametrize("exchanging", [True, False])
@pytest.mark.parametrize("at", [0, 1])
def test_upgrade_that_was_killed_can_be_repeated(
    installed: Machine, checkout: Path, tmp_path: Path, at: int, *, exchanging: bool
) -> None:
    if not exchanging:  # as on a filesystem that cannot
        installed.write("/opt/snap-self/bin/python3", "#!/bin/sh\nexit 1\n", mode=0o755)
    tree = make_tree(tmp_path / "new", version="2.0")
    killed(installed, checkout, tree, tmp_path, at=at)
    assert install(installed, checkout, tree).returncode == 0
    assert installed.run("snap-self", "--version").stdout == "snap-self 2.0\n"
    assert installed.changed() == files_in(installed)


def test_installation_that_was_asked_to_end_leaves_no_temporary_files(
    machine: Machine, checkout: Path, tree: Path, tmp_path: Path
) -> None:
    end = 'case "$*" in *.snap-self.next) kill -TERM $PPID ;; esac\nexec /bin/cp "$@"'
    programs = shim(tmp_path / "shims", "cp", end)
    result = install(machine, checkout, tree, PATH=f"{programs}:{PATH}")
    assert (result.returncode, machine.changed()) == (143, set())
    assert list(tmp_path.glob("snap-self-install.*")) == []


@pytest.mark.parametrize(
    ("package", "holds"), [("dpkg", True), ("e2fsprogs", True), ("xfsprogs", False)]
)
def test_package_that_apt_does_not_let_go_then_is_not_named_to_be_removed(
    package: str, *, holds: bool
) -> None:
    if not shutil.which("dpkg-query"):
        pytest.skip("no dpkg here")
    script = 'PROGRAM=test; checkout="$1"; . "$1/packaging/setup.sh"; apt_holds_on_to "$2"'
    argv = ["sh", "-c", script, "sh", str(ROOT), package]
    assert (subprocess.run(argv, check=False).returncode == 0) is holds


# --- removing --------------------------------------------------------------------------------


def test_uninstall_leaves_configuration_and_journal_and_says_so(
    installed: Machine, checkout: Path
) -> None:
    installed.write("/var/lib/snap-self/runs/x.json", "{}")
    result = uninstall(installed, checkout)
    assert result.returncode == 0
    assert installed.changed() == {CONFIG, "/var/lib/snap-self/runs/x.json"}
    assert "left: /etc/snap-self" in result.stderr
    assert "left: /var/lib/snap-self" in result.stderr
    assert "snapshots in the cloud stay" in result.stderr


def test_uninstall_removes_what_the_manifest_names_and_says_each(
    installed: Machine, checkout: Path
) -> None:
    named = manifest(installed, "file", "link", "hook")
    result = uninstall(installed, checkout)
    assert {"/opt/snap-self", *named} <= said(result, "removed")


def test_uninstall_takes_what_is_remembered_until_the_next_boot(
    installed: Machine, checkout: Path
) -> None:
    installed.write("/run/snap-self/hooks/groups.json", "{}")
    result = uninstall(installed, checkout)
    assert "/run/snap-self" in said(result, "removed")
    assert not installed.path("/run/snap-self").exists()


def test_uninstall_purge_leaves_nothing(installed: Machine, checkout: Path) -> None:
    installed.write("/var/lib/snap-self/runs/x.json", "{}")
    installed.write("/etc/snap-self/hooks.d/mine", "#!/bin/sh\n")
    assert uninstall(installed, checkout, "--purge").returncode == 0
    assert installed.changed() == set()
    for wanted in ENABLED:
        assert not installed.path(wanted).is_symlink()


def test_uninstall_keeps_what_it_did_not_put_there(installed: Machine, checkout: Path) -> None:
    installed.write("/opt/snap-self/lib/mine.txt", "mine\n")
    result = uninstall(installed, checkout, "--purge")
    assert installed.changed() == {"/opt/snap-self/lib/mine.txt"}
    assert "/opt/snap-self/lib/mine.txt" in result.stderr


def test_uninstall_works_without_the_checkout(installed: Machine) -> None:
    result = installed.run("/opt/snap-self/installer/install.sh", "uninstall", "--purge")
    assert (result.returncode, installed.changed()) == (0, set())


def test_installed_copy_of_install_sh_says_that_it_cannot_install(installed: Machine) -> None:
    result = installed.run("/opt/snap-self/installer/install.sh", "install")
    assert result.returncode == 2
    assert "can only uninstall" in result.stderr


def test_uninstall_ends_a_freeze_that_was_left_behind_first(
    installed: Machine, checkout: Path
) -> None:
    installed.write(MARKER, "{}")
    assert uninstall(installed, checkout).returncode == 0
    assert not installed.path(MARKER).exists()


def test_uninstall_goes_on_where_the_metrics_cannot_be_removed(
    machine: Machine, checkout: Path, tmp_path: Path
) -> None:
    program = '#!/bin/sh\n[ "$1" != metrics ] || { echo left here >&2; exit 4; }\n'
    install(machine, checkout, make_tree(tmp_path / "other", program=program))
    result = uninstall(machine, checkout, "--purge")
    assert (result.returncode, machine.changed()) == (0, set())
    assert "left here" in result.stderr


def test_uninstall_where_a_thaw_fails_removes_nothing(
    machine: Machine, checkout: Path, tmp_path: Path
) -> None:
    program = '#!/bin/sh\n[ "$1" != thaw ] || exit 20\necho snap-self 1.0\n'
    install(machine, checkout, make_tree(tmp_path / "other", program=program))
    machine.write(MARKER, "{}")
    before = machine.changed()
    result = uninstall(machine, checkout)
    assert (result.returncode, machine.changed()) == (4, before)
    assert "may still be frozen" in result.stderr


def test_uninstall_leaves_what_a_package_has_taken_over(installed: Machine, checkout: Path) -> None:
    if not shutil.which("dpkg-query"):
        pytest.skip("no dpkg here")
    tell_dpkg(installed, "install ok installed")
    before = installed.changed()
    result = uninstall(installed, checkout)
    assert (result.returncode, installed.changed()) == (4, before)
    assert "installed as a Debian package" in result.stderr


def test_uninstall_with_nothing_installed_says_so(machine: Machine, checkout: Path) -> None:
    result = uninstall(machine, checkout)
    assert (result.returncode, machine.changed()) == (0, set())
    assert "nothing to uninstall" in result.stderr


def test_second_uninstall_with_purge_removes_what_the_first_left(
    installed: Machine, checkout: Path
) -> None:
    uninstall(installed, checkout)
    assert uninstall(installed, checkout, "--purge").returncode == 0
    assert installed.changed() == set()
