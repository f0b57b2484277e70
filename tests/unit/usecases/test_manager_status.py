"""Whether hooks are really read, by what each package manager says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.registration import HOOKS, FakeMachine, FakeStage
from snap_self.changes.registration.machine import AGENT, GUARD, first_version, listed_after
from snap_self.changes.registration.pacman import with_network
from snap_self.config.load import default_config
from snap_self.config.settings import PackageManagersSettings
from snap_self.errors import ExitStatus, UsageError
from snap_self.model.registration import Loaded, Note, Placed, Registration
from snap_self.usecases.manager_status import ManagersReport, manager_status, quick_look

SETTINGS: PackageManagersSettings = default_config().package_managers
APT = "/etc/apt/apt.conf.d/65snap-self"
ACTIONS = "/etc/dnf/libdnf5-plugins/actions.d/snap-self.actions"
PLUGINS = "/usr/lib/python3.6/site-packages/dnf-plugins"
ZYPPER = "/usr/lib/zypp/plugins/commit/snap-self"
PACMAN = "/usr/share/libalpm/hooks/05-snap-self.hook"
OVERRIDE = "/etc/pacman.d/hooks/05-snap-self.hook"
PACMAN_SAYS = "Root      : /\nHook Dirs : /usr/share/libalpm/hooks/  /etc/pacman.d/hooks/  \n"
FULL_LINE = "pre_transaction:::enabled=host-only mode=json raise_error=1:…\n"
PLAIN_LINE = "pre_transaction:::enabled=host-only:…\n"
HEALTHY = {GUARD: "guard", f"{HOOKS}/hook-guard": "guard", AGENT: "agent"}


def report(machine: FakeMachine, wanted: str = "") -> ManagersReport:
    """Return what is found with the usual configuration."""
    return manager_status(machine.machine(), SETTINGS, wanted=wanted)


def one(machine: FakeMachine, hook: str) -> Registration:
    """Return what is found of one hook."""
    (status,) = report(machine, hook).hooks
    return status.registration


def faults(found: Registration) -> str:
    """Return the texts of its faults."""
    return "; ".join(fault.text for fault in found.faults)


def apt(dump: str | None) -> FakeMachine:
    """Return a machine with apt and our file."""
    return FakeMachine(
        programs=("apt-get", "snap-self"),
        files={APT: "text", f"{HOOKS}/apt/65snap-self": "text", **HEALTHY},
        says={"apt-get --version": "apt 2.6.1 (amd64)\n", "apt-config dump": dump},
    )


@pytest.mark.parametrize(
    ("dump", "loaded", "fault"),
    [
        (f'DPkg::Pre-Install-Pkgs::snap-self "{GUARD} apt";\n', Loaded.YES, ""),
        ('DPkg::Pre-Install-Pkgs:: "/usr/bin/other";\n', Loaded.NO, "apt does not read our file"),
        ('DPkg::Pre-Install-Pkgs::snap-self "";\n', Loaded.NO, "apt does not read our file"),
        (None, Loaded.UNKNOWN, ""),
    ],
    ids=["read", "cleared", "emptied", "silent"],
)
def test_apt_is_believed_about_its_hooks(dump: str | None, loaded: Loaded, fault: str) -> None:
    found = one(apt(dump), "apt")
    assert (found.version, found.loaded) == ("2.6.1", loaded)
    assert found.placed is Placed.OURS
    assert fault in faults(found)
    assert bool(found.faults) == bool(fault)


def dnf4(**more: str | None) -> FakeMachine:
    """Return a machine with dnf 4 and our plugin."""
    plugin, config = f"{PLUGINS}/snap_self.py", "/etc/dnf/plugins/snap_self.conf"
    return FakeMachine(
        programs=("dnf", "dnf-3", "snap-self"),
        files={
            plugin: "p",
            config: "c",
            f"{HOOKS}/dnf4/snap_self.py": "p",
            f"{HOOKS}/dnf4/snap_self.conf": "c",
            **HEALTHY,
        },
        says={
            f"/bin/sh {HOOKS}/dnf4/plugin-path": f"{PLUGINS}\n",
            "/usr/bin/dnf-3 --version": "4.7.0\n  Installed: dnf-0:4.7.0-4.el8.noarch\n",
            **{f"/usr/bin/dnf-3 {words}": text for words, text in more.items()},
        },
    )


@pytest.mark.parametrize(
    ("said", "loaded"),
    [
        ("Loaded plugins: builddep, snap_self, copr\nDNF version: 4.7.0\n", Loaded.YES),
        ("Loaded plugins: builddep, not_snap_self\n", Loaded.NO),
        ("DNF version: 4.7.0\n", Loaded.NO),
        (None, Loaded.UNKNOWN),
    ],
)
def test_dnf4_is_believed_about_its_plugins(said: str | None, loaded: Loaded) -> None:
    found = one(dnf4(**{"-C -v repolist": said}), "dnf4")
    assert found.loaded is loaded
    assert found.version == "4.7.0"
    assert bool(found.faults) == (loaded is Loaded.NO)


def test_dnf4_without_plugin_is_not_asked_for_plugins() -> None:
    machine = dnf4()
    del machine.files[f"{PLUGINS}/snap_self.py"]
    found = one(machine, "dnf4")
    assert (found.placed, found.loaded) == (Placed.MISSING, Loaded.NO)
    assert found.faults[0].mend == "snap-self hook enable dnf"
    assert not any("repolist" in argv for argv in machine.ran)


def dnf5(line: str | None, placed: str | None) -> FakeMachine:
    """Return a machine with dnf 5."""
    return FakeMachine(
        programs=("dnf5", "dnf", "snap-self"),
        files={**({ACTIONS: placed} if placed is not None else {}), **HEALTHY},
        says={
            f"/bin/sh {HOOKS}/dnf5/actions-line": line,
            "/usr/bin/dnf5 --version": "dnf5 version 5.2.12.0\ndnf5 plugin API version 2.0\n",
        },
    )


def test_dnf5_with_new_plugin_can_be_stopped() -> None:
    found = one(dnf5(FULL_LINE, FULL_LINE), "dnf5")
    assert (found.placed, found.loaded, found.can_veto) == (Placed.OURS, Loaded.UNKNOWN, True)
    assert (found.version, found.faults) == ("5.2.12.0", ())


def test_dnf5_with_old_plugin_cannot_be_stopped() -> None:
    found = one(dnf5(PLAIN_LINE, PLAIN_LINE), "dnf5")
    assert not found.can_veto
    assert "cannot stop" in found.veto


def test_dnf5_whose_plugin_was_replaced_has_changed_file() -> None:
    assert one(dnf5(FULL_LINE, PLAIN_LINE), "dnf5").placed is Placed.CHANGED


def test_dnf5_without_plugin_says_what_to_install() -> None:
    found = one(dnf5(None, None), "dnf5")
    assert found.loaded is Loaded.NO
    assert "dnf5 install libdnf5-plugin-actions" in found.faults[0].mend


def yum(said: str, *, link: str = "") -> FakeMachine:
    """Return a machine with yum 3."""
    return FakeMachine(
        programs=("yum", "snap-self"),
        files={
            "/etc/yum.conf": "[main]\nplugins=1\n",
            "/usr/lib/yum-plugins/snap_self.py": "p",
            "/etc/yum/pluginconf.d/snap_self.conf": "c",
            f"{HOOKS}/yum/snap_self.py": "p",
            f"{HOOKS}/yum/snap_self.conf": "c",
            **HEALTHY,
        },
        links={"/usr/bin/yum": link} if link else {},
        says={"/usr/bin/yum --version": "3.4.3\n", "/usr/bin/yum -C -v repolist": said},
    )


@pytest.mark.parametrize(
    ("said", "loaded"),
    [
        ("Loaded plugins: fastestmirror, snap_self\n", Loaded.YES),
        ("Loaded plugins: fastestmirror,\n              : snap_self\n", Loaded.YES),
        ("Loaded plugins: fastestmirror\n", Loaded.NO),
        ("Config time: 0.01\n", Loaded.NO),
    ],
)
def test_yum_is_believed_about_its_plugins(said: str, loaded: Loaded) -> None:
    assert one(yum(said), "yum").loaded is loaded


def test_yum_that_is_a_name_of_dnf_is_left_out() -> None:
    assert report(yum("", link="dnf-3"), "yum").absent == ("yum",)


@pytest.mark.parametrize(("executable", "loaded"), [(True, Loaded.YES), (False, Loaded.NO)])
def test_zypper_reads_what_may_be_executed(executable: bool, loaded: Loaded) -> None:
    machine = FakeMachine(
        programs=("zypper", "snap-self"),
        files={ZYPPER: "z", f"{HOOKS}/zypper/snap-self": "z", **HEALTHY},
        executable=(GUARD, AGENT, *([ZYPPER] if executable else [])),
        says={"/usr/bin/zypper --version": "zypper 1.14.42\n"},
    )
    found = one(machine, "zypper")
    assert found.loaded is loaded
    assert (found.can_veto, "ending zypper" in found.veto) == (True, True)
    assert [fault.mend for fault in found.faults] == ([] if executable else [f"chmod 755 {ZYPPER}"])


def pacman(
    *, override: str | None = None, link: str = "", isolated: bool = False, said: str = PACMAN_SAYS
) -> FakeMachine:
    """Return a machine with pacman."""
    files = {PACMAN: "hook\n", f"{HOOKS}/pacman/05-snap-self.hook": "hook\n", **HEALTHY}
    return FakeMachine(
        programs=("pacman", "snap-self"),
        files=files | ({OVERRIDE: override} if override is not None else {}),
        links={OVERRIDE: link} if link else {},
        says={
            "/usr/bin/pacman -Tv": said,
            "/usr/bin/pacman --version": " .--.   Pacman v7.0.0 - libalpm v15.0.0\n",
            f"/bin/sh {HOOKS}/pacman/isolates": "" if isolated else None,
        },
    )


@pytest.mark.parametrize(
    ("machine", "loaded", "fault"),
    [
        (pacman(), Loaded.YES, ""),
        (pacman(link="/dev/null"), Loaded.NO, "switches our hook off"),
        (pacman(isolated=True), Loaded.YES, "away from the network"),
        (pacman(isolated=True, override=with_network("hook")), Loaded.YES, ""),
        (pacman(isolated=True, override="hook\n"), Loaded.YES, "away from the network"),
        (pacman(override=with_network("hook")), Loaded.YES, "refuses to work"),
        (pacman(said="Hook Dirs : /opt/hooks/\n"), Loaded.NO, "pacman does not read our file"),
        (pacman(said=""), Loaded.UNKNOWN, ""),
    ],
    ids=["plain", "masked", "isolated", "allowed", "unallowed", "refused", "elsewhere", "silent"],
)
def test_pacman_is_believed_about_its_folders(
    machine: FakeMachine, loaded: Loaded, fault: str
) -> None:
    found = one(machine, "pacman")
    assert found.loaded is loaded
    assert fault in faults(found)
    assert bool(found.faults) == bool(fault)
    assert found.version == "7.0.0"


def test_pacman_hook_of_the_administrators_own_is_told_as_changed() -> None:
    found = one(pacman(override="another\n"), "pacman")
    assert found.placed is Placed.CHANGED
    assert [file.path for file in found.files] == [PACMAN, OVERRIDE]


def test_managers_that_are_not_there_are_named() -> None:
    found = report(apt(None))
    assert found.absent == ("dnf4", "dnf5", "yum", "zypper", "pacman")
    assert [status.registration.hook for status in found.hooks] == ["apt"]


def test_manager_name_of_dnf_stands_for_all_three() -> None:
    assert report(apt(None), "dnf").absent == ("dnf4", "dnf5", "yum")


def test_manager_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        report(apt(None), "brew")
    assert "apt, dnf, zypper, pacman" in caught.value.hint


@pytest.mark.parametrize(("enabled", "status"), [(True, ExitStatus.ENVIRONMENT), (False, 0)])
def test_fault_counts_only_where_switched_on(enabled: bool, status: int) -> None:
    settings = replace(SETTINGS, enabled=("apt",) if enabled else ("dnf",))
    machine = apt("")
    found = manager_status(machine.machine(), settings)
    assert found.exit_status == status
    assert [one.enabled for one in found.hooks] == [enabled]


def test_guard_that_is_missing_is_a_fault_of_all() -> None:
    machine = apt(f'DPkg::Pre-Install-Pkgs::snap-self "{GUARD} apt";\n')
    del machine.files[GUARD]
    assert "is not there" in report(machine).guard[0].text
    assert report(machine).exit_status == ExitStatus.ENVIRONMENT


@pytest.mark.parametrize(("enabled", "status"), [(("apt",), 4), ((), 0)])
def test_what_keeps_all_hooks_from_working_counts_only_where_one_is_on(
    enabled: tuple[str, ...], status: int
) -> None:
    machine = apt(f'DPkg::Pre-Install-Pkgs::snap-self "{GUARD} apt";\n')
    settings = replace(SETTINGS, enabled=enabled)
    whole = manager_status(machine.machine(), settings)
    skipped = manager_status(machine.machine(), settings, skipped="an image is being built")
    del machine.files[GUARD]
    unguarded = manager_status(machine.machine(), settings)
    assert whole.exit_status == 0
    assert (skipped.exit_status, unguarded.exit_status) == (status, status)


def test_guard_that_may_not_be_executed_is_a_fault() -> None:
    machine = apt("")
    machine.executable = ()
    assert report(machine).guard[0].mend == f"chmod 755 {GUARD}"


@pytest.mark.parametrize("lost", ["file", "bits"])
def test_guard_without_the_agent_that_it_starts_is_a_fault_wherever_the_path_leads(
    lost: str,
) -> None:
    machine = apt("")
    if lost == "file":
        del machine.files[AGENT]
    else:
        machine.executable = (GUARD,)
    assert machine.machine().which("snap-self")
    assert f"{AGENT} is not there or may not be executed" in report(machine).guard[0].text


@pytest.mark.parametrize("changed", [GUARD, APT])
def test_what_a_changed_file_does_is_not_claimed_without_a_rehearsal(changed: str) -> None:
    machine = apt(f'DPkg::Pre-Install-Pkgs::snap-self "{GUARD} apt";\n')
    assert one(machine, "apt").loaded is Loaded.YES
    machine.files[changed] += "exit 0\n"
    found = one(machine, "apt")
    assert (found.loaded, found.rehearsal) == (Loaded.UNKNOWN, None)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("apt 2.6.1 (amd64)", "2.6.1"),
        ("dnf5 version 5.2.12.0", "5.2.12.0"),
        ("Pacman v6.0.2 - libalpm v13.0.2", "6.0.2"),
        ("3 of them", ""),
        ("", ""),
    ],
)
def test_first_version_is_found_in_what_programs_say(text: str, version: str) -> None:
    assert first_version(text) == version


def test_listed_after_needs_the_label_at_the_line_s_beginning() -> None:
    assert listed_after("see Plugins: a\n  Plugins: b, c  d\n", "Plugins:") == ["b", "c", "d"]
    assert listed_after("nothing", "Plugins:") is None


@pytest.mark.parametrize(
    ("enabled", "here", "missing"),
    [
        (("apt", "zypper"), ["apt"], ["zypper"]),
        (("zypper",), [], ["zypper"]),
        (("pacman",), [], []),
    ],
)
def test_quick_look_tells_what_is_in_place_without_asking(
    enabled: tuple[str, ...], here: list[str], missing: list[str]
) -> None:
    machine = apt("")
    machine.programs = ("apt-get", "zypper")
    assert quick_look(machine.machine(), enabled) == (here, missing)
    assert machine.ran == []


READ = f'DPkg::Pre-Install-Pkgs::snap-self "{GUARD} apt";\n'
WHOLE = Note(whole=True, skipped="")


def rehearsed(stage: FakeStage, **more: str) -> Registration:
    """Return what is found of an apt that reads our file and rehearses so."""
    machine = apt(READ)
    machine.stage = stage
    machine.files |= more
    return one(machine, "apt")


@pytest.mark.parametrize(
    ("stage", "loaded", "can_veto", "fault"),
    [
        (FakeStage(ended=(100, "E: stopped"), noted=WHOLE), Loaded.YES, True, ""),
        (FakeStage(noted=WHOLE), Loaded.YES, False, "does not heed our hook"),
        (FakeStage(), Loaded.NO, False, "did not come to our hook"),
        (
            FakeStage(ended=(100, ""), noted=Note(whole=False, skipped="")),
            Loaded.YES,
            True,
            "does not tell our hook all packages",
        ),
        (
            FakeStage(ended=(100, ""), noted=Note(whole=True, skipped="told to")),
            Loaded.YES,
            True,
            "no change by apt gets a snapshot: told to",
        ),
    ],
    ids=["well", "not-heeded", "not-reached", "not-whole", "skipped"],
)
def test_rehearsal_is_believed_beside_what_the_manager_says(
    stage: FakeStage, loaded: Loaded, can_veto: bool, fault: str
) -> None:
    found = rehearsed(stage)
    assert (found.loaded, found.can_veto) == (loaded, can_veto)
    assert fault in faults(found)
    assert bool(found.faults) == bool(fault)
    assert stage.ran[0][:2] == ("apt-get", "-c")


@pytest.mark.parametrize(
    ("ended", "why"),
    [((100, "E: broken\n"), "E: broken"), (OSError(1, "no mounts"), "[Errno 1] no mounts")],
)
def test_rehearsal_that_did_not_come_about_proves_nothing(
    ended: tuple[int, str] | OSError, why: str
) -> None:
    found = rehearsed(FakeStage(ended=ended))
    assert (found.loaded, found.faults) == (Loaded.YES, ())
    assert found.rehearsal is not None
    assert (found.rehearsal.reached, found.rehearsal.why) == (None, why)
    assert rehearsed(FakeStage(ended=ended), **{APT: "other"}).loaded is Loaded.UNKNOWN


def test_mend_names_what_was_changed() -> None:
    found = rehearsed(FakeStage(), **{GUARD: "other", APT: "other"})
    assert found.faults[0].mend == (f"restore {APT} and {GUARD} from /usr/share/snap-self/hooks")


def test_reason_that_holds_for_all_hooks_is_not_told_again() -> None:
    machine = apt(READ)
    machine.stage = FakeStage(ended=(100, ""), noted=Note(whole=True, skipped="a build"))
    whole = manager_status(machine.machine(), SETTINGS, wanted="apt", skipped="a build")
    assert (whole.hooks[0].registration.faults, whole.exit_status) == ((), 4)


@pytest.mark.parametrize("how", ["off", "missing", "guard"])
def test_nothing_is_rehearsed_that_cannot_work(how: str) -> None:
    machine = apt(READ)
    machine.stage = FakeStage()
    if how == "missing":
        del machine.files[APT]
    if how == "guard":
        machine.executable = ()
    settings = replace(SETTINGS, enabled=() if how == "off" else ("apt",))
    manager_status(machine.machine(), settings, wanted="apt")
    assert machine.stage.ran == []
