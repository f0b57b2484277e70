"""Call an actions file as dnf 5 would: ``dnf5_standin.py FILE VERSION PACKAGES ROOT``.

Not dnf 5, of which there is no Debian package: the plugin's documented side of it, from
:mod:`fakes.dnf5_actions`. FILE is read as plugin VERSION reads it; PACKAGES is JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from fakes.dnf5_actions import Action, JsonPlugin, parse_file, plain_outcome


def main() -> int:
    """Run the file's actions before a transaction; say what comes of it."""
    path, version_text, packages, root = sys.argv[1:]
    numbers = [int(number) for number in version_text.split(".")]
    version = (numbers[0], numbers[1], numbers[2])
    for action in parse_file(Path(path).read_text(encoding="utf-8"), version):
        if root != "/" and action.options.get("enabled") == "host-only":
            continue
        wrong = (_json if action.options.get("mode") == "json" else _plain)(
            action, JsonPlugin(json.loads(packages), version=version)
        )
        if wrong:
            print(wrong, file=sys.stderr)
            return 1
    print("Complete!")
    return 0


def _json(action: Action, plugin: JsonPlugin) -> str:
    process = subprocess.Popen(action.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    while not plugin.closed and (data := os.read(process.stdout.fileno(), 65536)):
        plugin.hear(data)
        while reply := plugin.read():
            os.write(process.stdin.fileno(), reply)
    process.stdin.close()
    process.stdout.close()
    return plugin.outcome(process.wait(), action.options)


def _plain(action: Action, plugin: JsonPlugin) -> str:
    done = subprocess.run(
        action.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    return plain_outcome(done.stdout, done.returncode, action.options, plugin.version)


if __name__ == "__main__":
    sys.exit(main())
