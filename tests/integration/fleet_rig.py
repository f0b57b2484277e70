"""Ten machines of one simulated region, on which the simulated Cloud Assistant runs real commands.

Each machine is a folder, a PATH of its own, variables that name its own metadata service, and a
recorded kernel with one disk. There is no system below it: its ``apt-get`` is a stand-in that runs
the "package", and the package puts the agent of this checkout in place. Processes, HTTP, SHA-256,
signatures, policies and quotas are real as far as the simulated cloud is.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import requests

from agent_runner import CHECKOUT
from ecs_simulator import AccessKeyConfig, DiskConfig, InstanceConfig, Simulator, SimulatorConfig
from ecs_simulator.config import LifeTimes, RoleConfig
from ecs_simulator.machines import Machine, Machines
from ecs_simulator.neighbours import metadata_services
from fakes.fleet import machine as recorded_machine
from fakes.fleet_oos import FLEET_ROLE, OOS, TAG, template_of
from fakes.simulated_cloud import Signer
from run_directory import RunDirectory
from snap_self.disks import recording
from snap_self.system.disks.recorded import write_recorded

Json = dict[str, Any]
SERIALS = {f"i-bp1fleet{n:04}": f"bp1fleet{n:04}systemdisk"[:20] for n in range(1, 11)}
FLEET = tuple(SERIALS)
STRANGER = "i-bp1stranger00"
LIMIT_S = 240.0
# As root all agents of a machine share the lock in /run/snap-self: each gets a /run of its own.
_OWN_RUN = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
_AGENT = """\
#!/bin/sh
export PYTHONPATH={agent}
case "${{1-}}" in
run) shift && exec {python} -m snap_self run --recorded "$FLEET_MACHINE" "$@" ;;
esac
exec {python} -m snap_self "$@"
"""
_PACKAGE = """\
cat >"$FLEET_BIN/snap-self" <<'AGENT'
{agent}AGENT
chmod 755 "$FLEET_BIN/snap-self"
"""
_APT_GET = """\
#!/bin/sh
[ "$1 $2" = "install -y" ] && shift $(($# - 1)) && exec sh "$1"
"""


@dataclass(frozen=True, slots=True)
class Package:
    """The file that is installed, where it is served."""

    url: str
    sha256: str


class FleetCloud:
    """The region with its machines."""

    def __init__(
        self,
        simulator: Simulator,
        machines: Machines,
        folders: Mapping[str, Path],
        places: Mapping[str, Machine],
    ) -> None:
        self.simulator = simulator
        self.places = places
        self.machines = machines
        self.folders = folders
        key = AccessKeyConfig()
        self._signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)
        self._moved_s = 0.0

    def oos(self, action: str, **params: Any) -> Json:
        """Return the answer of one operation, by HTTP."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        sent = {"Action": action, "Version": "2019-06-01", "RegionId": "cn-hangzhou", **texts}
        signed = self._signer.sign(sent, at=self.simulator.clock.now(), method="POST")
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(self.simulator.ecs_url, data=signed, timeout=30)
        assert answer.ok, answer.text
        return dict(answer.json())

    def go(self, content: str, **parameters: Any) -> Json:
        """Run a template to its end; the cloud's time goes on quickly where nothing runs."""
        given = {"tagValue": TAG["snap-self"], "OOSAssumeRole": FLEET_ROLE, **parameters}
        started = self.oos("StartExecution", TemplateContent=content, Parameters=given)
        name, limit = started["Execution"]["ExecutionId"], time.monotonic() + LIMIT_S
        # Looked at beside the API: these looks are not to use up the quota.
        found = self.simulator.cloud.oos.records.executions[name]
        while found.status in ("Started", "Running"):
            assert time.monotonic() < limit, f"the execution has not ended: {found}"
            time.sleep(0.05)
            if not self.machines.running:
                self._moved_s += 5
                self.simulator.set_clock_offset(self._moved_s)
        (ended,) = self.oos("ListExecutions", ExecutionId=name)["Executions"]
        return dict(ended)

    def template(self, name: str, **parameters: Any) -> Json:
        """Run a template that is shipped."""
        return self.go(template_of(name), **parameters)

    def report(self, execution: Json) -> dict[str, Json]:
        """Return what the report says of each instance."""
        asked = {"ExecutionId": execution["ExecutionId"], "TaskName": "report"}
        (task,) = self.oos("ListTaskExecutions", **asked)["TaskExecutions"]
        machines = json.loads(task["Outputs"])["machines"]
        return {each["instance"]: each for each in machines if each}

    def named_as_failed(self, execution: Json) -> list[str]:
        """Return the instances that the last task names."""
        asked = {"ExecutionId": execution["ExecutionId"], "TaskName": "everyInstanceSucceeded"}
        (task,) = self.oos("ListTaskExecutions", **asked)["TaskExecutions"]
        return list(json.loads(task["Properties"])["Parameters"]["InstanceIds"])

    def says(self, instance_id: str, *command: str) -> str:
        """Return what a machine's own agent says, whatever status it ends with."""
        place = self.places[instance_id]
        done = subprocess.run(
            [*place.wrapper, "snap-self", *command],
            env=place.environment,
            cwd=place.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
        assert done.stdout, done.stderr
        return done.stdout

    def set_of(self, instance_id: str) -> list[str]:
        """Return the snapshots that an instance's disk has."""
        found = self.simulator.dump()["snapshots"].values()
        disk = f"d-{SERIALS[instance_id]}"
        return [each["snapshot_id"] for each in found if each["disk_id"] == disk]


def _config(policy: Json) -> SimulatorConfig:
    instances = [
        InstanceConfig(instance_id=name, tags=TAG, disks=(DiskConfig(disk_id=f"d-{serial}"),))
        for name, serial in SERIALS.items()
    ]
    return SimulatorConfig(
        instances=(*instances, InstanceConfig(instance_id=STRANGER, disks=(DiskConfig(),))),
        roles=(RoleConfig(), RoleConfig(name=FLEET_ROLE, trusted=(OOS,), policies=(policy,))),
        life=LifeTimes(cut_s=0.2, available_s=0.3, accomplished_s=30.0),
        # The cloud's time is moved on by hours; the machines' is not.
        clock_window_s=1e6,
    )


def _machine(folder: Path, serial: str, metadata_url: str, ecs_url: str) -> Machine:
    """Make the place of one machine."""
    places = {name: folder / name for name in ("bin", "home", "tmp", "state", "machine")}
    for name in ("bin", "home", "tmp"):
        places[name].mkdir()
    write_recorded(places["machine"], recording.dump(recorded_machine([serial])), {})
    _program(places["bin"] / "apt-get", _APT_GET)
    environment = {
        "PATH": f"{places['bin']}:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(places["home"]),
        "TMPDIR": str(places["tmp"]),
        "FLEET_BIN": str(places["bin"]),
        "FLEET_MACHINE": str(places["machine"]),
        "SNAP_SELF_STATE_DIR": str(places["state"]),
        "SNAP_SELF_FOLLOW_ENABLED": "false",
        "SNAP_SELF_METADATA_URL": metadata_url,
        "SNAP_SELF_ECS_ENDPOINT": ecs_url,
    }
    wrapper = () if os.geteuid() else _OWN_RUN
    return Machine(folder=folder, environment=environment, wrapper=wrapper)


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@contextmanager
def package_served(folder: Path) -> Iterator[Package]:
    """Serve a package that puts this checkout's agent in place."""
    agent = _AGENT.format(agent=CHECKOUT / "agent", python=sys.executable)
    file = folder / "snap-self.deb"
    file.write_text(_PACKAGE.format(agent=agent), encoding="utf-8")
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}/{file.name}"
            yield Package(url, hashlib.sha256(file.read_bytes()).hexdigest())
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


@contextmanager
def fleet(run: RunDirectory, policy: Json) -> Iterator[FleetCloud]:
    """Give the region; the machines' words lie in the run directory.

    Args:
        policy: what the executions' role may.
    """
    with ExitStack() as stack:
        simulator = stack.enter_context(Simulator(_config(policy)))
        stack.callback(lambda: run.note_secrets(simulator.secrets(), source="fleet"))
        urls = stack.enter_context(metadata_services(simulator, FLEET))
        folders = {name: run.new_folder("agent", name) for name in FLEET}
        places = {
            name: _machine(folders[name], serial, urls[name], simulator.ecs_url)
            for name, serial in SERIALS.items()
        }
        machines = Machines(places)
        stack.callback(machines.close)
        simulator.cloud.assistant.guest = machines
        yield FleetCloud(simulator, machines, folders, places)
