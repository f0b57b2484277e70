"""Which calls of hooks belong to one human action, and whether an earlier snapshot covers them.

unattended-upgrades, a release upgrade or a script of ours calls a package manager many times; each
call has its own process, but all have the same ancestor just below what started the action: a
shell that somebody types into, cron, sshd, systemd. That ancestor is the action, for as long as it
lives. Pure; the state is kept by ``system/managers/state.py``.
"""

from __future__ import annotations

from snap_self.model.manager_facts import DOUBTED, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from snap_self.model.manager_facts import Ancestor, Kept

# Nothing that a person would call one action lasts longer.
GROUP_MAX_S = 12 * 3600
# A process whose first snapshot comes this long after its start is not one action. It is a service
# or an unknown shell, which does one thing after another.
LATE_S = 2 * 3600
# The same of what process 1 itself started, by its age now: after a reboot all services are young,
# and not all are known by name.
SERVICE_S = 600
TICKS_PER_S = 100  # of the start in an action's key; fixed on x86-64 and aarch64
# After a failed snapshot, later calls try none until this many times its duration has passed. Then
# an unreachable cloud costs an action of many steps a sixth of its time, not all of it.
PAUSE_TIMES = 5
MIN_PAUSE_S = 60
MAX_PAUSE_S = 600

SHELLS = frozenset(
    {
        *("sh", "bash", "rbash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh"),
        *("nu", "xonsh", "elvish"),
    }
)
# Of a shell's options those that have a word of their own after them: terminals in editors give
# the first two, people the others.
WITH_WORD = frozenset({"--init-file", "--rcfile", "--init-command", "-C", "-o", "+o", "-O", "+O"})
# What they start is an action of its own.
STARTERS = frozenset(
    {
        *("systemd", "init", "sshd", "sshd-session", "dropbear", "login", "agetty", "getty"),
        *("cron", "crond", "atd", "anacron", "fcron", "screen", "SCREEN", "tmux", "tmux: server"),
        *("gnome-terminal-", "konsole", "xterm", "aliyun-service", "assist_daemon", "rundeckd"),
        *(
            "containerd-shim",
            "supervisord",
            "runit",
            "s6-svscan",
            "gotty",
            "ttyd",
            "cockpit-bridge",
        ),
    }
)
# These live for months and do one thing after the other, each in a child: of configuration managers
# one of their own name, of the others whatever they start. A kernel's name has 15 characters.
FORKING = frozenset(
    {
        *("puppet", "pxp-agent", "salt-minion", "venv-salt-minion", "venv-salt-minio"),
        *("chef-client", "cinc-client"),
    }
)
DAEMONS = FORKING | {
    *("packagekitd", "cf-execd", "dnf5daemon-serv", "dnfdaemon-serve", "PackageKit"),
    *("dbus-daemon", "yum-updatesd", "osqueryd", "qemu-ga", "amazon-ssm-agent"),
    # Alibaba Cloud's Security Center and monitoring.
    *("AliYunDun", "AliYunDunMonitor", "AliYunDunMonito", "AliYunDunUpdate", "AliSecGuard"),
    *("argusagent", "cloudmonitor"),
    # Build agents; Jenkins' is a Java program.
    *("Runner.Listener", "Runner.Worker", "gitlab-runner", "buildkite-agent", "java"),
    *("miniserv.pl", "landscape-clien", "landscape-client", "mcollectived", "zabbix_agentd"),
    *("nrpe", "monit", "snapd", "fwupd", "waagent"),
}
# These are one job for as long as they take, though process 1 starts them.
JOBS = frozenset(
    {
        *("apt.systemd.dai", "apt.systemd.daily", "unattended-upgr", "unattended-upgrade"),
        *("dnf-automatic", "yum-cron", "do-release-upgr", "do-release-upgrade", "cloud-init"),
        *("ansible-pull", "ansible-playboo", "ansible-playbook", "transactional-u"),
    }
)
TERMINALS = ("/dev/pts/", "/dev/tty", "/dev/console", "/dev/hvc", "/dev/xvc")
ANSIBLE_WORDS = ("AnsiballZ", "ansible")


class Verdict:
    """What an earlier call means for this one.

    Args:
        covered_by: the earlier call whose snapshot serves.
        paused_by: the earlier call whose failure is too fresh to try again.
        try_again_s: how long it still is.
    """

    __slots__ = ("covered_by", "paused_by", "try_again_s")

    def __init__(
        self,
        *,
        covered_by: Kept | None = None,
        paused_by: Kept | None = None,
        try_again_s: float = 0.0,
    ) -> None:
        self.covered_by = covered_by
        self.paused_by = paused_by
        self.try_again_s = try_again_s


