"""One hostile text through every source: nothing of it is obeyed, and no line is forged by it.

The sources are real where they can be had: mounts, images and files with such names, a role, tags
and messages of a simulated cloud. Device mapper's names come from a recording.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from freeze_rig import run, skip_reason
from hold_rig import Machine, machine, scene
from hook_rig import HookRig
from main_job_rig import Cloud, on_terminal, records

from agent_runner import CHECKOUT, AgentResult, AgentRunner
from fixtures_simulator import simulator_running
from pasted_commands import check_syntax, without_remark, words_of
from snap_self.model.shell import command

WHY_NOT = skip_reason(("ext4", "xfs"))
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

FORGED = "FAKE LINE"
HOSTILE = (
    f"x\x1b[2J\r\n{FORGED}\x07\u202e\u2066\x9b1m\x85{FORGED}\u2028{FORGED}\u200b"
    "$(touch PWNED)`touch PWNED`'\"; # [red]y \\"
)
NAME = HOSTILE + os.fsdecode(b"\xff")
SEEN = (
    r"x\x1b[2J\r\nFAKE LINE\x07\u202e\u2066\x9b1m\x85FAKE LINE\u2028FAKE LINE\u200b$(touch PWNED)"
)
RED = 'printf "\\033[31mx\\r\\nFAKE LINE\\n\\342\\200\\256\\377\\n"'
CONTROLS = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


@dataclass(frozen=True)
class Hostile:
    """A cloud, and where its data disk is mounted in the agent's mount namespace.

    Args:
        wrapper: what starts a program there. Nothing else on this machine sees the mounts.
    """

    cloud: Cloud
    data: Path
    wrapper: tuple[str, ...]


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """Return a folder with a short path: a long one is cut where it is quoted."""
    folder = Path(tempfile.mkdtemp(prefix="disks-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def hostile(short_folder: Path) -> Iterator[Hostile]:
    """Run a cloud; give its data disk, and what lies on its system disk, hostile names."""
    folder = short_folder
    system, plain = folder / "xfs", folder / "ext4"
    disks = (f"size=1,kind=system,fs=xfs,mount={system}", f"size=1,fs=ext4,mount={plain}")
    words = [word for disk in disks for word in ("--disk", disk)]
    with (
        simulator_running("--storage", "loop", "--no-https", *words) as process,
        own_mounts() as inside,
    ):
        places = [folder / NAME, system / f"inner {NAME}", folder / "source", folder / "covered"]
        image, bound = system / f"image {NAME}", system / f"bound {NAME}"
        for place in (*places, bound):
            place.mkdir()
        run("truncate", "--size=16M", image)
        run("mkfs.ext4", "-q", image)
        run(*inside, "umount", plain)
        for mount in (
            (process.disk_with("ext4").device, places[0]),
            ("-o", "loop", image, places[1]),
            ("-t", "tmpfs", f"source {NAME}", places[2]),
            ("--bind", bound, places[3]),
            ("-t", "tmpfs", NAME, places[3]),
        ):
            run(*inside, "mount", *mount)
        yield Hostile(Cloud(process, plain, system), places[0], inside)


@contextlib.contextmanager
def own_mounts() -> Iterator[tuple[str, ...]]:
    """Return what starts a program in a mount namespace that ends with the block."""
    unshare = ("unshare", "--mount", "--propagation", "private")
    with subprocess.Popen([*unshare, "sh", "-c", "echo; exec cat"], **PIPES) as holder:
        assert holder.stdout
        assert holder.stdin
        holder.stdout.readline()
        yield ("nsenter", f"--mount=/proc/{holder.pid}/ns/mnt", "--")
        holder.stdin.close()


PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


@pytest.fixture
def user(agent: AgentRunner, hostile: Hostile) -> Iterator[AgentRunner]:
    """Return an agent in that cloud, whose journal and snapshots are its own."""
    hostile.cloud.calm()
    try:
        yield agent.against(hostile.cloud).with_wrapper(*hostile.wrapper)
    finally:
        hostile.cloud.calm()
        hostile.cloud.process.control("DELETE", "snapshots")


def clean(result: AgentResult) -> list[str]:
    """Return all lines that were said, each of which must be whole and printable."""
    return clean_bytes(*((result.folder / name).read_bytes() for name in ("stdout", "stderr")))


def clean_bytes(*said: bytes) -> list[str]:
    """Return the lines; that they are UTF-8 is a part of it."""
    whole = [text.decode("utf-8") for text in said]
    assert all(text == "" or text.endswith("\n") for text in whole)
    lines = [line for text in whole for line in text.split("\n")[:-1]]
    unseen = [line for line in lines if any(unicodedata.category(c) in CONTROLS for c in line)]
    assert unseen == []
    assert [line for line in lines if line.strip().startswith(FORGED)] == []
    assert not Path("/PWNED").exists()
    return lines


def told(result: AgentResult, *, seen: str = SEEN) -> list[str]:
    """Return the lines, of which some must show the hostile text."""
    lines = clean(result)
    assert any(seen in line for line in lines), "\n".join(lines)
    return lines


def pasted(lines: Sequence[str]) -> list[str]:
    """Return the lines that are commands, each looked at by a shell."""
    found = [
        line.strip()
        for line in lines
        if line.startswith("    ") and line.strip().split(" ")[0] in PROGRAMS
    ]
    check_syntax(found)
    for line in found:
        said = without_remark(line)
        assert command(*map(os.fsdecode, words_of(said))) == said
    return found


PROGRAMS = ("aliyun", "mount", "umount", "mkdir", "lsblk", "vgimportclone", "vgchange")
PROGRAMS += ("cryptsetup",)


@pytest.mark.parametrize(
    "words",
    [
        ("--before", "os upgrade", "--verbose"),
        ("--before", "os upgrade", "--dry-run"),
        ("plan", "--consistency", "application", "-v"),
        ("run", "--before", "os upgrade", "-v", "--", "true"),
    ],
    ids=lambda words: words[0],
)
def test_mounts_with_hostile_names_are_told_on_their_lines(
    user: AgentRunner, words: tuple[str, ...]
) -> None:
    told(user.run(*words))


def test_run_shown_has_commands_that_are_safe_to_paste(user: AgentRunner, hostile: Hostile) -> None:
    made = user.run("--before", "os upgrade", "--json")
    assert made.status == 0, made.err
    lines = told(user.run("show", made.json["run"]["id"], "--verbose"))
    commands = pasted(lines)
    (unmount,) = (line for line in commands if line.startswith("umount $'"))
    assert words_of(without_remark(unmount))[1] == os.fsencode(hostile.data)
    assert len([line for line in commands if line.startswith("aliyun ecs ")]) > 10


def test_json_has_the_very_names_and_no_control(user: AgentRunner, hostile: Hostile) -> None:
    made = user.run("--before", "os upgrade", "--json")
    mounts = [mount["path"] for disk in made.json["disks"] for mount in disk["mounts"]]
    assert str(hostile.data) in mounts
    assert made.out.isascii()
    clean(made)


@pytest.mark.parametrize(
    "words",
    [
        ("--path", "{mount}", "--before", "x", "--verbose"),
        ("--path", "{mount}/not there", "--before", "x"),
        ("--disk", NAME, "--before", "x"),
        ("--exclude", NAME, "--before", "x"),
        ("--exclude", "{mount}", "--before", "x"),
        ("--before", NAME),
        ("--before", "x", "--name", NAME),
        ("--before", "x", "--description", NAME),
        ("--before", "x", "--tag", NAME),
        ("--before", "x", "--tag", f"a={NAME}"),
        ("--before", "x", "--consistency", NAME),
        ("--before", "x", "--keep", NAME),
        ("--before", "x", f"--{NAME}"),
        ("--before", "x", NAME),
        (NAME,),
        ("show", NAME),
        ("show", "x", NAME),
        ("thaw", NAME),
        ("hook", NAME),
        ("hook", "status", NAME),
        ("plan", "--recorded", NAME),
        ("doctor", "--record", f"/dev/null/{NAME}"),
        ("run", "--before", "x", "--", NAME),
        ("run", f"--{NAME}", "--", "true"),
    ],
    ids=lambda words: "-".join(word for word in words if word.isprintable())[:40],
)
def test_hostile_argument_is_quoted_back_on_one_line(
    user: AgentRunner, hostile: Hostile, words: tuple[str, ...]
) -> None:
    given = [word.replace("{mount}", str(hostile.data)) for word in words]
    told(user.run(*given), seen=FORGED)


def test_hostile_number_ends_no_line(user: AgentRunner) -> None:
    lines = clean(user.run("prune", "--keep-last", NAME))
    assert any("--keep-last takes a whole number" in line for line in lines)


@pytest.mark.parametrize(
    "name",
    [
        *("SNAP_SELF_METADATA_URL", "SNAP_SELF_ECS_ENDPOINT", "SNAP_SELF_CREDENTIALS_ROLE"),
        *("SNAP_SELF_CREDENTIALS_PROFILE", "SNAP_SELF_NETWORK_CA_BUNDLE", "SNAP_SELF_STATE_DIR"),
        *("SNAP_SELF_HOOKS_DIR", "SNAP_SELF_SNAPSHOT_TAGS", "SNAP_SELF_FREEZE_LIMIT"),
        *("ALIBABA_CLOUD_CREDENTIALS_FILE", "ALIBABA_CLOUD_PROFILE", "ALIBABA_CLOUD_ECS_METADATA"),
        *("ALIBABA_CLOUD_CREDENTIALS_URI", "ALIBABA_CLOUD_ROLE_ARN", "SNAP_SELF_DISKS_MAP"),
        *("HOME", "TMPDIR", "SNAP_SELF_FREEZ_LIMIT"),
    ],
)
def test_hostile_variable_ends_no_line(user: AgentRunner, name: str) -> None:
    # A command that goes past a wrong state directory takes the machine's own.
    nothing_kept = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /var/lib && exec "$@"', "sh")
    user = user.with_wrapper(*user.wrapper, *nothing_kept)
    clean(user.with_env(**{name: NAME}).run("doctor", "-v"))
    clean(user.with_env(**{name: f"/{NAME}"}).run("--before", "x", "-v"))
    clean(user.with_env(**{name: f"/{NAME}"}).run("thaw"))


def test_hostile_credential_files_are_told_on_their_lines(
    user: AgentRunner, tmp_path: Path
) -> None:
    home = tmp_path / NAME
    (home / ".aliyun").mkdir(parents=True)
    config = home / ".aliyun" / "config.json"
    for content in (
        {"current": HOSTILE, "profiles": [{"name": HOSTILE, "mode": HOSTILE}]},
        {"current": HOSTILE, "profiles": [{"name": HOSTILE, "mode": "AK"}]},
        {"current": "x", "profiles": [{"name": "y", "mode": "External", "process_command": NAME}]},
        {HOSTILE: HOSTILE},
    ):
        config.write_text(json.dumps(content), encoding="utf-8")
        clean(user.with_env(HOME=str(home)).run("doctor", "-v"))
    config.unlink()
    ini = tmp_path / f"{NAME}.ini"
    ini.write_text(f"[default]\ntype = {HOSTILE!r}\n", encoding="utf-8")
    ini.chmod(0o666)
    clean(user.with_env(ALIBABA_CLOUD_CREDENTIALS_FILE=str(ini)).run("doctor", "-v"))


@pytest.mark.parametrize(
    "words", [("list",), ("show", "{id}"), ("prune", "--dry-run"), ("doctor",)]
)
def test_hostile_tags_and_names_stay_on_their_lines(
    user: AgentRunner, hostile: Hostile, words: tuple[str, ...]
) -> None:
    control, disk = hostile.cloud.process.control, hostile.cloud.process.disks[0]
    tags = {
        f"snap-self-{key}": HOSTILE
        for key in ("run", "before", "consistency", "outcome", "expires", HOSTILE)
    }
    tags |= {"snap-self-owner": hostile.cloud.process.instance_id, HOSTILE: HOSTILE}
    made = {"disk_id": disk.disk_id, "count": 3, "tags": tags, "name": HOSTILE}
    control("PUT", "disk", {"disk_id": disk.disk_id, "name": HOSTILE, "device": HOSTILE})
    try:
        ids = control("POST", "snapshots", made)["snapshot_ids"]
        lines = clean(user.run(*(word.replace("{id}", ids[0]) for word in words), "-v"))
    finally:
        control("PUT", "disk", {"disk_id": disk.disk_id, "name": "", "device": disk.api_device})
    assert words[0] == "doctor" or any(FORGED in line for line in lines)
    pasted(lines)


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("DescribeDisks", ("--before", "x")),
        ("CreateSnapshotGroup", ("--before", "x")),
        ("CreateSnapshotGroup", ("run", "--before", "x", "--", "true")),
        ("DescribeSnapshots", ("list",)),
        ("DescribeSnapshots", ("prune", "--dry-run")),
        ("DescribeDisks", ("doctor",)),
        ("DescribeDisks", ("show", "x")),
    ],
)
def test_hostile_message_of_the_api_stays_on_its_line(
    user: AgentRunner, hostile: Hostile, action: str, words: tuple[str, ...]
) -> None:
    for code in ("InvalidParameter", HOSTILE):
        hostile.cloud.fault("error", action, code=code, status=400, message=HOSTILE, count=9)
        clean(user.run(words[0], "-v", *words[1:]))
        hostile.cloud.process.control("DELETE", "faults")


@pytest.mark.parametrize("words", [("--before", "x", "-v"), ("doctor", "-v"), ("list",)])
def test_hostile_role_of_the_instance_stays_on_its_line(
    user: AgentRunner, hostile: Hostile, words: tuple[str, ...]
) -> None:
    control = hostile.cloud.process.control
    role = control("GET", "state")["instances"][hostile.cloud.process.instance_id]["role"]
    control("PUT", "instance", {"role": HOSTILE, "name": HOSTILE, "tags": {HOSTILE: HOSTILE}})
    try:
        result = user.run(*words)
    finally:
        control("PUT", "instance", {"role": role, "name": "", "tags": {}})
    assert result.status == 5
    clean(result)


def test_hostile_journal_and_packages_stay_on_their_lines(user: AgentRunner) -> None:
    made = user.run("--before", "os upgrade", "--json")
    (record,) = records(user)
    run_id = record["run_id"]
    record |= dict.fromkeys(("before", "explained", "outcome", "result"), HOSTILE)
    record["kept"] = {HOSTILE: f"kept\n{HOSTILE}"}
    (user.state / "runs" / f"{run_id}.json").write_text(json.dumps(record), encoding="utf-8")
    package = {
        "name": HOSTILE,
        "action": "upgrade",
        "arch": HOSTILE,
        "from": HOSTILE,
        "to": HOSTILE,
    }
    change = {"at": "2026-11-22T22:00:00Z", "program": HOSTILE, "packages": [package]}
    (user.state / "changes").mkdir()
    (user.state / "changes" / f"{run_id}.jsonl").write_text(json.dumps(change), encoding="utf-8")
    shown = user.run("show", run_id)
    lines = clean_bytes(_without_kept((shown.folder / "stdout").read_bytes()))
    assert any(line.startswith("  upgrade x\\x1b[2J\\r\\nFAKE LINE") for line in lines)
    assert any(line.startswith("Run ") and SEEN in line for line in lines)
    for words in (("list",), ("prune", "--dry-run"), ("doctor",), ("--before", "again")):
        clean(user.run(*words, "-v"))
    del made


def _without_kept(said: bytes) -> bytes:
    """Return the output without a kept file, whose own lines are shown as such, set in."""
    return b"".join(
        line for line in said.splitlines(keepends=True) if not line.startswith(b"  FAKE LINE")
    )


@pytest.mark.parametrize("name", ["lvm-two-disks", "luks-on-lvm", "md-raid1", "multipath"])
def test_hostile_names_of_device_mapper_stay_on_their_lines(
    user: AgentRunner, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "recording"
    shutil.copytree(CHECKOUT / "tests" / "machines" / name, folder)
    recorded: dict[str, Any] = json.loads((folder / "machine.json").read_text("utf-8"))
    files: dict[str, str] = recorded["files"]
    for path in files:
        if path.endswith(("/dm/name", "/md/level", "/comm")):
            files[path] = f"{NAME}\n"
    # The kernel escapes blanks and ends of lines there, and nothing else (proc_pid_mountinfo(5)).
    inside = NAME.replace("\\", "\\134").replace(" ", "\\040").replace("\n", "\\012")
    mounts = files["proc/self/mountinfo"].replace("/dev/mapper/", f"/dev/mapper/{inside}")
    files["proc/self/mountinfo"] = mounts.replace(" /data ", f" /data{inside} ")
    (folder / "machine.json").write_text(json.dumps(recorded), encoding="utf-8")
    for words in (
        (),
        ("--consistency", "filesystem"),
        ("--disk", NAME),
        ("--path", f"/data{NAME}"),
    ):
        clean(user.run("plan", "--recorded", str(folder), "-v", *words))


@pytest.fixture(scope="module")
def freezable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Run a cloud with disks that the test may freeze."""
    with machine(tmp_path_factory.mktemp("hold"), "ext4") as made:
        yield made


