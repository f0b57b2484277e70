"""``snap-self hook MANAGER``: what a package manager's guard starts before every transaction.

Everybody waits for it, nearly always to learn that nothing is to be done. So the command line is
not parsed by the usual library, and nothing slow is imported before a change is known as risky.
"""

from __future__ import annotations

import os
import sys

from snap_self.changes.conversation import INTERRUPTED_STATUS
from snap_self.system.managers.outside import ManagerOutside
from snap_self.system.managers.state import ManagerState
from snap_self.usecases.before_change import TICK_S, BeforeChange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from snap_self.changes.conversation import Conversation
    from snap_self.model.job_end import JobEnd, Longer
    from snap_self.model.manager_settings import ManagerSettings
    from snap_self.model.packages import ManagerHook
    from snap_self.usecases.before_change import Machine

BUG_STATUS = 1
USAGE_STATUS = 2
OWN_VARIABLES = "SNAP_SELF_PACKAGE_MANAGERS_"


def run_manager_hook(hook: ManagerHook, arguments: Sequence[str]) -> int:
    """Answer one call of a hook and return the exit status.

    Args:
        arguments: what stands behind the hook's name: nothing, or it is wrong usage.
    """
    if arguments:
        from snap_self.cli.console import console

        console().fault("snap-self: a hook takes no further arguments")
        return USAGE_STATUS
    try:
        _open_what_is_closed()
        return _answer(hook)
    except KeyboardInterrupt:
        return INTERRUPTED_STATUS
    # The border: the guard lets the manager go on after a bug of ours.
    except Exception as error:  # noqa: BLE001
        from snap_self.cli.boundary import write_details
        from snap_self.cli.console import console

        bug = f"a bug in its hook: {type(error).__name__}"
        console().fault(f"snap-self: {bug}; please report it with {write_details(error)}")
        return BUG_STATUS


def _open_what_is_closed() -> None:
    """Open the standard streams that the manager closed, or a pipe of ours would be one of them."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    from snap_self.cli.boundary import fill_standard_streams

    fill_standard_streams()


def _answer(hook: ManagerHook) -> int:
    outside, state, env = ManagerOutside(), ManagerState(), os.environ
    return BeforeChange(
        make_conversation(hook, env, outside),
        load_manager_settings(state, env),
        manager=hook.manager,
        state=state,
        machine=_machine(env, outside),
        job=run_job,
        env=env,
        bare=tell_bare,
        broken_off=tell_broken_off,
    ).answer()


def make_conversation(
    hook: ManagerHook, env: Mapping[str, str], outside: ManagerOutside
) -> Conversation:
    """Return the conversation of a hook over the process's own streams."""
    module, _, kind = hook.conversation.partition(":")
    # `importlib` would take longer to load than the module.
    made: Conversation = getattr(__import__(module, fromlist=[kind]), kind)(
        sys.stdin.buffer, sys.stdout.buffer, sys.stderr, env, outside
    )
    return made


def load_manager_settings(state: ManagerState, env: Mapping[str, str]) -> ManagerSettings:
    """Return what the configuration says, from what was kept of it where that is still true."""
    from snap_self.model.manager_settings import ManagerSettings

    overridden = any(name.startswith(OWN_VARIABLES) for name in env)
    signature = state.signature()
    if not signature and not overridden:
        state.forget_limit()
        return ManagerSettings()
    kept = None if overridden else state.read_settings(signature)
    if kept is not None:
        return kept
    from snap_self.cli.manager_settings import read_config

    settings = read_config(env)
    if settings is None:
        # The main job, which reads the configuration too, will tell what is wrong with it.
        return ManagerSettings()
    if not overridden:
        state.keep_settings(signature, settings)
    return settings


def run_job(
    options: Sequence[str],
    *,
    limit_s: float,
    tick: Callable[[], None],
    longer: Longer | None = None,
) -> JobEnd:
    """Run the main job in a process of its own."""
    from snap_self.system.managers.job import SnapshotJob
    from snap_self.system.python_child import child_command

    job = SnapshotJob(limit_s, longer)
    return job.run(child_command(options), os.environ, tick=tick, tick_s=TICK_S)


def tell_bare(manager: str, *, code: str, text: str, run_id: str) -> None:
    """Tell those who watch this machine that a change goes on without a snapshot to rely on."""
    from snap_self.cli.watching import tell_unprotected

    tell_unprotected(manager, code=code, text=text, run_id=run_id)


def tell_broken_off(manager: str, *, run_id: str, snapshots: Sequence[str]) -> None:
    """Tell those who watch that an interrupted hook's change may have been made all the same."""
    from snap_self.cli.watching import tell_interrupted

    tell_interrupted(manager, run_id=run_id, snapshots=snapshots)


def _machine(env: Mapping[str, str], outside: ManagerOutside) -> Callable[[], Machine]:
    def read() -> Machine:
        from snap_self.system.managers.machine import ManagerMachine

        return ManagerMachine(env, outside)

    return read
