"""`snap-self diff` as a command: this machine beside a manifest, with and without its cloud."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from fakes.records import order_record, run_record
from json_schemas import hold
from snap_self.model.ids import DiskId, RunId, SnapshotId
from snap_self.model.manifest import Manifest, Package
from snap_self.model.run import RunRecord, Stage
from snap_self.system.clock import SystemClock
from snap_self.system.manifest.reading import MachineManifests
from snap_self.system.state.journal import Journal
from snap_self.system.state.manifests import Manifests

SNAPSHOT = SnapshotId("s-bp1diffdiffdiffdiff0")
PACKAGE = "a-package-that-nobody-has:amd64"
Edit = Callable[[Manifest], Manifest]


@dataclass
class User:
    """Somebody on a machine whose journal has one run, with a manifest of the machine."""

    agent: AgentRunner
    state: Path
    instance_id: str
    run_id: RunId

    def note(self, edit: Edit = lambda manifest: manifest, *, after: bool = False) -> None:
        """Keep what this machine is, with something in it that it was not."""
        store = Manifests(self.state)
        reader = MachineManifests(store.key, SystemClock())
        found = reader.read(self.run_id, self.instance_id, limit_s=60.0)
        store.write(edit(found), after=after)


def record() -> RunRecord:
    order = order_record(sent=True)
    made = replace(order, snapshot_ids={DiskId("d-bp1aaaabbbbccccdddd1"): SNAPSHOT})
    return run_record(stage=Stage.FINISHED, orders=(made,))


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> User:
    instance_id = simulator.cloud.own_instance.instance_id
    Journal(agent.state).save(replace(record(), instance_id=instance_id))
    return User(agent.against(simulator), agent.state, instance_id, record().run_id)


def with_package(manifest: Manifest) -> Manifest:
    """Return a manifest in which a package is there that is gone by now."""
    return replace(
        manifest, manager="dpkg", packages={**manifest.packages, PACKAGE: Package(version="1")}
    )


def test_machine_beside_itself_has_nothing_in_etc_that_differs(
    user: User, simulator: Simulator
) -> None:
    user.note()
    calls = len(simulator.calls)
    result = user.agent.run("diff", "--json")
    said = result.json
    hold(said, "diff")
    assert (result.status, said["files"], said["packages"]) == (0, [], [])
    assert said["before"]["run"] == user.run_id
    assert said["after"] == {**said["after"], "run": None, "instance": user.instance_id}
    assert len(simulator.calls) == calls


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="no dpkg here")
def test_package_that_is_gone_is_named_with_its_version_and_makes_the_status(user: User) -> None:
    user.note(with_package)
    result = user.agent.run("diff", SNAPSHOT, "--exit-code")
    assert result.status == 103
    assert "  gone     a-package-that-nobody-has 1" in result.out.splitlines()
    assert user.agent.run("diff", SNAPSHOT).status == 0


def test_run_without_a_manifest_is_told_with_its_own_status(user: User) -> None:
    result = user.agent.run("diff")
    assert result.status == 6
    assert "has no manifest" in result.err
    assert f"snap-self diff {user.run_id} PATH" in result.err


def test_diff_needs_no_metadata_and_no_cloud(agent: AgentRunner, user: User) -> None:
    user.note()
    offline = agent.with_env(SNAP_SELF_METADATA_URL="http://127.0.0.1:1")
    result = offline.run("diff", "last", "/etc")
    assert result.status == 0, result.err
    assert "whether the manifest is of this instance is not known" in result.err


def test_content_without_a_terminal_needs_yes_before_anything_is_called(
    user: User, simulator: Simulator
) -> None:
    user.note()
    result = user.agent.run("diff", "last", "/srv", "/etc/hosts", "--json")
    assert (result.status, result.json["error"]["code"]) == (2, "usage")
    assert "makes a disk that costs money" in result.json["error"]["message"]
    assert "`snap-self diff last /srv /etc/hosts --json --yes`" in result.json["error"]["hint"]
    hold(result.json, "diff")
    assert (simulator.calls, simulator.metadata_calls) == ([], [])


def with_another_content(manifest: Manifest) -> Manifest:
    """Return a manifest in which /etc/passwd was another file."""
    fact = manifest.files["/etc/passwd"]
    return replace(
        manifest, files={**manifest.files, "/etc/passwd": replace(fact, digest="00" * 16)}
    )


def test_file_in_etc_needs_yes_only_where_its_content_is_another(
    user: User, simulator: Simulator
) -> None:
    user.note(with_another_content)
    same = user.agent.run("diff", "last", "/etc/group", "--exit-code")
    assert (same.status, same.err) == (0, "")
    other = user.agent.run("diff", "last", "/etc/passwd")
    assert other.status == 2
    assert "diff of the content of /etc/passwd makes a disk" in other.err
    assert simulator.calls == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "there is no terminal to ask on"),
        (("--all", "--exit-code"), "there is no terminal to ask on"),
        (("--json",), "with --json nobody is asked"),
    ],
)
def test_folder_in_etc_with_another_content_tells_the_command_that_shows_it(
    user: User, more: tuple[str, ...], why: str
) -> None:
    user.note(with_another_content)
    result = user.agent.run("diff", "last", "/etc", *more)
    assert result.status == 2
    said = " ".join(result.err.split())
    error = result.json["error"] if "--json" in more else {"message": said, "hint": said}
    assert (
        f"diff of the content of /etc makes a disk that costs money for a while, and {why}"
        in (error["message"])
    )
    asked = " ".join(("snap-self diff last /etc", *more, "--yes"))
    assert f"add --yes to agree: `{asked}`" in error["hint"]


def test_contents_of_two_runs_are_not_opened(user: User) -> None:
    user.note()
    result = user.agent.run("diff", "last", "last", "/srv", "--yes", "--json")
    assert (result.status, result.json["error"]["code"]) == (6, "not-in-manifest")


def test_show_tells_in_one_line_what_the_change_made_of_the_machine(user: User) -> None:
    user.note()
    user.note(with_package, after=True)
    shown = user.agent.run("show", str(user.run_id), "--json")
    hold(shown.json, "show")
    assert shown.json["since"]["counts"]["packages"] == 1
    lines = user.agent.run("show", str(user.run_id)).out.splitlines()
    assert [line for line in lines if line.startswith("Since then 1 package")]


@pytest.mark.skipif(os.geteuid() != 0, reason="a manifest is root's where the agent runs as root")
def test_manifest_that_others_can_write_is_not_believed(user: User) -> None:
    user.note()
    (path,) = (user.state / "manifests").glob("*.json.zz")
    path.chmod(0o666)
    result = user.agent.run("diff")
    assert result.status == 4
    assert "cannot be trusted" in result.err
