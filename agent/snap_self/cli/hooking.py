"""``snap-self hook MANAGER``: what a package manager's guard starts before every transaction.

Everybody waits for it, nearly always to learn that nothing is to be done. So the command line is
not parsed by the usual library, and nothing slow is imported before a change is known as risky.
"""

from __future__ import annotations

import os
import sys

from snap_self.system.hook_outside import HookOutside
from snap_self.system.hook_state import HookState
from snap_self.usecases.before_change import TICK_S, BeforeChange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from snap_self.changes.conversation import Conversation
    from snap_self.model.hook_facts import JobEnd
    from snap_self.model.hook_settings import HookSettings
    from snap_self.usecases.before_change import Machine

# What a hook calls itself, to the manager it stands for and its conversation.
ADAPTERS = {
    "apt": ("apt", "snap_self.changes.apt", "AptConversation"),
    "dnf": ("dnf", "snap_self.changes.dnf", "DnfConversation"),
    "dnf5": ("dnf", "snap_self.changes.dnf5", "Dnf5Conversation"),
    "yum": ("dnf", "snap_self.changes.yum", "YumConversation"),
    "zypper": ("zypper", "snap_self.changes.zypper", "ZypperConversation"),
    "pacman": ("pacman", "snap_self.changes.pacman", "PacmanConversation"),
}
BUG_STATUS = 1
USAGE_STATUS = 2
INTERRUPTED_STATUS = 130
OWN_VARIABLES = "SNAP_SELF_PACKAGE_MANAGERS_"


def run_hook(arguments: Sequence[str]) -> int:
    """Answer one call of a hook and return the exit status.

    Args:
        arguments: the hook's name, and nothing else.
    """
    if len(arguments) != 1:
        sys.stderr.write("snap-self: a hook takes no further arguments\n")
        return USAGE_STATUS
    try:
        _open_what_is_closed()
        return _answer(arguments[0])
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    # The border: the guard lets the manager go on after a bug of ours.
    except Exception as error:  # noqa: BLE001
        from snap_self.cli.boundary import write_details

        bug = f"a bug in its hook: {type(error).__name__}"
        sys.stderr.write(f"snap-self: {bug}; please report it with {write_details(error)}\n")
        return BUG_STATUS


def _open_what_is_closed() -> None:
    """Open the standard streams that the manager closed, or a pipe of ours would be one of them."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    from snap_self.cli.boundary import fill_standard_streams

    fill_standard_streams()
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)


def _answer(name: str) -> int:
    manager = ADAPTERS[name][0]
    outside, state, env = HookOutside(), HookState(), os.environ
    return BeforeChange(
        make_conversation(name, env, outside),
        load_hook_settings(state, env),
        manager=manager,
        state=state,
        machine=_machine(env, outside),
        job=run_job,
        env=env,
    ).answer()


def make_conversation(name: str, env: Mapping[str, str], outside: HookOutside) -> Conversation:
    """Return the conversation of a hook over the process's own streams."""
    _, module, kind = ADAPTERS[name]
    # `importlib` would take longer to load than the module.
    made: Conversation = getattr(__import__(module, fromlist=[kind]), kind)(
        sys.stdin.buffer, sys.stdout.buffer, sys.stderr, env, outside
    )
    return made


def load_hook_settings(state: HookState, env: Mapping[str, str]) -> HookSettings:
    """Return what the configuration says, from what was kept of it where that is still true."""
    from snap_self.model.hook_settings import HookSettings

    overridden = any(name.startswith(OWN_VARIABLES) for name in env)
    signature = state.signature()
    if not signature and not overridden:
        return HookSettings()
    kept = None if overridden else state.read_settings(signature)
    if kept is not None:
        return kept
    from snap_self.cli.hook_config import read_config

    settings = read_config(env)
    if settings is None:
        # The main job, which reads the configuration too, will tell what is wrong with it.
        return HookSettings()
    if not overridden:
        state.keep_settings(signature, settings)
    return settings


def run_job(options: Sequence[str], *, limit_s: float, tick: Callable[[], None]) -> JobEnd:
    """Run the main job in a process of its own."""
    from snap_self.system.hook_job import SnapshotJob

    command = own_command(sys.executable, sys.orig_argv, sys.argv)
    return SnapshotJob(limit_s).run([*command, *options], os.environ, tick=tick, tick_s=TICK_S)


def own_command(
    interpreter: str, started: Sequence[str], arguments: Sequence[str]
) -> Sequence[str]:
    """Return how this very agent was started, without its arguments.

    Args:
        started: the interpreter's own command line.
        arguments: what the program was given, after its name.
    """
    given = len(arguments) - 1
    return (interpreter, *started[1 : len(started) - given])


def _machine(env: Mapping[str, str], outside: HookOutside) -> Callable[[], Machine]:
    def read() -> Machine:
        from snap_self.system.hook_machine import HookMachine

        return HookMachine(env, outside)

    return read
