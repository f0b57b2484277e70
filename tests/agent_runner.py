"""Start the agent as a process of its own, the way a user does, and keep what it says.

All tests that start the agent use this, so that every word it ever says lies in the run directory
and is searched for secrets at the end::

    def test_list_on_empty_account_says_so(agent, simulator):
        result = agent.against(simulator).run("list")
        assert result.status == 0
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from run_directory import RunDirectory

CHECKOUT = Path(__file__).resolve().parent.parent
DEFAULT_TIMEOUT_S = 120.0
# Names the folder that lies in the place of /run/snap-self for root's agents, where they run beside
# tests that need the machine's (lanes.py).
OWN_RUN = "SNAP_SELF_TEST_OWN_RUN"
_IN_OWN_RUN = (
    *("unshare", "--mount", "--propagation", "private"),
    # A package that is removed meanwhile takes the folder away.
    *(
        "sh",
        "-c",
        'mkdir -p -m 700 /run/snap-self && mount --bind "$0" /run/snap-self && exec "$@"',
    ),
)


class SimulatedCloud(Protocol):
    """What the agent must know to find a simulated ECS."""

    @property
    def metadata_url(self) -> str:
        """Return the metadata service's URL."""
        ...

    @property
    def ecs_url(self) -> str:
        """Return the ECS API's URL."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentResult:
    """How one start of the agent ended."""

    argv: tuple[str, ...]
    status: int
    out: str
    err: str
    folder: Path = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """Return the one JSON object on standard output."""
        value = json.loads(self.out)
        assert isinstance(value, dict), f"not an object: {self.out[:200]}"
        return value


class AgentTimedOut(AssertionError):
    """The agent was still running at the time limit; it was killed."""


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """An agent that has been started and not yet waited for; a context manager that ends it."""

    process: subprocess.Popen[bytes]
    argv: tuple[str, ...]
    folder: Path

    @property
    def pid(self) -> int:
        """Return its process id, also that of its process group."""
        return self.process.pid

    @property
    def err(self) -> str:
        """Return what it wrote to standard error so far."""
        return _text(self.folder / "stderr")

    @property
    def out(self) -> str:
        """Return what it wrote to standard output so far."""
        return _text(self.folder / "stdout")

    def kill(self) -> AgentResult:
        """End it with SIGKILL: only the process itself, as the kernel's OOM killer does."""
        self.process.kill()
        return self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> AgentResult:
        """Return how it ended.

        Raises:
            AgentTimedOut: it did not end in time.
        """
        try:
            status = wait_for(self.process, timeout_s)
        except subprocess.TimeoutExpired:
            self.kill_group()
            message = f"{self.argv} ran longer than {timeout_s} s\n{self.out}\n{self.err}"
            raise AgentTimedOut(message) from None
        (self.folder / "status").write_text(f"{status}\n", encoding="utf-8")
        return AgentResult(
            argv=self.argv, status=status, out=self.out, err=self.err, folder=self.folder
        )

    def kill_group(self) -> None:
        """End it and every process that it started and that stayed in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self) -> RunningAgent:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill_group()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRunner:
    """Starts the agent with a clean environment and one state directory.

    Args:
        run: where everything it says is kept.
        state: its ``SNAP_SELF_STATE_DIR``; further starts of the same runner see the same state.
        env: variables it gets beyond the clean ones.
        wrapper: a command put before it, such as ``("ip", "netns", "exec", "NAME")``.
        program: what is started.
        cwd: the directory it is started in.
        disks: device nodes of this machine that the simulated cloud has; the machine's own mounts
            are left out by configuration then, as no snapshot of that cloud could hold them.
    """

    run_directory: RunDirectory
    state: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    wrapper: tuple[str, ...] = ()
    program: tuple[str, ...] = (sys.executable, "-m", "snap_self")
    cwd: Path = Path("/")
    disks: tuple[str, ...] = ()

    def with_env(self, **variables: str) -> AgentRunner:
        """Return a runner that gives the agent these variables too."""
        return replace(self, env={**self.env, **variables})

    def with_wrapper(self, *command: str) -> AgentRunner:
        """Return a runner that starts the agent through ``command``."""
        return replace(self, wrapper=command)

    def installed_in(self, cwd: Path, *flags: str) -> AgentRunner:
        """Return a runner that starts the installed command in a directory.

        Args:
            flags: of the interpreter that runs it.
        """
        script = Path(sys.executable).parent / "snap-self"
        return replace(self, program=(sys.executable, *flags, str(script)), cwd=cwd)

    def against(self, cloud: SimulatedCloud, *, ca_bundle: Path | None = None) -> AgentRunner:
        """Return a runner whose agent meets a simulated ECS."""
        variables = {
            "SNAP_SELF_METADATA_URL": cloud.metadata_url,
            "SNAP_SELF_ECS_ENDPOINT": cloud.ecs_url,
        }
        if ca_bundle is not None:
            variables["SNAP_SELF_NETWORK_CA_BUNDLE"] = str(ca_bundle)
        return replace(self.with_env(**variables), disks=_devices_of(cloud))

    def environment(self) -> dict[str, str]:
        """Return all variables the agent gets; nothing of the caller's but PATH."""
        root = self.run_directory.root
        return {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(root / "home"),
            "TMPDIR": str(root / "tmp"),
            "PYTHONPATH": str(CHECKOUT / "agent"),
            "SNAP_SELF_STATE_DIR": str(self.state),
            # A test that wants the background process says so, and ends it.
            "SNAP_SELF_FOLLOW_ENABLED": "false",
            # For simulators that the agent itself starts, as its demo does.
            "SNAP_SELF_TEST_SECRETS_DIR": str(self.run_directory.secrets_folder),
            **self._left_out(),
            **self.env,
        }

    def _left_out(self) -> dict[str, str]:
        """Return the configuration that leaves out what the simulated cloud cannot hold."""
        if not self.disks:
            return {}
        from own_machine import own_mounts

        return {"SNAP_SELF_DISKS_EXCLUDE": json.dumps(own_mounts(self.disks))}

    def start(self, *arguments: str, stdin: bytes | None = None) -> RunningAgent:
        """Start the agent and go on."""
        folder = self.run_directory.new_folder("agent", "-".join(arguments) or "none")
        argv = ("snap-self", *arguments)
        (folder / "argv").write_text(json.dumps(argv), encoding="utf-8")
        if stdin is not None:
            (folder / "stdin").write_bytes(stdin)
        source = folder / "stdin" if stdin is not None else Path(os.devnull)
        with (
            source.open("rb") as given,
            (folder / "stdout").open("wb") as out,
            (folder / "stderr").open("wb") as err,
        ):
            process = subprocess.Popen(
                [*beside(), *self.wrapper, *self.program, *arguments],
                stdin=given,
                stdout=out,
                stderr=err,
                env=self.environment(),
                cwd=self.cwd,
                start_new_session=True,
            )
        return RunningAgent(process, argv, folder)

    def run(
        self,
        *arguments: str,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        stdin: bytes | None = None,
    ) -> AgentResult:
        """Run the agent to its end.

        Raises:
            AgentTimedOut: it did not end in time; it and what it started are killed.
        """
        with self.start(*arguments, stdin=stdin) as running:
            return running.wait(timeout_s)


