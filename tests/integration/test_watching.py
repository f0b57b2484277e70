"""What the agent tells those who watch: its own files, and the real journal of systemd."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from agent_runner import CHECKOUT, AgentRunner
from ecs_simulator.faults import Fault
from ecs_simulator.simulator import Simulator
from hook_samples import SAMPLES
from recorded_job import made_up_options
from snap_self.cli.adapters import Adapters, unheard
from snap_self.cli.watching import make_watch, make_watch_tools
from snap_self.config.load import default_config
from snap_self.config.settings import MetricsSettings
from snap_self.errors import ConfigError, ExitStatus, StateUnusable
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.model.summary import Summary, Tally
from snap_self.system.clock import SystemClock
from snap_self.system.watching.summary_file import read_summary
from snap_self.system.watching.tally import TallyFile
from snap_self.system.watching.untold import UntoldFile
from snap_self.usecases.watching import Watch, WatchTools, refresh
from snap_self.watching.journal import MESSAGES

JOURNALD = "/usr/lib/systemd/systemd-journald"
# A journal of its own, in a mount namespace: the machine's is not touched.
IN_JOURNAL = """
set -eu
folder=$1; shift
[ ! -d "$folder/etc" ] || mount -t overlay -o "lowerdir=$folder/etc:/etc" overlay /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal /run/snap-self
%s >/run/journald.log 2>&1 &
daemon=$!
for try in $(seq 100); do [ -S /run/systemd/journal/socket ] && break; sleep 0.1; done
status=0
"$@" || status=$?
# Whatever came over the socket before is written by then.
journalctl --sync >/dev/null 2>&1 || :
sleep 0.5
journalctl --directory /run/log/journal -o json -t snap-self >"$folder/told.json"
kill "$daemon"
wait "$daemon" || :
exit "$status"
"""
LIMIT_S = 90.0
HOOK = Path(__file__).with_name("hook_on_screen.py")
BARE = Occurrence(
    kind=Occasion.UNPROTECTED, at=SystemClock().now(), text="bare", trigger="apt", code="paused"
)
RISKY = SAMPLES["apt"].replace(b"hello", b"linux-image-amd64")


# Each agent has a /run of its own there.
pytestmark = pytest.mark.own_root


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> AgentRunner:
    return agent.against(simulator)


@pytest.fixture
def job(simulator: Simulator, tmp_path: Path) -> tuple[str, ...]:
    """Return the main job's options on a machine that has the simulated cloud's disks."""
    return made_up_options(simulator, tmp_path)


def tally(user: AgentRunner) -> Tally:
    return TallyFile(user.state, SystemClock()).read()


def summary(user: AgentRunner) -> Summary:
    found = read_summary(user.state)
    assert found is not None
    return found


def refuse_creates(simulator: Simulator) -> None:
    for action in ("CreateSnapshot", "CreateSnapshotGroup"):
        simulator.inject(Fault(kind="error:QuotaExceed.Snapshot:403", action=action, count=99))


def test_a_run_is_counted_and_summed_up(
    job: tuple[str, ...], user: AgentRunner, simulator: Simulator
) -> None:
    done = user.run(*job, "--json")
    assert done.status == 0, done.err
    counts, seen = tally(user).counts, summary(user)
    assert counts.runs == {"cli": {"done": 1}}
    assert counts.calls["DescribeDisks"] >= 1
    assert {disk.snapshot_id for disk in seen.disks} == {
        shot["snapshot_id"] for shot in done.json["snapshots"]
    }
    (last,) = seen.runs
    assert (last.trigger, last.exit_status, last.result) == ("cli", 0, "done")
    assert seen.instance_id == simulator.cloud.own_instance.instance_id
    assert seen.region


def test_a_run_that_made_nothing_is_counted_as_failed(
    job: tuple[str, ...], user: AgentRunner, simulator: Simulator
) -> None:
    refuse_creates(simulator)
    done = user.run("run", *job, "--", "true")
    assert done.status == ExitStatus.NOT_STARTED
    seen = summary(user)
    assert tally(user).counts.runs == {"run": {"failed": 1}}
    assert [disk.cut for disk in seen.disks] == [None] * len(seen.disks)
    assert seen.runs[0].code


def test_the_command_of_a_run_finds_what_was_told_of_its_snapshot(
    job: tuple[str, ...], user: AgentRunner
) -> None:
    done = user.run("run", *job, "--", "cat", str(user.state / "summary.json"))
    assert done.status == 0, done.err
    assert '"trigger": "run"' in done.out


@pytest.mark.parametrize("words", [(), ("run",)])
def test_a_run_that_its_configuration_refuses_is_counted_as_failed(
    words: tuple[str, ...], job: tuple[str, ...], user: AgentRunner
) -> None:
    command = ("--", "true") if words else ()
    done = user.with_env(SNAP_SELF_SNAPSHOT_KEEP="soon").run(*words, *job, *command)
    assert done.status == (ExitStatus.NOT_STARTED if words else ExitStatus.CONFIG)
    (last,) = summary(user).runs
    trigger = "run" if words else "cli"
    assert tally(user).counts.runs == {trigger: {"failed": 1}}
    assert (last.trigger, last.code, last.exit_status) == (
        trigger,
        ConfigError.code,
        ExitStatus.CONFIG,
    )
    assert f"the last run ({trigger}) failed" in user.run("check").out


@pytest.mark.parametrize("words", [("--keep", "soon"), ("--before", ""), ("--nosuch",)])
def test_what_somebody_mistyped_is_told_to_nobody_else(
    words: tuple[str, ...], job: tuple[str, ...], user: AgentRunner
) -> None:
    assert user.run(*job, *words).status == ExitStatus.USAGE
    assert user.run("run", *job, *words, "--", "true").status == ExitStatus.NOT_STARTED
    assert not (user.state / "summary.json").exists()


@pytest.mark.parametrize(("stopping", "unprotected"), [((), {"apt": 1}), (("stopping",), {})])
def test_a_change_whose_run_was_refused_is_counted_whether_it_goes_on_or_not(
    hook: AgentRunner, stopping: tuple[str, ...], unprotected: Mapping[str, int]
) -> None:
    done = hook.with_env(SNAP_SELF_SNAPSHOT_KEEP="soon").run(*stopping, stdin=RISKY)
    assert (done.status != 0, "NO SNAPSHOT" in done.err) == (bool(stopping), True), done.err
    counts = tally(hook).counts
    assert (counts.runs, counts.unprotected) == ({"apt": {"failed": 1}}, unprotected)
    (last,) = summary(hook).runs
    assert (last.trigger, last.code) == ("apt", ConfigError.code)


@pytest.mark.root
def test_everybody_may_read_the_summary_and_nothing_else(
    job: tuple[str, ...], user: AgentRunner
) -> None:
    assert user.run(*job, "--before", "a secret", "--quiet").status == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in user.state.iterdir()}
    assert modes.pop("summary.json") == 0o644
    assert user.state.stat().st_mode & 0o777 == 0o711
    assert [name for name, mode in modes.items() if mode & 0o077] == []
    assert "secret" not in (user.state / "summary.json").read_text(encoding="utf-8")


@pytest.mark.root
def test_a_state_directory_that_was_closed_again_stays_closed(
    job: tuple[str, ...], user: AgentRunner
) -> None:
    assert user.run(*job, "--quiet").status == 0
    user.state.chmod(0o700)
    assert user.run(*job, "--quiet").status == 0
    assert user.state.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def hook(user: AgentRunner, job: tuple[str, ...]) -> AgentRunner:
    """Return what starts apt's hook with the announcement of a risky change."""
    known = user.with_env(PYTHONPATH=f"{CHECKOUT}/agent:{CHECKOUT}/tests")
    return replace(known, program=(sys.executable, str(HOOK), job[-1], "apt"))


