"""`restore` on loop disks: what is brought back is what was there, and nothing of a copy stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running
from terminal_rig import terminal

from agent_runner import AgentRunner
from json_schemas import hold

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a cloud with an ext4 and an xfs disk."""
    with cloud_running(tmp_path_factory.mktemp("restore")) as running:
        yield running


@pytest.fixture
def restorer(agent: AgentRunner, cloud: Cloud) -> AgentRunner:
    """Return the agent on that cloud."""
    cloud.calm()
    return agent.against(cloud)


def leftovers(cloud: Cloud, agent: AgentRunner) -> list[str]:
    """Return all that is left of any copy: disks, mounts, rules, records, temporary files."""
    own = cloud.disk_ids
    left = [f"disk {disk_id}" for disk_id in cloud.state()["disks"] if disk_id not in own]
    left += [f"record {path.name}" for path in (agent.state / "restores").glob("*.json")]
    for top in cloud.tops.values():
        left += [f"file {path}" for path in top.rglob(".snap-self-2*") if path.is_file()]
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    left += [f"mount {line}" for line in mounts.splitlines() if "/run/snap-self/copies" in line]
    rules = Path("/run/udev/rules.d/59-snap-self-temp.rules")
    return [*left, *(["rule"] if rules.exists() else [])]


def snapshot(agent: AgentRunner, cloud: Cloud, *, fs: str = "") -> str:
    """Make a snapshot of all disks, whatever else is mounted here; return its run's id.

    Args:
        fs: only of the disk with this filesystem.
    """
    ids = {cloud.process.disk_with(fs).disk_id} if fs else cloud.disk_ids
    disks = [word for disk_id in sorted(ids) for word in ("--disk", disk_id)]
    made = agent.run("--before", "a change", "--json", *disks)
    assert made.status == 0, made.err
    return str(made.json["run"]["id"])


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_changed_file_is_brought_back_whole(cloud: Cloud, restorer: AgentRunner, fs: str) -> None:
    file = getattr(cloud, fs) / "app.conf"
    file.write_text("as it was\n", encoding="utf-8")
    os.chown(file, 12, 34)
    file.chmod(0o640)
    os.setxattr(file, "user.colour", b"red")
    before = file.stat()
    snapshot(restorer, cloud)
    file.unlink()
    file.write_text("broken by the upgrade\n", encoding="utf-8")

    done = restorer.run("restore", "last", str(file), "--yes")

    assert done.status == 0, done.err
    assert file.read_text(encoding="utf-8") == "as it was\n"
    after = file.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (12, 34, before.st_mode)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert os.getxattr(file, "user.colour") == b"red"
    assert leftovers(cloud, restorer) == []


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_mounted_snapshot_shows_what_was_and_goes_with_unmount(
    cloud: Cloud, restorer: AgentRunner, fs: str
) -> None:
    top = getattr(cloud, fs)
    (top / "seen").write_text("then\n", encoding="utf-8")
    snapshot(restorer, cloud)
    (top / "seen").write_text("now\n", encoding="utf-8")

    opened = restorer.run("mount", "last", "--path", str(top), "--yes")

    assert opened.status == 0, opened.err
    place = Path(opened.out.strip())
    try:
        assert (place / "seen").read_text(encoding="utf-8") == "then\n"
        again = restorer.run("mount", "last", "--path", str(top), "--yes", "--json")
        assert again.json["mount"]["joined"]
        # The main job takes no snapshot of a copy.
        made = restorer.run("--before", "while it is open", "--json")
        assert {disk["disk_id"] for disk in made.json["disks"]} == cloud.disk_ids
        assert made.status in (0, 101), made.err
        assert "snap-self unmount" in made.err.splitlines()[-1]
    finally:
        closed = restorer.run("unmount", str(place))
    assert closed.status == 0, closed.err
    assert leftovers(cloud, restorer) == []
    assert not place.exists()


def differ(cloud: Cloud, agent: AgentRunner) -> tuple[str, Path]:
    """Make a snapshot and let its files differ from it; return its run, and the folder."""
    top = cloud.ext4 / "site"
    top.mkdir(exist_ok=True)
    for name, then in (("app.conf", b"listen 80\n"), ("same", b"1\n"), ("logo", b"\0\1")):
        (top / name).write_bytes(then)
    run = snapshot(agent, cloud)
    (top / "app.conf").write_bytes(b"listen 8080\n\xff\x1b[2J\n")
    (top / "logo").write_bytes(b"\0\2")
    (top / "new").write_bytes(b"x\n")
    return run, top


def test_diff_of_a_path_shows_contents_then_and_now_and_leaves_nothing(
    cloud: Cloud, restorer: AgentRunner
) -> None:
    run, top = differ(cloud, restorer)

    done = restorer.run("diff", run, str(top), "--yes", "--exit-code")

    assert done.status == 103, done.err
    assert done.out.splitlines()[1:] == [
        f"{top}/app.conf: changed",
        f"--- then{top}/app.conf",
        f"+++ now{top}/app.conf",
        "@@ -1 +1,2 @@",
        "-listen 80",
        "+listen 8080",
        "+\\xff\\x1b[2J",
        f"{top}/logo: not text, 2 bytes in one of the two",
        f"{top}/new: new",
        f"--- then{top}/new",
        f"+++ now{top}/new",
        "@@ -0,0 +1 @@",
        "+x",
        "1 file with the same content",
    ]
    assert "The temporary disk is deleted" in done.err
    assert leftovers(cloud, restorer) == []
    assert cloud.process.control("GET", "guest-faults")["faults"] == []


def test_diff_of_a_path_as_json_has_the_contents_and_the_disk(
    cloud: Cloud, restorer: AgentRunner
) -> None:
    run, top = differ(cloud, restorer)

    said = restorer.run("diff", run, f"{top}/app.conf", "--yes", "--json").json

    hold(said, "diff")
    (found,) = said["contents"]["files"]
    assert found["lines"][-3:] == ["-listen 80", "+listen 8080", "+\udcff\x1b[2J"]
    (disk,) = said["disks"]
    assert disk["deleted"]
    assert leftovers(cloud, restorer) == []


@pytest.mark.parametrize(("answer", "shown"), [("y", "-listen 80"), ("n", "Not compared")])
def test_diff_on_a_terminal_asks_before_it_makes_a_disk(
    cloud: Cloud, restorer: AgentRunner, answer: str, shown: str
) -> None:
    run, top = differ(cloud, restorer)
    with terminal(restorer, "diff", run, f"{top}/app.conf") as shell:
        shell.wait_for("[y/N]")
        assert "CreateDisk" not in cloud.calls()
        shell.type(f"{answer}\n")
        shell.finish()
    assert "the account pays for it" in shell.seen.replace("\n", " ")
    assert shown in shell.seen
    assert ("CreateDisk" in cloud.calls()) is (answer == "y")
    assert leftovers(cloud, restorer) == []