def wait_for(process: subprocess.Popen[Any], limit_s: float) -> int:
    """Return a process's status at the moment it ends.

    ``Popen.wait`` with a limit looks every 50 ms; most agents live for less than ten such rounds.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    try:
        told = os.pidfd_open(process.pid) if process.poll() is None else None
    except OSError:  # before Linux 5.3, or a thread has just waited for it
        return process.wait(limit_s)
    if told is not None:
        try:
            poll = select.poll()
            poll.register(told, select.POLLIN)
            limit_s = limit_s if poll.poll(limit_s * 1000) else 0.0
        finally:
            os.close(told)
    return process.wait(limit_s)


def _devices_of(cloud: SimulatedCloud) -> tuple[str, ...]:
    """Return the loop devices of a simulated cloud that has some."""
    # A simulator's process knows them, or who has one in ``process``.
    process = getattr(cloud, "process", None)
    disks: Sequence[Any] = getattr(cloud, "disks", ()) or getattr(process, "disks", ())
    return tuple(device for disk in disks if (device := getattr(disk, "device", "")))


def beside() -> tuple[str, ...]:
    """Return what an agent is started through where another group of tests has the machine."""
    folder = os.environ.get(OWN_RUN)
    return (*_IN_OWN_RUN, folder) if folder else ()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