def test_a_change_that_goes_on_without_a_snapshot_is_counted_as_unprotected(
    hook: AgentRunner, simulator: Simulator
) -> None:
    refuse_creates(simulator)
    done = hook.run(stdin=RISKY)
    assert (done.status, "NO SNAPSHOT" in done.err) == (0, True), done.err
    counted, seen = tally(hook), summary(hook)
    assert counted.counts.unprotected == {"apt": 1}
    assert counted.counts.runs == {"apt": {"failed": 1}}
    assert seen.unprotected is not None
    assert not seen.unprotected.settled
    assert seen.unprotected.code == seen.runs[0].code != ""


def test_a_change_that_is_stopped_is_not_unprotected(
    hook: AgentRunner, simulator: Simulator
) -> None:
    refuse_creates(simulator)
    assert hook.run("stopping", stdin=RISKY).status != 0
    assert tally(hook).counts.unprotected == {}


def test_a_change_with_a_snapshot_is_not_unprotected(hook: AgentRunner) -> None:
    assert hook.run(stdin=RISKY).status == 0
    assert tally(hook).counts.unprotected == {}
    assert tally(hook).counts.runs == {"apt": {"done": 1}}


@pytest.mark.parametrize(
    ("manager", "doubted"), [("apt", {}), ("zypper", {"zypper": 1})], ids=["stops", "may go on"]
)
def test_an_interrupted_hook_is_counted_where_its_change_may_have_been_made(
    hook: AgentRunner, user: AgentRunner, simulator: Simulator, manager: str, doubted: object
) -> None:
    simulator.inject(Fault(kind="hang", action="CreateSnapshotGroup"))
    called = replace(hook, program=(*hook.program[:-1], manager))
    risky = SAMPLES[manager].replace(b"hello", b"linux-image-amd64")
    with called.start(stdin=risky) as running:
        until(lambda: not simulator.api.faults.waiting(), "the call")
        running.signal(signal.SIGTERM)
        ended = running.wait()
    assert "interrupted" in ended.err
    counts, seen = tally(hook).counts, summary(hook)
    assert (counts.interrupted, counts.unprotected) == (doubted, {})
    # The run itself was ended, and tells so.
    assert counts.runs == {manager: {"failed": 1}}
    assert (seen.runs[0].code, seen.runs[0].exit_status) == ("ended-by-signal", 143)
    told = user.run("check").out
    assert "ended-by-signal" in told
    assert ("whether it changed packages is not known" in told) == bool(doubted)
    if doubted:
        metrics = user.run("metrics").out
        assert 'snap_self_interrupted_changes_total{manager="zypper"} 1' in metrics


