"""Run many command lines in one process: each line of standard input is one, as a JSON list."""

from __future__ import annotations

import json
import sys

from snap_self.cli.app import run_app


def main() -> None:
    """Run each; its exit status follows what it wrote, on a line that begins with ``=``."""
    for line in sys.stdin:
        sys.argv = ["snap-self", *json.loads(line)]
        print(f"={run_app(sys.argv[1:])}", flush=True)


if __name__ == "__main__":
    main()
