"""Hooks that people already have, run unchanged.

qemu-ga's dispatcher is Debian's, out of the package qemu-guest-agent, unmodified. Its sample
mysql-flush.sh, and the scripts of Alibaba Cloud, Google Cloud and Azure, are in no package that the
distribution has, so those here are written to the documented contracts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hook_rig import HookRig, eventually

from snap_self.errors import QuiesceFailed
from snap_self.model.hooks import HookResult
from snap_self.quiesce.hooks.hookset import Hooks
from snap_self.quiesce.session import QuiesceSession
from snap_self.system.clock import SystemClock

pytestmark = pytest.mark.root

QGA_LOG = Path("/var/log/qga-fsfreeze-hook.log")


@pytest.fixture
def rig() -> Iterator[HookRig]:
    """Return a folder for hooks."""
    rig = HookRig()
    try:
        yield rig
    finally:
        rig.close()


@pytest.fixture(scope="session")
def dispatcher() -> str:
    """Return Debian's fsfreeze-hook script."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("needs apt-get and dpkg-deb, to get the script out of Debian's package")
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(
            ["apt-get", "download", "-q", "qemu-guest-agent"],
            cwd=folder,
            capture_output=True,
            timeout=120,
            check=False,
        )
        packages = list(Path(folder).glob("*.deb"))
        if got.returncode or not packages:
            pytest.skip("qemu-guest-agent cannot be downloaded here")
        subprocess.run(["dpkg-deb", "-x", str(packages[0]), folder], check=True, timeout=60)
        return (Path(folder) / "etc/qemu/fsfreeze-hook").read_text()


@pytest.fixture
def qga_log() -> Iterator[Path]:
    """Return the log that qemu-ga's script always writes; afterwards it is as it was."""
    before = QGA_LOG.read_bytes() if QGA_LOG.exists() else None
    yield QGA_LOG
    if before is None:
        QGA_LOG.unlink(missing_ok=True)
    else:
        QGA_LOG.write_bytes(before)


def run_all(hooks: Hooks) -> QuiesceSession:
    """Start all hooks, say that the cut was seen, stop all of them."""
    try:
        with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=60) as session:
            session.start()
            hooks.say_result(HookResult.CUT)
    finally:
        hooks.close()
    return session


def qemu_hook(rig: HookRig, name: str, status: int = 0, mode: int = 0o755) -> None:
    text = f'#!/bin/sh\necho "{name} $*" >>{rig.log}\nexit {status}\n'
    rig.write(f"fsfreeze-hook.d/{name}", text, mode=mode)


def test_qemus_own_dispatcher_runs_the_directory_beside_it(
    rig: HookRig, dispatcher: str, qga_log: Path
) -> None:
    script = rig.write("fsfreeze-hook", dispatcher)
    qemu_hook(rig, "10-a")
    qemu_hook(rig, "20-b.sample")
    run_all(rig.load(fsfreeze_hook=str(script)))
    assert rig.noted() == ["10-a freeze", "10-a thaw"]
    assert f"{rig.root}/fsfreeze-hook.d/10-a finished with status=0" in qga_log.read_text()


def test_qemus_dispatcher_and_its_directory_dropped_in_are_run_once(
    rig: HookRig, dispatcher: str, qga_log: Path
) -> None:
    rig.write("hooks.d/fsfreeze-hook", dispatcher)
    rig.write("hooks.d/fsfreeze-hook.d/10-a", f'#!/bin/sh\necho "$1" >>{rig.log}\n')
    run_all(rig.load())
    assert rig.noted() == ["freeze", "thaw"]


def test_qemu_directory_is_run_as_qemu_does_but_thawed_in_reverse(rig: HookRig) -> None:
    for name in ("20-b", "10-a", "30-c.rpmsave", "40-d~", "50-e.dpkg-new"):
        qemu_hook(rig, name)
    qemu_hook(rig, "60-f", mode=0o644)
    run_all(rig.load(fsfreeze_hook=f"{rig.root}/fsfreeze-hook.d"))
    assert rig.noted() == ["10-a freeze", "20-b freeze", "20-b thaw", "10-a thaw"]


def test_qemu_hooks_exit_status_counts_unlike_with_qemu(rig: HookRig) -> None:
    qemu_hook(rig, "10-a", status=9)
    with pytest.raises(QuiesceFailed, match="10-a: ended with status 9"):
        run_all(rig.load(fsfreeze_hook=f"{rig.root}/fsfreeze-hook.d"))


def test_hook_in_mysql_flush_form_holds_its_lock_until_thaw(rig: HookRig) -> None:
    # As qemu's sample: a background client holds the lock and waits at a FIFO; thaw opens it.
    client = rig.write(
        "client", f'#!/bin/sh\nwhile read line; do echo "sql $line" >>{rig.log}; done\n'
    )
    fifo = rig.root / "flush.fifo"
    rig.write(
        "fsfreeze-hook.d/mysql-flush.sh",
        f"""#!/bin/sh
hold() {{ echo LOCK; read go <{fifo}; echo UNLOCK; rm -f {fifo}; }}
case "$1" in
freeze) mkfifo {fifo} || exit 1
    hold | {client} &
    until grep -q "sql LOCK" {rig.log} 2>/dev/null; do sleep 0.02; done ;;
thaw) [ -p {fifo} ] && echo >{fifo} ;;
esac
""",
    )
    hooks = rig.load(fsfreeze_hook=f"{rig.root}/fsfreeze-hook.d")
    with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
        session.start()
        assert rig.noted() == ["sql LOCK"]
        assert session.check() == ""
    hooks.close()
    eventually(lambda: rig.noted() == ["sql LOCK", "sql UNLOCK"])
    assert session.results[0].release_why == ""