def test_a_list_shows_that_a_snapshot_is_gone(
    job: tuple[str, ...], user: AgentRunner, simulator: Simulator
) -> None:
    assert user.run(*job, "--quiet").status == 0
    for path in (user.state / "runs").iterdir():  # long ago, so that it would be shown by now
        record = json.loads(path.read_text(encoding="utf-8"))
        record["started"] = (SystemClock().now() - timedelta(hours=1)).isoformat()
        path.write_text(json.dumps(record), encoding="utf-8")
    simulator.delete_snapshots()
    assert user.run("list").status == 0
    assert [disk.snapshot_id for disk in summary(user).disks if disk.snapshot_id] == []


def test_a_look_at_the_cloud_makes_no_files(user: AgentRunner) -> None:
    assert user.run("list").status == 0
    assert not (user.state / "watch").exists()
    assert not (user.state / "summary.json").exists()


def test_a_summary_that_cannot_be_written_fails_no_run(
    job: tuple[str, ...], user: AgentRunner
) -> None:
    (user.state / "watch").mkdir(parents=True, mode=0o700)
    (user.state / "watch/tally.json").mkdir()
    done = user.run(*job, "--json")
    assert (done.status, done.json["result"]) == (0, "done")


def test_what_could_not_be_counted_is_counted_by_the_next_command(
    hook: AgentRunner, user: AgentRunner, job: tuple[str, ...], simulator: Simulator
) -> None:
    refuse_creates(simulator)
    broken = user.state / "watch/tally.json"
    broken.mkdir(parents=True)
    user.state.chmod(0o700)
    broken.parent.chmod(0o700)
    assert hook.run(stdin=RISKY).status == 0
    told = user.run("check")
    assert (told.status, "is not counted yet" in told.out) == (2, True)
    broken.rmdir()
    assert user.run(*job).status != 0
    assert tally(user).counts.unprotected == {"apt": 1}
    assert tally(user).counts.runs == {"apt": {"failed": 1}, "cli": {"failed": 1}}


def let_through(run_folder: Path, tmp_path: Path) -> None:
    """Have the guard let a change go on whose agent is broken."""
    guard = (CHECKOUT / "packaging/hooks/hook-guard").read_text(encoding="utf-8")
    broken = tmp_path / "snap-self"
    broken.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    for name, path in (("AGENT", broken), ("RUN", run_folder)):
        guard = re.sub(f"(?m)^{name}=.*", f"{name}={path}", guard)
    assert subprocess.run(["sh", "-c", guard, "hook-guard", "apt"], check=False).returncode == 0


def test_a_change_that_the_guard_let_through_is_critical_then_counted(
    user: AgentRunner, job: tuple[str, ...], tmp_path: Path
) -> None:
    assert user.run(*job, "--quiet").status == 0
    let_through(user.state, tmp_path)
    told = user.run("check")
    assert (told.status, "is not counted yet" in told.out) == (2, True), told.out
    assert user.run("metrics", "--refresh", "--quiet").status == 0
    assert tally(user).counts.unprotected == {"apt": 1}
    told = user.run("check")
    assert (told.status, "hook-broken" in told.out) == (2, True), told.out
    assert user.run(*job, "--quiet", "--json").status == 0
    assert "hook-broken" not in user.run("check").out