def find_action(ancestors: Sequence[Ancestor], now_s: float = 0.0) -> Ancestor | None:
    """Return the process that is the human action; None if there is none above the hook.

    Args:
        ancestors: of the hook, its parent first.
        now_s: seconds since boot.
    """
    below: Ancestor | None = None
    under: Ancestor | None = None
    for index, one in enumerate(ancestors):
        if one.pid == 1 or one.name in STARTERS or _is_typed_into(one):
            break
        if _name(one, DAEMONS) in DAEMONS:
            above = ancestors[index + 1] if index + 1 < len(ancestors) else None
            if above and _name(above, FORKING) == _name(one, FORKING) in FORKING:
                return one  # the child that a daemon starts for one job
            if above is None or above.pid == 1 or _name(one, FORKING) not in FORKING:
                return below
        below, under = one, below
    else:
        return below
    if ancestors[index].pid == 1 and below is not None and _is_service(below, now_s):
        return under
    if _is_ansible(ancestors[:index]):
        return _connection(ancestors[index:]) or below
    return below


def judge_earlier(
    kept: Sequence[Kept], key: str, now: float, *, own_snapshot: bool = False
) -> Verdict:
    """Return what the earlier calls of the same action mean for this one.

    A fresh snapshot of another action is not asked for here: the cloud is, which knows whether it
    failed meanwhile.

    Args:
        now: in seconds since boot.
        own_snapshot: only a failure counts, since a snapshot would not serve.
    """
    of_action = sorted((k for k in kept if k.key == key and k.at <= now), key=lambda k: k.at)
    latest = of_action[-1] if of_action and key else None
    if latest is None or now - latest.at > GROUP_MAX_S:
        return Verdict()
    if latest.standing in (FAILED, *DOUBTED):
        left = latest.at + pause_s(latest.took_s) - now
        if left > 0:
            return Verdict(paused_by=latest, try_again_s=left)
        if latest.standing == FAILED:
            return Verdict()
    if own_snapshot or latest.at - _started_s(key) > LATE_S:
        return Verdict()
    return Verdict(covered_by=latest)


def pause_s(took_s: float) -> float:
    """Return how long after a failure that took so long none is tried again."""
    return min(max(PAUSE_TIMES * took_s, MIN_PAUSE_S), MAX_PAUSE_S)


def _started_s(key: str) -> float:
    """Return when an action began, in seconds since boot."""
    ticks = key.rpartition(":")[2]
    return int(ticks) / TICKS_PER_S if ticks.isdecimal() else 0.0


def _is_service(one: Ancestor, now_s: float) -> bool:
    """Tell of a child of process 1 whether it has run for too long to be one job."""
    return now_s - one.started / TICKS_PER_S > SERVICE_S and _name(one, JOBS) not in JOBS


def _is_typed_into(one: Ancestor) -> bool:
    """Tell whether it is a shell that reads commands from somebody, not from a script."""
    if one.name not in SHELLS or (one.stdin and not one.stdin.startswith(TERMINALS)):
        return False
    given = [
        word
        for before, word in zip(one.arguments, one.arguments[1:], strict=False)
        if before not in WITH_WORD
    ]
    return all(word.startswith(("-", "+")) for word in given) and not any(
        word.startswith("-") and not word.startswith("--") and "c" in word for word in given
    )


def _name(one: Ancestor, known: Collection[str]) -> str:
    """Return a program's name, of a script that of its file, by which it is known."""
    names = [word.rpartition("/")[2] for word in one.arguments[:2]]
    return next((name for name in (one.name, *names) if name in known), one.name)


def _is_ansible(ancestors: Sequence[Ancestor]) -> bool:
    return any(
        word in argument
        for one in ancestors
        for argument in one.arguments
        for word in ANSIBLE_WORDS
    )


def _connection(above: Sequence[Ancestor]) -> Ancestor | None:
    """Return the process of the SSH connection, which all tasks of a play share."""
    others = [at for at, one in enumerate(above) if not one.name.startswith("sshd")]
    ssh = above[: others[0]] if others else above
    # The last is the one that listens for all connections.
    return ssh[-2] if len(ssh) > 1 else None
