"""The SDK is imported beside other imports, which its copy of six does not stand by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

AGENT = Path(__file__).resolve().parents[2] / "agent"

# What the SDK's six resolves, by an import, while it holds the import system's own lock.
CODE = """
import sys
RESOLVED = ("http.client", "queue", "urllib.parse", "urllib.request")
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "aliyunsdkcore":
            print(*(each for each in RESOLVED if each not in sys.modules))
sys.meta_path.insert(0, Watch())
from snap_self.cli.adapters import Adapters
from snap_self.cli.wiring import load_settings, warm
warm(Adapters(config=load_settings({}), env={}, listener=print))
"""


def test_warming_up_loads_what_the_sdk_would_import_under_lock_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={"PYTHONPATH": str(AGENT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    assert "\n" in done.stdout  # the SDK was imported at all