@pytest.fixture
def tools(state_dir: Path) -> WatchTools:
    config = default_config()
    adapters = Adapters(
        config=replace(config, state=replace(config.state, dir=state_dir)),
        env={},
        listener=unheard,
        watching=make_watch,
    )
    # The machine's /run is not this test's: others freeze, and leave there what is to be counted.
    untold = UntoldFile(state_dir)
    return replace(make_watch_tools(adapters), frozen=lambda: False, untold=untold)


def test_freeze_that_lasts_is_in_the_metrics_and_nothing_else_is_written(
    state_dir: Path, tools: WatchTools, tmp_path: Path
) -> None:
    refresh(tools)
    file = tmp_path / "snap-self.prom"
    config = default_config()
    config = replace(
        config,
        state=replace(config.state, dir=state_dir),
        metrics=MetricsSettings(textfile=str(file)),
    )
    adapters = Adapters(config=config, env={}, listener=unheard, watching=make_watch)
    frozen = replace(tools, frozen=lambda: True, show_frozen=make_watch_tools(adapters).show_frozen)
    before = {each: each.read_bytes() for each in state_dir.rglob("*") if each.is_file()}
    refresh(frozen)
    assert "\nsnap_self_frozen 1\n" in file.read_text(encoding="utf-8")
    after = {each: each.read_bytes() for each in state_dir.rglob("*") if each.is_file()}
    assert after == before
    assert before


def test_two_commands_at_once_count_once_what_could_not_be_counted(
    state_dir: Path, tools: WatchTools
) -> None:
    kept = UntoldFile(state_dir)
    kept.keep([BARE])

    class Outrun(TallyFile):
        """Another command counts just before this one takes the lock."""

        def change(self, *changes: Any) -> None:
            refresh(tools)
            super().change(*changes)

    refresh(replace(tools, tally=Outrun(state_dir, SystemClock())))
    assert tools.tally.read().counts.unprotected == {"apt": 1}
    kept.keep([BARE])
    watch = Watch(replace(tools, tally=Outrun(state_dir, SystemClock())))
    watch.tell(replace(BARE, trigger="dnf"))
    watch.close()
    assert tools.tally.read().counts.unprotected == {"apt": 2, "dnf": 1}


def test_what_is_counted_and_cannot_be_shown_is_not_counted_again(tools: WatchTools) -> None:
    def fails(_: Summary) -> None:
        raise StateUnusable("the disk is full")

    watch = Watch(replace(tools, show=fails))
    watch.tell(BARE)
    watch.close()
    assert tools.tally.read().counts.unprotected == {"apt": 1}
    refresh(tools)
    assert tools.tally.read().counts.unprotected == {"apt": 1}


@pytest.mark.root
def test_what_the_machines_guard_left_is_for_no_simulated_cloud(
    user: AgentRunner, job: tuple[str, ...]
) -> None:
    inside = 'mount -t tmpfs tmpfs /run && mkdir -m 700 /run/snap-self && echo >"$0" && "$@"; '
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{inside} ls "$0"')
    left = "/run/snap-self/untold.jsonl"
    done = user.with_wrapper(*wrapper, left).run(*job, "--quiet")
    assert (done.status, done.out.splitlines()[-1]) == (0, left), done.err


def told(
    user: AgentRunner, folder: Path, *arguments: str, stdin: bytes | None = None
) -> Sequence[Mapping[str, Any]]:
    """Run the agent beside a journal of its own; return what the journal has of it."""
    wrapper = ("unshare", "--mount", "--propagation", "private", "sh", "-c", IN_JOURNAL % JOURNALD)
    watched = user.with_wrapper(*wrapper, "sh", str(folder))
    watched.run(*arguments, stdin=stdin)
    text = (folder / "told.json").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def trusted() -> Iterator[Path]:
    """Return a folder whose files root may believe: none above it is everybody's, as /tmp is."""
    with TemporaryDirectory(prefix="watching-", dir="/root") as folder:
        yield Path(folder)


def until(seen: Callable[[], object], what: str) -> None:
    """Wait for a state, up to a limit."""
    end = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.05)


def needs_journald() -> None:
    if not (Path(JOURNALD).exists() and shutil.which("journalctl")):
        pytest.skip("needs systemd-journald and journalctl")