@pytest.mark.parametrize("body", [RED, f"{RED}; {RED} >&2; exit 3"], ids=["good", "failing"])
def test_hostile_hook_is_told_on_its_lines(
    agent: AgentRunner, freezable: Machine, body: str
) -> None:
    with scene(agent, freezable, "x", body=body) as one:
        words = ("--before", "x", "--consistency", "application", "-v")
        lines = clean(one.agent.run(*words))
        assert any("10-app" in line and r"\x1b[31mx" in line for line in lines), lines
        _hostile_name(one.hooks)
        clean(one.agent.run(*words))
        clean(one.agent.run("doctor", "-v"))
        clean(one.agent.run("thaw"))


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_freeze_is_held_beside_a_hostile_mount(
    agent: AgentRunner, freezable: Machine, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / NAME
    place.mkdir()
    with scene(agent, freezable, "x") as one:
        (disk,) = one.machine.mounts.values()
        mount = ("--bind", disk) if kind == "bind" else ("-t", "tmpfs", NAME)
        words = ("mount", *map(str, mount), str(place))
        script = f'{command(*words)} && exec "$@"'
        inside = one.agent.with_wrapper(*one.agent.wrapper, "bash", "-c", script, "bash")
        result = inside.run("--before", "x", "--consistency", "filesystem", "--json")
        assert result.status == 0, result.err
        assert result.json["consistency"]["reached"] == "filesystem"
        clean(result)
        clean(inside.run("--before", "y", "--consistency", "filesystem", "-v"))


def _hostile_name(hooks: HookRig) -> None:
    """Put files with hostile names beside the hook: one that may be run, one that may not."""
    for mode in (0o755, 0o777, 0o644):
        name = f"20{mode:o}{NAME}"
        path = hooks.folder / name
        path.write_text("#!/bin/sh\n" + RED + "\n", encoding="utf-8")
        path.chmod(mode)


def test_terminal_is_moved_by_nothing_hostile(user: AgentRunner, hostile: Hostile) -> None:
    hostile.cloud.life(accomplished_s=0.5)
    runner = replace(user, env={**user.env, "TERM": "xterm-256color"})
    path = str(hostile.data)
    shown = on_terminal(runner, "-v", "--before", "bars", "--path", path, "--wait", "accomplished")
    assert r"\x1b[2J" in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert not any(line.startswith(FORGED) for line in shown.splitlines())
