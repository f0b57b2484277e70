"""An agent that starts and stops hooks step by step: reads a step a line, answers a line.

Arguments: the rig's folder, further settings as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "agent"))

from hook_rig import FACTS, HookRig, real_ports  # in the folder of this file

from snap_self.errors import QuiesceFailed
from snap_self.model.hooks import HookResult
from snap_self.quiesce.hooks.hookset import Hooks, load_hooks
from snap_self.quiesce.session import QuiesceSession
from snap_self.system.clock import SystemClock


def step(hooks: Hooks, words: list[str]) -> str:
    """Make one step; return the answer."""
    verb, place = words[0], int(words[1]) if len(words) > 1 else 0
    if verb == "start":
        hooks.quiescers[place].start(deadline=SystemClock().monotonic() + 30)
        return "ok"
    if verb == "check":
        return hooks.quiescers[place].check() or "ok"
    if verb == "stop":
        hooks.say_result(HookResult.CUT)
        return hooks.quiescers[place].stop() or "ok"
    if verb == "session":
        with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
            session.start()
        return "ok"
    hooks.close()
    return "closed"


def main() -> None:
    """Serve the steps until the input ends."""
    rig = HookRig.__new__(HookRig)
    root = Path(sys.argv[1])
    rig.root, rig.folder = root, root / "hooks.d"
    rig.marker, rig.state = root / "frozen.json", root / "state"
    settings = rig.settings(**json.loads(sys.argv[2]))
    hooks = load_hooks(settings, FACTS, real_ports(), rig.places())
    for line in sys.stdin:
        try:
            answer = step(hooks, line.split())
        except QuiesceFailed as error:
            answer = f"failed: {error.message}"
        except KeyboardInterrupt:
            answer = "interrupted"
        print(answer, flush=True)


if __name__ == "__main__":
    main()