def pair(rig: HookRig, folder: str, pre: str, post: str, *, mode: int = 0o700) -> Path:
    for name in (pre, post):
        rig.write(f"{folder}/{name}", f'#!/bin/sh\necho "{name} $*" >>{rig.log}\n', mode=mode)
    return rig.root / folder


def test_alibaba_pair_named_in_the_configuration_is_run(rig: HookRig) -> None:
    folder = pair(rig, "scripts", "prescript.sh", "postscript.sh")
    run_all(rig.load(prescript=f"{folder}/prescript.sh", postscript=f"{folder}/postscript.sh"))
    assert rig.noted() == ["prescript.sh ", "postscript.sh "]


def test_alibaba_pair_dropped_in_is_run_as_one_hook(rig: HookRig) -> None:
    pair(rig, "hooks.d", "prescript.sh", "postscript.sh")
    assert len(run_all(rig.load()).results) == 1
    assert rig.noted() == ["prescript.sh ", "postscript.sh "]


def test_alibaba_pair_in_tmp_is_refused_with_the_way_to_import_it(rig: HookRig) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for name in ("prescript.sh", "postscript.sh"):
            shutil.copy(rig.write(name, "#!/bin/sh\n", mode=0o700), folder)
        given = {"prescript": f"{folder}/prescript.sh", "postscript": f"{folder}/postscript.sh"}
        with pytest.raises(QuiesceFailed, match="/tmp can be changed by others") as caught:
            run_all(rig.load(**given))
    assert "install -o root -g root -m 0700" in caught.value.hint


def test_alibaba_scripts_others_may_read_are_refused(rig: HookRig) -> None:
    folder = pair(rig, "scripts", "prescript.sh", "postscript.sh", mode=0o755)
    given = {"prescript": f"{folder}/prescript.sh", "postscript": f"{folder}/postscript.sh"}
    with pytest.raises(QuiesceFailed, match="has permissions for users other"):
        run_all(rig.load(**given))


def test_google_pair_gets_the_disks_as_one_argument(rig: HookRig) -> None:
    folder = pair(rig, "google", "pre.sh", "post.sh")
    run_all(rig.load(google_dir=str(folder)))
    assert rig.noted() == ["pre.sh d-1,d-2", "post.sh d-1,d-2"]


def test_google_pair_with_one_missing_runs_neither(rig: HookRig) -> None:
    folder = pair(rig, "google", "pre.sh", "post.sh")
    (folder / "post.sh").unlink()
    with pytest.raises(QuiesceFailed, match=r"post\.sh is missing"):
        run_all(rig.load(google_dir=str(folder)))
    assert rig.noted() == []


def azure(rig: HookRig, pre: str, **changes: object) -> str:
    """Write Azure's three files; return the path of the configuration."""
    head = f'echo "$(basename "$0") $*" >>{rig.log}\n'
    # No interpreter line and no execute bit: Azure runs them with sh.
    scripts = {
        "preScriptLocation": str(rig.write("azure/pre", head + pre, mode=0o600)),
        "postScriptLocation": str(rig.write("azure/post", head, mode=0o600)),
    }
    config = {
        "pluginName": "ScriptRunner",
        **scripts,
        "preScriptParams": ["one", "two words"],
        "postScriptParams": ["three"],
        "preScriptNoOfRetries": 0,
        "postScriptNoOfRetries": 0,
        "timeoutInSeconds": 30,
        "continueBackupOnFailure": False,
        "fsFreezeEnabled": True,
        **changes,
    }
    name = "azure/VMSnapshotScriptPluginConfig.json"
    return str(rig.write(name, json.dumps(config), mode=0o600))


def test_azure_configuration_runs_both_scripts_with_their_parameters(rig: HookRig) -> None:
    run_all(rig.load(azure_config=azure(rig, "")))
    assert rig.noted() == ["pre one two words", "post three"]


def test_azure_retries_until_the_script_succeeds(rig: HookRig) -> None:
    fails_twice = f'[ "$(grep -c ^pre {rig.log})" -ge 3 ]\n'
    run_all(rig.load(azure_config=azure(rig, fails_twice, preScriptNoOfRetries=3)))
    assert [line.split()[0] for line in rig.noted()] == ["pre", "pre", "pre", "post"]


def test_azure_script_at_its_limit_is_not_tried_again(rig: HookRig) -> None:
    config = azure(rig, "sleep 60\n", preScriptNoOfRetries=3, timeoutInSeconds=1)
    with pytest.raises(QuiesceFailed, match="ScriptRunner: did not end within 1 s"):
        run_all(rig.load(azure_config=config))
    assert [line.split()[0] for line in rig.noted()] == ["pre", "post"]


def test_azure_failure_that_may_be_continued_makes_the_level_fall_only(rig: HookRig) -> None:
    rig.hook("10-a")
    hooks = rig.load(azure_config=azure(rig, "exit 2\n", continueBackupOnFailure=True))
    with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
        session.start()
        assert session.check() == "hook ScriptRunner: ended with status 2"
    hooks.close()
    assert rig.noted()[-2:] == ["post three", "10-a post failed"]


@pytest.mark.parametrize("name", ["pre", "post", "VMSnapshotScriptPluginConfig.json"])
@pytest.mark.parametrize("spoil", ["owner", "mode", "missing"])
def test_azure_file_that_is_not_roots_alone_is_refused(rig: HookRig, name: str, spoil: str) -> None:
    config = azure(rig, "")
    path = rig.root / "azure" / name
    if spoil == "owner":
        os.chown(path, 65534, -1)
    elif spoil == "mode":
        path.chmod(0o640)
    else:
        path.unlink()
    with pytest.raises(QuiesceFailed, match=str(path)):
        run_all(rig.load(azure_config=config))
    assert rig.noted() == []
