"""Which calls are one human action, by process trees as they are seen on machines."""

from __future__ import annotations

import pytest

from snap_self.changes.grouping import (
    GROUP_MAX_S,
    LATE_S,
    MAX_PAUSE_S,
    MIN_PAUSE_S,
    SERVICE_S,
    find_action,
    judge_earlier,
    pause_s,
)
from snap_self.model.manager_facts import Ancestor, Kept

Process = str | tuple[str, str]


def tree(*processes: Process) -> list[Ancestor]:
    """Return ancestors, the hook's parent first, from names or names with command lines.

    Process ids grow downward from 1, which is the last one named.
    """
    pids = range(len(processes), 0, -1)
    pairs = [(each, each) if isinstance(each, str) else each for each in processes]
    return [
        Ancestor(pid, pid * 100, name, line.split(" "))
        for pid, (name, line) in zip(pids, pairs, strict=True)
    ]


GUARD: tuple[Process, ...] = (
    ("timeout", "timeout --foreground -k 3 65 /usr/bin/snap-self hook apt"),
    ("hook-guard", "/bin/sh /etc/snap-self/hook-guard apt"),
    ("sh", "/bin/sh -c /etc/snap-self/hook-guard apt || test ! -x /etc/snap-self/hook-guard"),
)
TYPED: tuple[Process, ...] = (("bash", "-bash"), "sshd", "sshd", "systemd")


def action(*processes: Process) -> str:
    """Return the name of the process that is the action, or an empty string."""
    found = find_action(tree(*GUARD, *processes))
    return found.name if found else ""


@pytest.mark.parametrize(
    ("processes", "name"),
    [
        pytest.param(("apt", *TYPED), "apt", id="typed"),
        pytest.param(("apt-get", "sudo", *TYPED), "sudo", id="sudo"),
        pytest.param(("apt", ("bash", "bash"), "sudo", *TYPED), "apt", id="root shell"),
        pytest.param(("apt", ("zsh", "zsh -i"), "tmux: server", "systemd"), "apt", id="tmux"),
        pytest.param(("apt", ("bash", "bash ./up.sh -c"), *TYPED), "bash", id="script"),
        pytest.param(
            ("apt", ("bash", "/bin/bash --init-file /x/shellIntegration-bash.sh"), "node"),
            "apt",
            id="an editor's terminal",
        ),
        pytest.param(("apt", ("fish", "fish -C source_x"), "node"), "apt", id="the same, fish"),
        pytest.param(("apt", ("bash", "bash -o vi"), *TYPED), "apt", id="shell with an option"),
        pytest.param(("apt", ("bash", "bash -o errexit ./x"), *TYPED), "bash", id="its script"),
        pytest.param(("apt", ("nu", "nu"), "sshd", "systemd"), "apt", id="a newer shell"),
        pytest.param(("apt", ("sh", "sh -c a; b"), "sshd", "sshd", "init"), "sh", id="ssh"),
        pytest.param(("apt", ("bash", "bash -lc x"), "sshd", "init"), "bash", id="login -c"),
        pytest.param(("apt-get", ("sh", "/bin/sh -e /x"), "cron", "cron", "systemd"), "sh"),
        pytest.param(
            ("unattended-upgr", ("apt.systemd.dai", "/bin/sh /usr/lib/apt/x daily"), "systemd"),
            "apt.systemd.dai",
            id="unattended-upgrades",
        ),
        pytest.param(("noble", "do-release-upgr", "screen", "systemd"), "do-release-upgr"),
        pytest.param(("pacman", "sudo", "yay", *TYPED), "yay", id="AUR helper"),
        pytest.param(("dnf", "puppet", "sudo", *TYPED), "sudo", id="puppet agent -t"),
        pytest.param(
            ("apt", ("ruby", "ruby /usr/bin/puppet agent"), "systemd"), "apt", id="puppet"
        ),
        pytest.param(("apt", "salt-minion", "salt-minion", "systemd"), "salt-minion"),
        pytest.param(("packagekitd", "systemd"), "sh", id="PackageKit"),
        pytest.param(("apt-get", ("sh", "sh /x/fix.sh"), "AliYunDun", "systemd"), "sh", id="fix"),
        pytest.param(("apt-get", "AliYunDun", "AliYunDun", "systemd"), "apt-get", id="Security"),
        pytest.param(("apt-get", "AliYunDunMonito", "systemd"), "apt-get", id="its monitor"),
        pytest.param(
            (
                "apt-get",
                ("sh", "sh -xe /tmp/jenkins1.sh"),
                ("java", "java -jar agent.jar"),
                "systemd",
            ),
            "sh",
            id="Jenkins",
        ),
        pytest.param(
            (
                "apt",
                ("bash", "/usr/bin/bash -e /x.sh"),
                "Runner.Worker",
                "Runner.Listener",
                "systemd",
            ),
            "bash",
            id="GitHub's runner",
        ),
        pytest.param(
            ("apt", ("perl", "/usr/bin/perl /usr/share/webmin/miniserv.pl /etc/x"), "systemd"),
            "apt",
            id="Webmin",
        ),
        pytest.param(
            ("zypper", "venv-salt-minio", "venv-salt-minio", "systemd"), "venv-salt-minio"
        ),
        pytest.param(("apt", "sh", "aliyun-service", "systemd"), "apt", id="typed into sh"),
        pytest.param(("systemd",), "sh", id="nothing between"),
    ],
)
def test_action_is_what_somebody_started(processes: tuple[Process, ...], name: str) -> None:
    assert action(*processes) == name


