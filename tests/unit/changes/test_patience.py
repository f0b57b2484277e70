"""How long a change is held up, by who waits for it."""

from __future__ import annotations

import pytest

from snap_self.changes.grouping import find_action
from snap_self.changes.patience import find_patience, nobody_waits
from snap_self.model.manager_facts import Ancestor
from snap_self.model.manager_settings import ManagerSettings

SETTINGS = ManagerSettings(limit_s=60, throttled_limit_s=300, spread_s=600)
NO_END = float("inf")


def above(*named: tuple[str, bool]) -> list[Ancestor]:
    """Return processes by name and whether they have a terminal, the hook's parent first."""
    pids = range(100, 0, -1)
    processes = [
        Ancestor(pid, pid, name.split()[0], tuple(name.split()), terminal=terminal)
        for pid, (name, terminal) in zip(pids, named, strict=False)
    ]
    return [*processes, Ancestor(1, 0, "systemd", terminal=False)]


@pytest.mark.parametrize(
    ("processes", "nobody"),
    [
        (above(("apt", True), ("sudo", True), ("bash", True), ("sshd", False)), False),
        (above(("apt", False), ("cron", False)), True),
        (above(("unattended-upgrade", False), ("apt.systemd.daily", False)), True),
        (above(("dnf-automatic", False)), True),
        (above(("apt-get", False), ("sh -c x", False), ("aliyun-service", False)), True),
        # Ansible asks for a terminal of its own by default.
        (
            above(("apt", True), ("python3 AnsiballZ_apt.py", True), ("sh -c x", True),
                  ("sshd", False), ("sshd", False)),
            True,
        ),
        (above(("apt", True), ("AnsiballZ", True), ("ansible-playbook", True), ("bash", True)),
         False),
        # A program's own terminal for what it starts, and a plugin without that of its manager.
        (above(("dpkg", True), ("updater", False), ("cron", False)), True),
        (above(("plugin", False), ("zypper", True), ("bash", True)), False),
        ([], False),
    ],
)  # fmt: skip
def test_nobody_waits_where_the_action_has_no_terminal(
    processes: list[Ancestor], nobody: bool
) -> None:
    assert nobody_waits(processes, find_action(processes, 1e6)) is nobody


def test_at_a_terminal_the_usual_limit_is_the_only_one() -> None:
    found = find_patience(SETTINGS, allowed_s=NO_END, longest_s=NO_END, nobody=False)
    assert (found.limit_s, found.throttled_s, found.spread_s) == (60, 60, 0)


@pytest.mark.parametrize(
    ("allowed_s", "longest_s", "wanted"),
    [
        (NO_END, NO_END, (60, 300, 600)),
        (60, 900, (60, 300, 600)),
        (60, 400, (60, 300, 100)),
        (60, 200, (60, 200, 0)),
        (60, 60, (60, 60, 0)),
        (10, 60, (10, 60, 0)),
    ],
)
def test_without_one_it_may_be_longer_as_far_as_the_guard_allows(
    allowed_s: float, longest_s: float, wanted: tuple[float, float, float]
) -> None:
    found = find_patience(SETTINGS, allowed_s=allowed_s, longest_s=longest_s, nobody=True)
    assert (found.limit_s, found.throttled_s, found.spread_s) == wanted


def test_limit_for_throttled_calls_is_never_below_the_usual_one() -> None:
    settings = ManagerSettings(limit_s=120, throttled_limit_s=60)
    found = find_patience(settings, allowed_s=NO_END, longest_s=NO_END, nobody=True)
    assert (found.limit_s, found.throttled_s) == (120, 120)
