"""Hooks of package managers as a table."""

from __future__ import annotations

import io

from snap_self.model.registration import (
    HookFault,
    Loaded,
    Placed,
    RegisteredFile,
    Registration,
)
from snap_self.output.hooks import hooks_json, write_hooks, write_switched
from snap_self.output.streams import make_streams
from snap_self.usecases.hook_status import HooksReport, HookStatus
from snap_self.usecases.hook_switch import Switched


def status(hook: str, *, veto: str = "", can_veto: bool = True, fault: str = "") -> HookStatus:
    """Return one hook whose policy is to stop."""
    return HookStatus(
        registration=Registration(
            hook=hook,
            manager=hook,
            version="1.2",
            files=(RegisteredFile(path="/f", placed=Placed.OURS),),
            loaded=Loaded.UNKNOWN,
            loaded_how="nobody",
            can_veto=can_veto,
            veto=veto,
            faults=(HookFault(text=fault, mend="do this"),) if fault else (),
        ),
        enabled=True,
        on_failure="abort",
    )


def written(*hooks: HookStatus, quiet: bool = False) -> tuple[str, str]:
    """Return both streams."""
    out, err = io.StringIO(), io.StringIO()
    streams = make_streams(out, err, env={}, verbosity=-1 if quiet else 0, json=False)
    report = HooksReport(hooks=hooks, absent=("yum",), guard=(), limit_s=90)
    write_hooks(streams, report)
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
    report = HooksReport(hooks=(), absent=(), guard=(), limit_s=60, skipped="in a chroot")
    write_hooks(streams, report)
    assert out.getvalue() == "all: at present no change gets a snapshot: in a chroot\n"
    assert hooks_json(report)["skipped"] == "in a chroot"


def test_json_has_what_the_table_has() -> None:
    report = HooksReport(hooks=(status("apt", fault="f"),), absent=(), guard=(), limit_s=60)
    (hook,) = hooks_json(report)["hooks"]
    assert (hook["loaded"], hook["placed"], hook["on_failure"]) == ("unknown", "ours", "abort")
    assert hook["faults"] == [{"text": "f", "mend": "do this"}]
    assert hooks_json(report)["exit_status"] == 4


def test_switched_names_what_is_on() -> None:
    err = io.StringIO()
    streams = make_streams(io.StringIO(), err, env={}, verbosity=0, json=False)
    write_switched(streams, Switched(changed=True, enabled=(), placed=("placed /f",)))
    assert err.getvalue() == "placed /f\nSwitched on: none\n"
