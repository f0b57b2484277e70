"""Run a command as a package manager's hook runs the main job: ``hook_job_program.py LIMIT CMD…``.

Prints the ending and how long it took; what the command said is dropped.
"""

from __future__ import annotations

import os
import sys

from snap_self.system.managers.job import SnapshotJob


def main() -> None:
    """Run it to its end."""
    limit, *argv = sys.argv[1:]
    ended = SnapshotJob(float(limit)).run(argv, os.environ, tick=lambda: None, tick_s=1.0)
    print(ended.ending.name, f"{ended.took_s:.1f}")


if __name__ == "__main__":
    main()
