"""A hook's call as its manager makes it, for a machine that is recorded: the job gets that too.

Started with the recording's folder, the hook's name and, for a failure to stop the change, a word
more; the announcement comes on standard input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from fakes.hook_call import FakeManagerMachine, FakeManagerState
from snap_self.cli.manager_hook import make_conversation, run_job, tell_bare, tell_broken_off
from snap_self.model.job_end import JobEnd, Longer
from snap_self.model.manager_settings import ManagerSettings
from snap_self.model.packages import HOOKS
from snap_self.system.managers.outside import ManagerOutside
from snap_self.usecases.before_change import BeforeChange


def main() -> int:
    """Answer one call and return the hook's status."""
    folder, name, *stopping = sys.argv[1:]
    hook = next(each for each in HOOKS if each.name == name)

    def job(
        options: Sequence[str],
        *,
        limit_s: float,
        tick: Callable[[], None],
        longer: Longer | None = None,
    ) -> JobEnd:
        return run_job((*options, "--recorded", folder), limit_s=limit_s, tick=tick, longer=longer)

    machine = FakeManagerMachine()
    return BeforeChange(
        make_conversation(hook, os.environ, ManagerOutside()),
        ManagerSettings(on_failure={hook.manager: "abort"} if stopping else {}),
        manager=hook.manager,
        state=FakeManagerState(),
        machine=lambda: machine,
        job=job,
        env=os.environ,
        bare=tell_bare,
        broken_off=tell_broken_off,
    ).answer()


if __name__ == "__main__":
    sys.exit(main())