@pytest.mark.parametrize(
    ("age_s", "name"), [(SERVICE_S - 1, "some-agent"), (SERVICE_S + 1, "apt-get")]
)
def test_what_process_1_started_long_ago_is_a_service_whatever_its_name(
    age_s: float, name: str
) -> None:
    processes = tree(*GUARD, "apt-get", "some-agent", "systemd")
    found = find_action(processes, processes[-2].started / 100 + age_s)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    "job",
    [
        ("apt.systemd.dai", "/bin/sh /usr/lib/apt/apt.systemd.daily install"),
        ("dnf-automatic", "/usr/bin/python3 /usr/bin/dnf-automatic"),
        ("python3", "/usr/bin/python3 /usr/bin/unattended-upgrade"),
    ],
)
def test_long_job_that_process_1_started_is_one_action(job: tuple[str, str]) -> None:
    processes = tree(*GUARD, "apt-get", job, "systemd")
    found = find_action(processes, 9 * 3600.0)
    assert found is not None
    assert found.name == job[0]


@pytest.mark.parametrize(
    ("line", "stdin", "name"),
    [
        ("bash", "pipe:[4711]", "bash"),
        ("bash -s", "/root/setup.sh", "bash"),
        ("sh -e", "socket:[4711]", "bash"),
        ("bash", "/dev/pts/3", "apt"),
        ("bash", "/dev/tty1", "apt"),
        ("-bash", "/dev/console", "apt"),
        ("-bash", "", "apt"),
    ],
)
def test_shell_is_typed_into_only_where_its_input_is_a_terminal(
    line: str, stdin: str, name: str
) -> None:
    processes = tree(*GUARD, "apt", ("bash", line), *TYPED)
    processes[len(GUARD) + 1].stdin = stdin
    found = find_action(processes)
    assert found is not None
    assert found.name == name


def test_job_of_a_daemon_is_its_child_not_the_daemon() -> None:
    found = find_action(tree(*GUARD, "apt", "salt-minion", "salt-minion", "systemd"))
    assert found is not None
    assert found.pid == 3


def test_tasks_of_an_ansible_play_share_their_connection() -> None:
    task = ("python3", "/usr/bin/python3 /root/.ansible/tmp/x/AnsiballZ_apt.py")
    shell = ("sh", "/bin/sh -c /usr/bin/python3 x")
    found = find_action(tree(*GUARD, "apt-get", task, shell, "sshd", "sshd", "systemd"))
    assert found is not None
    assert (found.name, found.pid) == ("sshd", 3)


def test_play_on_the_machine_itself_is_its_playbook() -> None:
    task = ("python3", "/usr/bin/python3 /root/.ansible/tmp/x/AnsiballZ_apt.py")
    play = ("ansible-playboo", "/usr/bin/python3 /usr/bin/ansible-playbook site.yml")
    assert action("apt-get", task, play, *TYPED) == "ansible-playboo"


