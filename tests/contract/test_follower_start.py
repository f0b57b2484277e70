"""How the follower is started: as a unit where that can be, and never in the starter's way."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from fakes.clock import START, FakeClock
from snap_self.model.ids import RunId
from snap_self.system.follower_start import FollowerStart
from snap_self.system.inhibitor import SYSTEMD

RUN = RunId("20261122t083225z-abc123")
PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
from snap_self.system.clock import SystemClock
from snap_self.system.follower_start import FollowerStart
start = FollowerStart(clock=SystemClock(), env=dict([sys.argv[2:]] if sys.argv[2:] else []),
                      enabled=True, limit_s=60.0)
print(start._as_unit("RUN-1"))
"""
# A unit and a systemctl that only notes how it was called, in a mount namespace of their own.
INSIDE = """set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/units /run/bin /etc/systemd/system
[ "$1" = without ] || touch '/run/units/snap-self-follow@.service'
mount --bind /run/units /etc/systemd/system
mount -t tmpfs none /usr/lib/systemd/system
printf '#!/bin/sh\\necho "$@" >/run/called\\nexit %s\\n' "$2" >/run/bin/systemctl
chmod 755 /run/bin/systemctl
PATH=/run/bin:$PATH
shift 2
"$@"
cat /run/called 2>/dev/null || echo not called
"""


def start(**changes: object) -> FollowerStart:
    given: dict[str, object] = {"clock": FakeClock(), "env": {}, "enabled": True, "limit_s": 60.0}
    return FollowerStart(**{**given, **changes})  # type: ignore[arg-type]


def test_switched_off_follower_is_not_started() -> None:
    watch = start(enabled=False)(RUN)
    assert (watch.held, watch.until, watch.why) == (False, None, "follow.enabled is false")


@pytest.mark.skipif(SYSTEMD.is_dir(), reason="systemd runs here")
def test_without_systemd_it_is_started_and_why_nothing_is_held_is_told(tmp_path: Path) -> None:
    env = {"SNAP_SELF_STATE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    watch = start(env=env)(RUN)
    assert watch.until == START + timedelta(seconds=60)
    assert not watch.held
    assert "systemd" in watch.why


@pytest.mark.root
@pytest.mark.parametrize(
    ("unit", "status", "variable", "told"),
    [
        ("with", "0", "", "True\nstart --no-block snap-self-follow@RUN-1.service"),
        ("with", "1", "", "False\nstart --no-block snap-self-follow@RUN-1.service"),
        ("without", "0", "", "False\nnot called"),
        ("with", "0", "SNAP_SELF_STATE_DIR", "False\nnot called"),
        ("with", "0", "ALIBABA_CLOUD_ACCESS_KEY_ID", "False\nnot called"),
        ("with", "0", "LANG", "True\nstart --no-block snap-self-follow@RUN-1.service"),
    ],
)
def test_unit_is_started_where_it_would_see_what_the_starter_saw(
    unit: str, status: str, variable: str, told: str
) -> None:
    given = (variable, "x") if variable else ()
    probe = (sys.executable, "-c", PROBE, str(CHECKOUT / "agent"), *given)
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "--"),
            *("sh", "-c", INSIDE, "sh", unit, status, *probe),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == told, done.stderr
