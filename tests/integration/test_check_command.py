"""`check` and `metrics` as they are started: by Nagios' own programs, by nobody, and badly."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent_runner import CHECKOUT, AgentRunner
from ecs_simulator.simulator import Simulator
from json_schemas import hold
from monitoring_tools import PLUGINS, fetch, node_exporter, promtool, tool
from other_user import NOBODY, as_user
from plugin_output import read_plugin_output
from snap_self.cli.demo import made_up_machine
from snap_self.cli.simulated import SimulatedDisk
from snap_self.disks import recording
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import DiskSummary, Summary
from snap_self.system.disks.recorded import MACHINE
from snap_self.system.watching.summary_file import NAME, write_summary
from snap_self.watching.metrics import exposition

NOW = datetime.now(timezone.utc)
BOOT = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
DISK = DiskSummary(
    disk_id="d-1", snapshot_id="s-1", cut=NOW, consistency=Consistency.FLUSH, snapshots=2
)
GOOD = Summary(written=NOW, version="1", boot_id=BOOT, disks=(DISK,))
# What makes each status.
SUMMARIES = {
    "OK": GOOD,
    "WARNING": replace(GOOD, disks=(replace(DISK, snapshots=250),)),
    "CRITICAL": replace(GOOD, upload_failed=1),
    "UNKNOWN": replace(GOOD, boot_id="another"),
}
CODES = {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}
HEAVY = ("requests", "aliyunsdkcore", "psutil", "rich", "urllib3", "snap_self.cloud")


# An /etc/snap-self that nobody else sees.
OWN_ETC = 'mount -t overlay -o "lowerdir=$0/etc:/etc" overlay /etc && exec "$@"'
SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")


def samples(text: str) -> set[tuple[str, tuple[str, ...], float]]:
    """Return each sample with its labels in order."""
    found = (SAMPLE.fullmatch(line) for line in text.splitlines() if not line.startswith("#"))
    return {
        (each[1], tuple(sorted((each[2] or "").split(","))), float(each[3]))
        for each in found
        if each
    }


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the agent's state directory, made with one good summary."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    write_summary(folder, GOOD)
    return folder


@pytest.fixture
def watched(agent: AgentRunner, state: Path) -> AgentRunner:
    return replace(agent, state=state)


@pytest.mark.parametrize("status", SUMMARIES)
def test_status_is_that_of_the_first_line(watched: AgentRunner, state: Path, status: str) -> None:
    write_summary(state, SUMMARIES[status])
    before = sorted((path.name, path.stat().st_mtime_ns) for path in state.iterdir())
    result = watched.run("check")
    assert read_plugin_output(result.out).status == status
    assert (result.status, result.err) == (CODES[status], "")
    as_json = watched.run("check", "--json")
    hold(as_json.json, "check")
    assert (as_json.status, as_json.json["status"]) == (CODES[status], status.lower())
    assert sorted((path.name, path.stat().st_mtime_ns) for path in state.iterdir()) == before


@pytest.mark.parametrize("status", SUMMARIES)
def test_negate_of_the_monitoring_plugins_understands_it(
    watched: AgentRunner, state: Path, status: str
) -> None:
    write_summary(state, SUMMARIES[status])
    negate = tool("negate", "monitoring-plugins-basic", folder=PLUGINS)
    turned = {"OK": "CRITICAL", "WARNING": "UNKNOWN", "CRITICAL": "OK", "UNKNOWN": "WARNING"}
    options = [f"--{name.lower()}={into}" for name, into in turned.items()]
    result = watched.with_wrapper(negate, "--substitute", *options).run("check")
    assert result.status == CODES[turned[status]]
    assert read_plugin_output(result.out).status == turned[status]


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("--foo",), {}),
        (("x",), {}),
        (("--warning", "3"), {}),
        (("--warning", "30d"), {}),
        (("--level", "best"), {}),
        (("--disk", ""), {}),
        ((), {"SNAP_SELF_CHECK_WARNING": "soon"}),
        ((), {"SNAP_SELF_CHECK_WARNING": "soon", "SNAP_SELF_CHECK_LEVEL": "best"}),
    ],
)
def test_failure_of_its_own_is_unknown_on_one_line(
    watched: AgentRunner, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    result = watched.with_env(**env).run("check", *arguments)
    output = read_plugin_output(result.out)
    assert (result.status, output.status, output.details) == (3, "UNKNOWN", ())
    assert result.err == ""
    as_json = watched.with_env(**env).run("check", *arguments, "--json")
    hold(as_json.json, "check")
    assert (as_json.status, as_json.json["result"]) == (3, "failed")


def test_damaged_summary_is_unknown_and_says_what_mends_it(
    watched: AgentRunner, state: Path
) -> None:
    (state / NAME).write_text("{", encoding="utf-8")
    result = watched.run("check")
    assert (result.status, read_plugin_output(result.out).status) == (3, "UNKNOWN")
    assert "snap-self metrics --refresh" in result.out


def test_state_that_is_not_there_is_unknown(agent: AgentRunner, tmp_path: Path) -> None:
    result = replace(agent, state=tmp_path / "none").run("check")
    assert (result.status, read_plugin_output(result.out).status) == (3, "UNKNOWN")
    assert not (tmp_path / "none").exists()


def test_thresholds_are_those_of_the_options_then_of_the_configuration(
    watched: AgentRunner, state: Path
) -> None:
    write_summary(state, replace(GOOD, disks=(replace(DISK, cut=NOW - timedelta(days=3)),)))
    set_so = watched.with_env(SNAP_SELF_CHECK_WARNING="2d", SNAP_SELF_CHECK_LEVEL="filesystem")
    output = read_plugin_output(set_so.run("check").out)
    assert (output.status, output.data[0].warn) == ("WARNING", str(2 * 86400))
    assert sum(each.startswith("WARNING") for each in output.details) == 2
    result = set_so.run("check", "-w", "1h", "-c", "2h", "--level", "crash")
    assert (result.status, read_plugin_output(result.out).data[0].crit) == (2, "7200")


def test_output_that_is_lost_is_not_ok(watched: AgentRunner) -> None:
    result = watched.with_wrapper("sh", "-c", 'exec "$@" >/dev/full', "sh").run("check")
    assert result.status == 3


def test_little_is_loaded(watched: AgentRunner) -> None:
    program = (sys.executable, "-X", "importtime", "-m", "snap_self")
    result = replace(watched, program=program).run("check")
    assert result.status == 0
    loaded = {line.rpartition("|")[2].strip() for line in result.err.splitlines()}
    assert "snap_self.watching.check" in loaded
    assert [name for name in loaded if name.startswith(HEAVY)] == []


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may pass through, as /var/lib is."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def nobody(watched: AgentRunner, public: Path) -> AgentRunner:
    """Return a runner of an agent that is not root, with a copy of the program that it can read."""
    if os.geteuid():
        pytest.skip("not root: cannot become somebody else")
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv")
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    env = {"PYTHONPATH": f"{CHECKOUT / 'agent'}:{libraries}"}
    state = public / "state"
    state.mkdir(mode=0o700)
    write_summary(state, GOOD)
    # Another interpreter of the same version: the tests' own may be below root's home.
    python = "/usr/bin/python3"
    probe = [*as_user(NOBODY), python, "-c", "import snap_self.cli.check, typer"]
    done = subprocess.run(
        probe, env={**os.environ, **env}, capture_output=True, text=True, check=False, cwd="/"
    )
    if done.returncode:
        pytest.skip(f"another user cannot run the checkout: {done.stderr[-200:]}")
    return replace(
        watched.with_wrapper(*as_user(NOBODY)),
        state=state,
        program=(python, "-m", "snap_self"),
        env=env,
    )


def test_user_without_rights_can_ask(nobody: AgentRunner) -> None:
    result = nobody.run("check")
    output = read_plugin_output(result.out)
    # Whether /run/snap-self can be looked into is this machine's matter.
    assert output.status in ("OK", "UNKNOWN"), result.out
    if output.status == "UNKNOWN":
        assert "systemd-tmpfiles --create" in result.out
    assert output.data[0].label == "age_d-1"
    metrics = nobody.run("metrics")
    assert metrics.status == 0, metrics.err
    assert promtool("check", "metrics", given=metrics.out) == ""


def test_state_closed_to_others_is_unknown(nobody: AgentRunner) -> None:
    nobody.state.chmod(0o700)
    result = nobody.run("check")
    assert (result.status, read_plugin_output(result.out).status) == (3, "UNKNOWN")
    assert f"chmod 0711 {nobody.state}" in result.out


@pytest.mark.parametrize("hidden", ["conf.d/50-fleet.toml", "conf.d", "config.toml", ""])
def test_settings_that_this_user_may_not_read_are_no_defaults(
    nobody: AgentRunner, public: Path, hidden: str
) -> None:
    folder = public / "etc/snap-self"
    (folder / "conf.d").mkdir(parents=True)
    for name in ("config.toml", "conf.d/50-fleet.toml"):
        (folder / name).write_text('[check]\nwarning = "1h"\n', encoding="utf-8")
    if hidden:
        (folder / hidden).chmod(0o600)
    own = ("unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_ETC, str(public))
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespace with an overlay")
    user = replace(nobody, wrapper=(*own, *nobody.wrapper))
    found = {each["kind"] for each in user.run("check", "--json").json["findings"]}
    assert ("settings-hidden" in found) is bool(hidden)
    result = user.run("check")
    assert (f"may not read /etc/snap-self/{hidden}" in result.out) is bool(hidden), result.out
    assert (result.status == 3) or not hidden
    given = user.run("check", "-w", "1d", "-c", "2d", "--level", "crash", "--json")
    assert "settings-hidden" not in {each["kind"] for each in given.json["findings"]}
    keys = {"WARNING": "1d", "CRITICAL": "2d", "LEVEL": "crash"}
    known = user.with_env(**{f"SNAP_SELF_CHECK_{name}": value for name, value in keys.items()})
    found = {each["kind"] for each in known.run("check", "--json").json["findings"]}
    assert "settings-hidden" not in found
    assert user.run("metrics").status == 0


def test_user_without_rights_refreshes_nothing(nobody: AgentRunner) -> None:
    result = nobody.run("metrics", "--refresh")
    assert (result.status, result.out) == (4, "")
    assert "needs root" in result.err


def test_metrics_are_put_together_by_root_and_served_by_node_exporter(
    watched: AgentRunner, state: Path, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("not root: the journal is root's")
    (state / NAME).unlink()
    folder = tmp_path / "collector"
    folder.mkdir()
    file = folder / "snap-self.prom"
    file.symlink_to(tmp_path / "elsewhere")
    result = watched.run("metrics", "--output", str(file))
    assert (result.status, result.out, result.err) == (0, "", "")
    assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o644
    # The link was replaced, not followed, and nothing else was left.
    assert [path.name for path in folder.iterdir()] == [file.name]
    assert (file.is_symlink(), stat.S_IMODE(file.stat().st_mode)) == (False, 0o644)
    assert not (tmp_path / "elsewhere").exists()
    text = file.read_text(encoding="utf-8")
    assert promtool("check", "metrics", given=text) == ""
    with node_exporter(folder, tmp_path / "exporter.log") as address:
        page = fetch(f"http://{address}/metrics") or ""
    assert samples(text) <= samples(page)
    told = [line for line in text.splitlines() if line.startswith("# HELP")]
    assert [line for line in told if line not in page.splitlines()] == []
    assert "node_textfile_scrape_error 0" in page
    assert f'node_textfile_mtime_seconds{{file="{file}"}}' in page


def test_main_job_leaves_what_is_watched(
    agent: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("not root: the state directory is root's")
    disks = [
        SimulatedDisk(
            disk_id=disk.disk_id,
            serial=disk.serial,
            size_gib=disk.size_gib,
            device="",
            fstype="",
            mount="",
        )
        for disk in simulator.state.disks.values()
    ]
    (tmp_path / MACHINE).write_text(recording.dump(made_up_machine(disks)))
    file = tmp_path / "snap-self.prom"
    user = agent.against(simulator).with_env(SNAP_SELF_METRICS_TEXTFILE=str(file))
    assert user.run("check").status == CODES["UNKNOWN"]
    job = ("--before", "os upgrade", "--consistency", "crash", "--recorded", str(tmp_path))
    assert user.run(*job).status == 0
    output = read_plugin_output(user.run("check", "--level", "crash").out)
    assert output.status == "OK"
    ages = {each.label for each in output.data if each.unit == "s"}
    assert ages == {f"age_{disk.disk_id}" for disk in disks}
    text = file.read_text(encoding="utf-8")
    assert promtool("check", "metrics", given=text) == ""
    values = {(name, labels): value for name, labels, value in samples(text)}
    assert values["snap_self_api_calls_total", ('action="CreateSnapshotGroup"',)] == 1
    for disk in disks:
        label = (f'disk_id="{disk.disk_id}"',)
        assert values["snap_self_last_success_timestamp_seconds", label] > 0
        assert values["snap_self_last_success_consistency", label] == 0
    # Another process puts the same together from what was noted.
    assert user.run("metrics", "--refresh").status == 0
    again = {(name, labels): value for name, labels, value in samples(file.read_text())}
    renewed = ("snap_self_written_timestamp_seconds", ("",))
    assert {**values, renewed: 0} == {**again, renewed: 0}


def test_refresh_renews_the_summary_and_the_configured_file(
    watched: AgentRunner, state: Path, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("not root: the journal is root's")
    before, file = (state / NAME).read_bytes(), tmp_path / "snap-self.prom"
    set_so = watched.with_env(SNAP_SELF_METRICS_TEXTFILE=str(file))
    result = set_so.run("metrics", "--refresh", "--quiet")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert (state / NAME).read_bytes() != before
    assert "snap_self_info" in file.read_text(encoding="utf-8")
    # A folder that is not there is told in the system's log, and is no failure of what was done.
    gone = watched.with_env(SNAP_SELF_METRICS_TEXTFILE=str(tmp_path / "none/x.prom"))
    assert gone.run("metrics", "--refresh").status == 0


def test_configured_file_is_removed_once_and_then_nothing_is_said(
    watched: AgentRunner, tmp_path: Path
) -> None:
    if os.geteuid():
        pytest.skip("not root: the journal is root's")
    folder, link = tmp_path / "collector", tmp_path / "link"
    folder.mkdir()
    # A link on the way is followed, as for writing.
    link.symlink_to(folder)
    set_so = watched.with_env(SNAP_SELF_METRICS_TEXTFILE=str(link / "snap-self.prom"))
    assert set_so.run("metrics", "--refresh").status == 0
    (folder / "apt.prom").write_text("apt 1\n")
    # A fault elsewhere is no hindrance.
    faulty = set_so.with_env(SNAP_SELF_CHECK_WARNING="soon")
    result = faulty.run("metrics", "--remove")
    assert (result.status, result.out) == (0, ""), result.err
    assert result.err == f"snap-self: removed {link}/snap-self.prom (metrics.textfile)\n"
    assert [path.name for path in folder.iterdir()] == ["apt.prom"]
    for again in (set_so, watched):
        result = again.run("metrics", "--remove")
        assert (result.status, result.out, result.err) == (0, "", "")


@pytest.mark.parametrize("where", ["none/x.prom", "file/x.prom"])
def test_removal_where_no_folder_is_says_nothing_and_makes_nothing(
    agent: AgentRunner, tmp_path: Path, where: str
) -> None:
    if os.geteuid():
        pytest.skip("not root: the file is root's")
    (tmp_path / "file").touch()
    user = replace(agent, state=tmp_path / "state")
    set_so = user.with_env(SNAP_SELF_METRICS_TEXTFILE=str(tmp_path / where))
    result = set_so.run("metrics", "--remove")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("kind", ["another's", "empty", "short", "link", "folder", "fifo"])
def test_removal_leaves_what_is_not_ours_and_names_it(
    watched: AgentRunner, tmp_path: Path, kind: str
) -> None:
    if os.geteuid():
        pytest.skip("not root: the file is root's")
    file, ours = tmp_path / "snap-self.prom", tmp_path / "ours"
    ours.write_text(exposition(GOOD, frozen=False))
    texts = {
        "another's": f"other 1\n{ours.read_text()}",
        "empty": "",
        "short": ours.read_text()[:10],
    }
    make = {
        "link": lambda: file.symlink_to(ours),
        "folder": file.mkdir,
        "fifo": lambda: os.mkfifo(file),
    }
    make.get(kind, lambda: file.write_text(texts[kind]))()
    before = file.lstat().st_ino
    result = watched.with_env(SNAP_SELF_METRICS_TEXTFILE=str(file)).run("metrics", "--remove")
    assert (result.status, result.out) == (4, "")
    assert f"{file} (metrics.textfile) is still there" in result.err
    assert f"rm {file}" in result.err
    assert file.lstat().st_ino == before
    assert ours.exists()


def test_user_without_rights_removes_nothing(nobody: AgentRunner) -> None:
    result = nobody.run("metrics", "--remove")
    assert (result.status, result.out) == (4, "")
    assert "needs root" in result.err


@pytest.mark.parametrize("where", ["none/x.prom", "folder", "/"])
def test_file_that_cannot_be_written_is_told_and_nothing_is_left(
    watched: AgentRunner, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    result = watched.run("metrics", "--output", str(tmp_path / where))
    assert (result.status, result.out) in ((4, ""), (2, ""))
    assert result.err.startswith("snap-self: ")
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".tmp") == []


@pytest.mark.parametrize(
    ("given", "word"), [("x.prom", "absolute"), ("/x.txt", ".prom"), ("/a/.prom", ".prom")]
)
def test_configured_file_that_the_collector_would_not_read_is_refused(
    watched: AgentRunner, given: str, word: str
) -> None:
    result = watched.with_env(SNAP_SELF_METRICS_TEXTFILE=given).run("metrics")
    assert result.status == 3
    assert word in result.err