@pytest.mark.root
def test_the_journal_has_each_thing_with_its_fields(
    job: tuple[str, ...], user: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    needs_journald()
    messages = told(user, tmp_path, *job, "--before", "升级 os", "--quiet")
    by_event = {each["SNAP_SELF_EVENT"]: each for each in messages}
    begun, made = by_event["begun"], by_event["made"]
    assert begun["MESSAGE_ID"] == MESSAGES[Occasion.BEGUN].message_id
    assert begun["SNAP_SELF_BEFORE"] == "升级 os"
    assert made["MESSAGE_ID"] == MESSAGES[Occasion.MADE].message_id
    assert (made["PRIORITY"], made["SNAP_SELF_STATUS"], made["SNAP_SELF_TRIGGER"]) == (
        *("5", "0", "cli"),
    )
    assert set(made["SNAP_SELF_SNAPSHOTS"].split()) == set(simulator.dump()["snapshots"])
    (run,) = (path.stem for path in (user.state / "runs").iterdir())
    assert made["SNAP_SELF_RUN"] == run


@pytest.mark.root
def test_the_journal_has_an_unprotected_change(
    hook: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    needs_journald()
    refuse_creates(simulator)
    messages = told(hook, tmp_path, stdin=RISKY)
    kinds = [each["SNAP_SELF_EVENT"] for each in messages if "SNAP_SELF_EVENT" in each]
    assert kinds == ["begun", "failed", "unprotected"]
    assert messages[-1]["SNAP_SELF_CODE"] == messages[-2]["SNAP_SELF_CODE"]


@pytest.mark.root
@pytest.mark.parametrize("command", ["a run", "a look", "metrics"])
def test_what_the_guard_let_through_is_told_once_by_the_command_that_counts_it(
    job: tuple[str, ...], user: AgentRunner, tmp_path: Path, trusted: Path, command: str
) -> None:
    needs_journald()
    words = {"a run": (*job, "--quiet"), "a look": ("list",), "metrics": ("metrics", "--refresh")}
    assert user.run(*job, "--quiet").status == 0
    let_through(user.state, tmp_path)
    out = trusted / "told"
    tell = f'["/bin/sh", "-c", "cat >>{out}; touch {out}.whole"]'
    (tmp_path / "etc/snap-self").mkdir(parents=True)
    config = tmp_path / "etc/snap-self/config.toml"
    config.write_text(f"[notify]\ncommand = {tell}\n", encoding="utf-8")
    kinds = []
    for _ in range(2):
        messages = told(user, tmp_path, *words[command])
        kinds += [one for one in messages if one.get("SNAP_SELF_EVENT") == "unprotected"]
    (one,) = kinds
    assert one["MESSAGE_ID"] == MESSAGES[Occasion.UNPROTECTED].message_id
    assert (one["SNAP_SELF_TRIGGER"], one["SNAP_SELF_CODE"]) == ("apt", "hook-broken")
    assert one["SNAP_SELF_INSTANCE"] == summary(user).instance_id
    bare = summary(user).unprotected
    assert bare is not None
    assert one["SNAP_SELF_AT"] == f"{bare.at:%Y-%m-%dT%H:%M:%SZ}"
    until(lambda: out.with_suffix(".whole").exists(), "what the command wrote")
    (event,) = (json.loads(line) for line in out.read_text(encoding="utf-8").splitlines())
    assert (event["event"], event["trigger"], event["code"]) == (
        "unprotected",
        "apt",
        one["SNAP_SELF_CODE"],
    )
    assert event["at"] == one["SNAP_SELF_AT"]


@pytest.mark.root
def test_the_journal_is_told_nothing_where_that_is_switched_off(
    job: tuple[str, ...], user: AgentRunner, tmp_path: Path
) -> None:
    needs_journald()
    quiet = user.with_env(SNAP_SELF_WATCH_JOURNAL="false")
    assert told(quiet, tmp_path, *job, "--quiet") == []


def test_the_catalog_explains_every_message(tmp_path: Path) -> None:
    if shutil.which("journalctl") is None:
        pytest.skip("needs journalctl")
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "packaging/systemd/snap-self.catalog", folder)
    root = f"--root={tmp_path}"
    subprocess.run(["journalctl", root, "--update-catalog"], check=True, capture_output=True)
    for message in MESSAGES.values():
        shown = subprocess.run(
            ["journalctl", root, "--dump-catalog", message.message_id],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "SYSTEMD_PAGER": ""},
        ).stdout
        assert f"Subject: {message.subject}" in shown
