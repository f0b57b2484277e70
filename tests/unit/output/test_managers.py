"""Hooks of package managers as a table."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from snap_self.model.registration import (
    Loaded,
    ManagerFault,
    Note,
    Placed,
    RegisteredFile,
    Registration,
    Rehearsal,
)
from snap_self.output.managers import managers_json, write_managers, write_switched
from snap_self.output.streams import make_streams
from snap_self.usecases.manager_status import ManagersReport, ManagerStatus
from snap_self.usecases.manager_switch import Switched


def status(hook: str, *, veto: str = "", can_veto: bool = True, fault: str = "") -> ManagerStatus:
    """Return one hook whose policy is to stop."""
    return ManagerStatus(
        registration=Registration(
            hook=hook,
            manager=hook,
            version="1.2",
            files=(RegisteredFile(path="/f", placed=Placed.OURS),),
            loaded=Loaded.UNKNOWN,
            loaded_how="nobody",
            can_veto=can_veto,
            veto=veto,
            faults=(ManagerFault(text=fault, mend="do this"),) if fault else (),
        ),
        enabled=True,
        on_failure="abort",
    )


def written(*hooks: ManagerStatus, quiet: bool = False) -> tuple[str, str]:
    """Return both streams."""
    out, err = io.StringIO(), io.StringIO()
    streams = make_streams(out, err, env={}, verbosity=-1 if quiet else 0, json=False)
    report = ManagersReport(hooks=hooks, absent=("yum",), guard=(), limit_s=90)
    write_managers(streams, report)
    return out.getvalue(), err.getvalue()


def test_table_has_a_row_for_each_hook_and_faults_below() -> None:
    out, err = written(status("apt"), status("zypper", veto="only so", fault="broken"))
    assert out.splitlines() == [
        "HOOK    VERSION  SWITCHED  FILES     READ       CAN STOP  ON FAILURE",
        "apt     1.2      on        in place  not known  yes       abort",
        "zypper  1.2      on        in place  not known  partly    abort",
        "zypper: broken",
        "  -> do this",
    ]
    assert "Note: zypper: only so" in err
    assert "Not on this machine: yum" in err
    assert "longer than 90s" in err


def test_policy_that_has_no_effect_is_told() -> None:
    out, err = written(status("dnf5", can_veto=False, veto="too old"))
    assert "  no        abort" in out
    assert "on_failure = abort has no effect on dnf5" in err


def test_faults_are_written_even_when_quiet() -> None:
    out, err = written(status("apt", fault="broken"), quiet=True)
    assert "apt: broken" in out
    assert err == ""


def test_reason_why_nothing_is_done_at_present_is_told_even_when_quiet() -> None:
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=-1, json=False)
    report = ManagersReport(hooks=(), absent=(), guard=(), limit_s=60, skipped="in a chroot")
    write_managers(streams, report)
    assert out.getvalue() == "all: at present no change gets a snapshot: in a chroot\n"
    assert managers_json(report)["skipped"] == "in a chroot"


def test_json_has_what_the_table_has() -> None:
    report = ManagersReport(hooks=(status("apt", fault="f"),), absent=(), guard=(), limit_s=60)
    (hook,) = managers_json(report)["hooks"]
    assert (hook["loaded"], hook["placed"], hook["on_failure"]) == ("unknown", "ours", "abort")
    assert hook["faults"] == [{"text": "f", "mend": "do this"}]
    assert managers_json(report)["exit_status"] == 4


def test_rehearsal_is_told_in_json_and_where_it_did_not_come_about() -> None:
    one = status("apt")
    tried = Rehearsal(reached=True, stopped=True, note=Note(whole=True, skipped="told to"))
    shown = ManagerStatus(
        registration=replace(one.registration, rehearsal=tried), enabled=True, on_failure="abort"
    )
    report = ManagersReport(hooks=(one, shown), absent=(), guard=(), limit_s=60)
    assert [hook["rehearsal"] for hook in managers_json(report)["hooks"]] == [
        None,
        {"reached": True, "stopped": True, "skipped": "told to", "why": ""},
    ]
    untried = replace(one.registration, rehearsal=Rehearsal(reached=None, why="no mounts"))
    _, err = written(ManagerStatus(registration=untried, enabled=True, on_failure="abort"))
    assert "Note: apt: a rehearsal did not come about: no mounts" in err


def test_guard_that_was_changed_is_told() -> None:
    changed = RegisteredFile(path="/guard", placed=Placed.CHANGED)
    report = ManagersReport(hooks=(), absent=(), guard=(), limit_s=60, guard_file=changed)
    err = io.StringIO()
    write_managers(make_streams(io.StringIO(), err, env={}, verbosity=0, json=False), report)
    assert "Note: /guard was changed." in err.getvalue()
    assert managers_json(report)["guard_placed"] == "changed"


def test_switched_names_what_is_on() -> None:
    err = io.StringIO()
    streams = make_streams(io.StringIO(), err, env={}, verbosity=0, json=False)
    write_switched(streams, Switched(changed=True, enabled=(), placed=("placed /f",)), on=True)
    assert err.getvalue() == "placed /f\nSwitched on: none\n"


@pytest.mark.parametrize(
    ("absent", "told"),
    [
        (("zypper",), "Note: zypper is not on this machine."),
        (("apt", "dnf"), "Note: apt, dnf are not on this machine."),
    ],
)
def test_switched_manager_that_is_not_here_is_named(absent: tuple[str, ...], told: str) -> None:
    err = io.StringIO()
    streams = make_streams(io.StringIO(), err, env={}, verbosity=0, json=False)
    write_switched(streams, Switched(changed=True, enabled=("apt",), not_here=absent), on=True)
    assert err.getvalue().splitlines()[-1] == told