def test_no_ancestor_is_no_action() -> None:
    assert find_action([]) is None
    assert find_action(tree("systemd")) is None


def test_key_tells_processes_apart_that_had_the_same_number() -> None:
    assert Ancestor(7, 100, "apt").key != Ancestor(7, 200, "apt").key


def made(key: str = "7:1", at: float = 1000.0, took_s: float = 2.0) -> Kept:
    return Kept(key, at, run_id="run-1", took_s=took_s, text="apt: upgrade libc6")


def failed(key: str = "7:1", at: float = 1000.0, took_s: float = 2.0) -> Kept:
    return Kept(key, at, run_id="", took_s=took_s, text="the cloud is away")


def test_second_call_of_an_action_is_covered() -> None:
    one = made()
    assert judge_earlier([one], "7:1", 1001.0).covered_by is one


def test_call_hours_later_of_the_same_action_is_covered() -> None:
    assert judge_earlier([made()], "7:1", 1000.0 + GROUP_MAX_S).covered_by
    assert not judge_earlier([made()], "7:1", 1001.0 + GROUP_MAX_S).covered_by


def test_service_that_ran_for_hours_before_its_first_call_is_no_action() -> None:
    started_s = 500.0
    key = f"7:{started_s * 100:.0f}"
    early, late = (made(key, started_s + age_s) for age_s in (LATE_S, LATE_S + 1))
    assert judge_earlier([early], key, early.at + 1).covered_by is early
    assert judge_earlier([late], key, late.at + 1).covered_by is None
    assert judge_earlier([failed(key, late.at)], key, late.at + 1).paused_by


def test_call_of_another_action_is_not_covered() -> None:
    verdict = judge_earlier([made(), failed()], "8:1", 1001.0)
    assert (verdict.covered_by, verdict.paused_by) == (None, None)


def test_calls_without_an_action_do_not_cover_each_other() -> None:
    verdict = judge_earlier([made(key=""), failed(key="")], "", 1001.0)
    assert (verdict.covered_by, verdict.paused_by) == (None, None)


def test_call_that_wants_its_own_snapshot_is_not_covered() -> None:
    assert judge_earlier([made()], "7:1", 1001.0, own_snapshot=True).covered_by is None


def test_failure_is_no_cover_and_is_tried_again_after_a_pause() -> None:
    fresh = judge_earlier([failed()], "7:1", 1010.0)
    assert (fresh.covered_by, fresh.try_again_s) == (None, MIN_PAUSE_S - 10)
    assert fresh.paused_by
    later = judge_earlier([failed()], "7:1", 1000.0 + MIN_PAUSE_S)
    assert (later.covered_by, later.paused_by) == (None, None)


def test_failure_pauses_also_what_wants_its_own_snapshot() -> None:
    assert judge_earlier([failed()], "7:1", 1010.0, own_snapshot=True).paused_by


def test_latest_call_of_the_action_counts() -> None:
    assert judge_earlier([failed(at=900.0), made()], "7:1", 1001.0).covered_by
    assert judge_earlier([made(at=900.0), failed()], "7:1", 1001.0).paused_by


@pytest.mark.parametrize(("took_s", "pause"), [(1, 60), (20, 100), (60, 300), (600, MAX_PAUSE_S)])
def test_pause_grows_with_what_was_waited(took_s: float, pause: float) -> None:
    assert pause_s(took_s) == pause


def test_cloud_that_is_away_costs_forty_steps_a_sixth_of_their_time() -> None:
    kept: list[Kept] = []
    now, waited, step_s, limit_s = 0.0, 0.0, 30.0, 60.0
    for _ in range(40):
        if not judge_earlier(kept, "7:1", now).paused_by:
            now, waited = now + limit_s, waited + limit_s
            kept.append(failed(at=now, took_s=limit_s))
        now += step_s
    assert waited <= now / 5
    assert len(kept) > 1


def test_entry_from_the_future_is_left_out() -> None:
    assert judge_earlier([made(at=2000.0)], "7:1", 1000.0).covered_by is None
