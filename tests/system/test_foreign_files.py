"""What others could have written or exchanged is used by root nowhere, and elsewhere it is.

Every place of the tables in ``foreign_places`` is tried on everything that root takes a decision,
a program or a secret from, or writes to; some of them through the whole agent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from foreign_places import NOBODY, Place, all_places, lay, settle
from kernel_servers import lying

from agent_runner import CHECKOUT, AgentResult, AgentRunner
from ecs_simulator import Simulator
from fakes.applications import fake_tools
from fakes.clock import FakeClock
from fakes.instance import surroundings
from fakes.records import run_record
from snap_self.cli.adapters import check_ca_bundle
from snap_self.cloud.credentials import cli_config, ini_file, oidc
from snap_self.cloud.credentials.sources import Offer, Skipped
from snap_self.config.load import Sources, load_config
from snap_self.errors import SnapSelfError, StateUnusable
from snap_self.model.applications import ApplicationSettings
from snap_self.model.packages import UPGRADE, Package, Transaction
from snap_self.quiesce.applications.base import password_of
from snap_self.quiesce.hooks.trust import judge
from snap_self.system.configfiles import distrust_config, list_config_folder, read_config_file
from snap_self.system.disks.recorded import write_recorded
from snap_self.system.freeze.launch import MarkerFile
from snap_self.system.hooks.files import SystemHookFiles
from snap_self.system.key_programs import KeyPrograms
from snap_self.system.managers.state import ManagerState
from snap_self.system.state.journal import Journal
from snap_self.system.textfile import read_text_file, read_trusted_file
from snap_self.system.trust import distrust
from waiting import wait_until

pytestmark = pytest.mark.root

KEYS = {"access_key_id": "LTAIforeignfiles1", "access_key_secret": "s" * 30}
AK = json.dumps({"current": "p", "profiles": [{"name": "p", "mode": "AK", **KEYS}]})
INI = "[default]\ntype = access_key\n" + "".join(f"{k} = {v}\n" for k, v in KEYS.items())
PRINTS_KEYS = f"#!/bin/sh\necho '{json.dumps({'mode': 'AK', **KEYS})}'\n"
OWN_ETC = 'mount -t overlay -o "lowerdir=$1:/etc" overlay /etc && shift && exec "$@"'
CHANGE = Transaction("apt", [Package("libc6", UPGRADE, arch="amd64", old="1", new="2")])


@pytest.fixture
def base() -> Iterator[Path]:
    """Return a folder that no folder like /tmp lies above: from those no program is run."""
    with tempfile.TemporaryDirectory(prefix="snap-self-test-", dir="/var/lib") as folder:
        yield Path(folder)


def configured(folder: Path) -> None:
    load_config(
        Sources(
            env={},
            read=read_config_file,
            listing=list_config_folder,
            distrust=distrust_config,
            folder=folder,
        )
    )


def main_file(base: Path, place: Place) -> None:
    configured(lay(place, base, "config.toml", "").parent)


def extra_file(base: Path, place: Place) -> None:
    (base / "above").mkdir()
    thing = base / "above/conf.d/x.toml"
    thing.parent.mkdir()
    thing.write_text("")
    settle(place, base, thing)
    configured(base / "above")


def linked_main_file(base: Path, place: Place) -> None:
    path = lay(place, base, "config.toml", "")
    (base / "etc").mkdir()
    (base / "etc/config.toml").symlink_to(path)
    configured(base / "etc")


def extra_folder(base: Path, place: Place) -> None:
    path = lay(place, base, "conf.d", None)
    (base / "etc").mkdir()
    (base / "etc/conf.d").symlink_to(path)
    configured(base / "etc")


def keys(look: Callable[..., Offer | Skipped], variable: str, path: Path) -> None:
    found = look(surroundings(env={variable: str(path)}, read=read_trusted_file))
    assert isinstance(found, Offer)
    assert found.load().access_key_id == KEYS["access_key_id"]


def cli_keys(base: Path, place: Place) -> None:
    keys(cli_config.look, "ALIBABA_CLOUD_CONFIG_FILE", lay(place, base, "config.json", AK))


def sdk_keys(base: Path, place: Place) -> None:
    path = lay(place, base, "credentials.ini", INI)
    keys(ini_file.look, "ALIBABA_CLOUD_CREDENTIALS_FILE", path)


def external_program_named(base: Path, place: Place) -> None:
    profile = {"name": "p", "mode": "External", "process_command": "/bin/echo {}"}
    content = json.dumps({"current": "p", "profiles": [profile]})
    path = lay(place, base, "config.json", content)
    env = {"ALIBABA_CLOUD_CONFIG_FILE": str(path)}
    found = cli_config.look(surroundings(env=env, read=read_trusted_file))
    assert isinstance(found, Offer)


def oidc_token(base: Path, place: Place) -> None:
    env = {
        oidc.ROLE_ARN: "acs:ram::1:role/x",
        oidc.PROVIDER_ARN: "acs:ram::1:oidc-provider/x",
        oidc.TOKEN_FILE: str(lay(place, base, "token", "token")),
    }
    found = oidc.look(surroundings(env=env, read=read_trusted_file))
    assert isinstance(found, Offer)
    try:
        found.load()
    except SnapSelfError as error:
        if error.code != "cloud-unreachable":  # so the token would have been sent
            raise


def program(base: Path, place: Place) -> None:
    path = lay(place, base, "keys", PRINTS_KEYS)
    path.chmod(path.stat().st_mode | 0o100)
    assert KEYS["access_key_id"] in KeyPrograms({}).run([str(path)], timeout_s=20)[1]


def script_of_an_interpreter(base: Path, place: Place) -> None:
    path = lay(place, base, "keys", PRINTS_KEYS)
    out = KeyPrograms({}).run(["/bin/sh", str(path)], timeout_s=20)[1]
    assert KEYS["access_key_id"] in out


def hook_script(base: Path, place: Place) -> None:
    path = lay(place, base, "hook", PRINTS_KEYS)
    why, _ = judge(SystemHookFiles().walk(str(path)), executable=False, private=False)
    if why:
        raise PermissionError(why)


def ca_bundle(base: Path, place: Place) -> None:
    check_ca_bundle(str(lay(place, base, "ca.pem", "")))


def password_file(base: Path, place: Place) -> None:
    path = lay(place, base, "password", "secret\n")
    tools = replace(fake_tools(FakeClock()), read_text=read_text_file, distrust=distrust)
    assert password_of(ApplicationSettings(password_file=str(path)), tools) == "secret"


def state_directory(base: Path, place: Place) -> None:
    path = lay(place, base, "state", None)
    Journal(path).save(run_record())
    assert len(Journal(path).all()) == 1


def state_not_made_yet(base: Path, place: Place) -> None:
    path = lay(place, base, "new", None)
    path.rmdir()
    Journal(path / "deeper").save(run_record())


def state_subfolder(base: Path, place: Place) -> None:
    path = lay(place, base, "runs", None)
    if place.link is not None:
        (base / "door").rename(base / "state")
        path = base / "state/runs"
    Journal(path.parent).save(run_record())


def state_record(base: Path, place: Place) -> None:
    state = base / "state"
    Journal(state).save(run_record())
    (file,) = (state / "runs").iterdir()
    lay(place, base, file.name, file.read_text()).rename(file)
    if not Journal(state).all():
        (said,) = Journal(state).damaged()
        raise PermissionError(said)


def changes_log(base: Path, place: Place) -> None:
    path = lay(place, base, "state", None)
    ManagerState(limit_file=f"{base}/limit").log(str(path), "run-1", CHANGE)
    if not (path / "changes/run-1.jsonl").exists():
        raise PermissionError("not written")


def recording(base: Path, place: Place) -> None:
    path = lay(place, base, "recording", None)
    write_recorded(path, "text", {})
    assert (path / "machine.json").stat().st_mode & 0o777 == 0o600


def freeze_marker(base: Path, place: Place) -> None:
    path = lay(place, base, "frozen.json", "{}")
    assert MarkerFile(path.parent).read() == "{}"


def moment_to_skip_until(base: Path, place: Place) -> None:
    path = lay(place, base, "skip-until", "4102444800")
    if not ManagerState(str(path.parent)).skip_until():
        raise PermissionError("not believed")


Use = Callable[[Path, Place], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """Something root uses, which of the open traits it may have, and which rows there can be."""

    use: Use
    below_tmp: bool = True
    by_link: bool = True
    possible: Callable[[Place], bool] = lambda _: True


def is_no_link(place: Place) -> bool:
    return place.link is None


def is_for_its_owner(place: Place) -> bool:
    return not place.mode & 0o004  # or it is refused for that


def is_in_roots_folder(place: Place) -> bool:
    return place.above == (0, 0o755)


def is_new(place: Place) -> bool:
    return place.link is None and (place.owner, place.mode) == (0, 0o600)


SUBJECTS: Sequence[Subject] = (
    # The folder that they lie in is part of the configuration and of the state: no /tmp.
    Subject(main_file, below_tmp=False, possible=is_no_link),
    Subject(extra_file, below_tmp=False, possible=is_no_link),
    Subject(linked_main_file),
    Subject(extra_folder),
    Subject(cli_keys),
    Subject(external_program_named),
    Subject(sdk_keys),
    Subject(oidc_token),
    Subject(ca_bundle),
    Subject(password_file, possible=is_for_its_owner),
    Subject(program, below_tmp=False),
    Subject(script_of_an_interpreter, below_tmp=False),
    Subject(hook_script, below_tmp=False),
    Subject(state_directory),
    Subject(state_not_made_yet, possible=is_new),
    Subject(state_subfolder, below_tmp=False, by_link=False),
    Subject(state_record, by_link=False, possible=is_in_roots_folder),
    Subject(changes_log),
    Subject(recording),
    Subject(freeze_marker),
    Subject(moment_to_skip_until),
)
# What each of them is refused with: the user's error or the adapter's own.
REFUSALS = (SnapSelfError, PermissionError)


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.use.__name__)
def test_place_is_used_by_root_as_the_table_says(base: Path, subject: Subject) -> None:
    wrong: list[tuple[Place, Exception | None]] = []
    for number, place in enumerate(filter(subject.possible, all_places())):
        usable = place.usable(below_tmp=subject.below_tmp, by_link=subject.by_link)
        own = base / str(number)
        own.mkdir()
        try:
            subject.use(own, place)
        except REFUSALS as error:
            if usable:
                wrong.append((place, error))
        else:
            if not usable:
                wrong.append((place, None))
        shutil.rmtree(own)
    assert wrong == []


# One place for each trait that is wrong, and one with none.
GOOD = Place()
SOME_PLACES = {
    "good": GOOD,
    "owner": Place(owner=NOBODY),
    "mode": Place(mode=0o666),
    "group": Place(mode=0o660),
    "above": Place(above=(NOBODY, 0o755)),
    "link": Place(link=NOBODY),
}
each_place = pytest.mark.parametrize("place", SOME_PLACES.values(), ids=SOME_PLACES)


def judged(result: AgentResult, place: Place, *, status: int, code: str) -> None:
    """Check that the agent refused just what is wrong, and said what mends it."""
    error = result.json.get("error") or {"code": ""}
    if place is GOOD:
        assert error["code"] != code
        return
    assert (result.status, error["code"]) == (status, code)
    assert ("chown" in error["hint"]) == (place.mode == GOOD.mode), error
    assert ("chmod go-w" in error["hint"]) == (place.mode != GOOD.mode), error


@each_place
@pytest.mark.parametrize("name", ["config.toml", "conf.d/x.toml"])
def test_agent_when_the_configuration_is_anothers_then_names_what_mends_it(
    agent: AgentRunner, simulator: Simulator, base: Path, place: Place, name: str
) -> None:
    own = ("unshare", "-m", "sh", "-c", OWN_ETC, "sh", str(base / "etc"))
    folder = base / "etc/snap-self"
    folder.joinpath(name).parent.mkdir(parents=True)
    path = lay(place, base, "x.toml", '[snapshot]\nkeep = "1d"\n')
    folder.joinpath(name).symlink_to(path)
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("/etc cannot be overlaid here")
    result = agent.against(simulator).with_wrapper(*own).run("list", "--json")
    message = (result.json["error"] or {"message": ""})["message"]
    assert ("mend it with: ch" in message) == (place is not GOOD)
    assert (result.status == 3) == (place is not GOOD)


@each_place
@pytest.mark.parametrize("kind", ["AK", "External", "ini"])
def test_agent_when_a_file_of_keys_is_anothers_then_ends_with_status_five(
    agent: AgentRunner, simulator: Simulator, base: Path, place: Place, kind: str
) -> None:
    command = f"/usr/bin/touch {base}/ran"
    profile = {"name": "p", "mode": "External", "process_command": command}
    external = json.dumps({"current": "p", "profiles": [profile]})
    content = {"AK": AK, "External": external, "ini": INI}[kind]
    path = lay(place, base, "keys", content)
    variable = "CREDENTIALS_FILE" if kind == "ini" else "CONFIG_FILE"
    runner = agent.against(simulator).with_env(**{f"ALIBABA_CLOUD_{variable}": str(path)})
    result = runner.run("list", "--json")
    assert (base / "ran").exists() == (kind == "External" and place is GOOD)
    assert result.status == 5  # the cloud does not know the good one's keys
    assert ("is not used: " in result.json["error"]["message"]) == (place is not GOOD)
    if place is not GOOD:
        judged(result, place, status=5, code="credentials-unusable")


@each_place
def test_agent_when_the_state_directory_is_anothers_then_makes_nothing_in_it(
    agent: AgentRunner, simulator: Simulator, base: Path, place: Place
) -> None:
    path = lay(place, base, "state", None)
    runner = agent.against(simulator).with_env(SNAP_SELF_STATE_DIR=str(path))
    result = runner.run("--before", "x", "--json")
    judged(result, place, status=4, code="state-unusable")
    assert bool(list(path.iterdir())) == (place is GOOD)


@each_place
def test_agent_when_a_bundle_of_authorities_is_anothers_then_trusts_none_of_them(
    agent: AgentRunner, simulator: Simulator, base: Path, place: Place
) -> None:
    path = lay(place, base, "ca.pem", "")
    runner = agent.against(simulator).with_env(SNAP_SELF_NETWORK_CA_BUNDLE=str(path))
    judged(runner.run("list", "--json"), place, status=3, code="config-invalid")


@each_place
def test_agent_when_the_folder_of_a_recording_is_anothers_then_writes_none(
    agent: AgentRunner, simulator: Simulator, base: Path, place: Place
) -> None:
    path = lay(place, base, "recording", None)
    victim = base / "victim"
    victim.write_text("keep")
    (path / "machine.json").symlink_to(victim)
    result = agent.against(simulator).run("doctor", "--json", "--record", str(path))
    judged(result, place, status=2, code="usage")
    assert victim.read_text() == "keep"
    assert (path / "machine.json").is_symlink() == (place is not GOOD)


def test_agent_when_home_is_anothers_then_says_so_and_runs_nothing(
    agent: AgentRunner, simulator: Simulator, base: Path
) -> None:
    profile = {"name": "p", "mode": "External", "process_command": f"/usr/bin/touch {base}/ran"}
    folder = base / "home/.aliyun"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"current": "p", "profiles": [profile]}))
    for path in (base / "home", folder, folder / "config.json"):
        os.chown(path, NOBODY, NOBODY)
    runner = agent.against(simulator).with_env(HOME=str(base / "home"))
    result = runner.run("plan", "--before", "x", "--json")
    assert (result.status, result.json["error"]["code"]) == (5, "credentials-unusable")
    assert f"HOME is {base}/home, which is not root's own" in result.json["error"]["hint"]
    doctor = runner.run("doctor", "--json")
    assert "is not used: " in doctor.out
    assert not (base / "ran").exists()


def unhindered_doctor(runner: AgentRunner) -> AgentResult:
    """Have the doctor look while no run of another test holds the machine's lock."""
    end = time.monotonic() + 60
    while True:
        doctor = runner.run("doctor", "--json")
        (journal,) = (each for each in doctor.json["checks"] if each["check"] == "journal")
        if journal["verdict"] != "warn":
            return doctor
        assert time.monotonic() < end, doctor.out


def test_list_when_the_state_directory_is_anothers_then_still_lists_and_says_so(
    agent: AgentRunner, simulator: Simulator, base: Path
) -> None:
    path = lay(Place(owner=NOBODY), base, "state", None)
    runner = agent.against(simulator).with_env(SNAP_SELF_STATE_DIR=str(path))
    why = f"{path} belongs to user id {NOBODY}, not to root"

    def told() -> bool:
        result = runner.run("list", "--json")
        assert result.status == 0
        return why in result.out

    wait_until(told)  # it leaves the journal alone while a run of another test goes on
    doctor = unhindered_doctor(runner)
    assert why in doctor.out
    assert f"chown root {path}" in doctor.out
    assert list(path.iterdir()) == []


def test_other_users_judge_nothing_of_their_own(base: Path) -> None:
    base.chmod(0o755)
    path = lay(Place(owner=NOBODY, mode=0o666, above=(NOBODY, 0o777)), base, "config.json", AK)
    os.seteuid(NOBODY)
    try:
        keys(cli_config.look, "ALIBABA_CLOUD_CONFIG_FILE", path)
        with pytest.raises(StateUnusable, match="may be written by everybody"):
            Journal(path.parent).save(run_record())
    finally:
        os.seteuid(0)


def test_lock_file_with_a_second_name_is_not_written_to(
    agent: AgentRunner, simulator: Simulator, base: Path
) -> None:
    state = base / "state"
    state.mkdir(mode=0o700)
    (base / "victim").write_text("keep")
    os.link(base / "victim", state / "lock")
    runner = agent.against(simulator).with_env(SNAP_SELF_STATE_DIR=str(state))
    result = runner.run("--before", "x", "--json")
    assert (result.status, result.json["error"]["code"]) == (4, "state-unusable")
    assert "has a second name elsewhere" in result.json["error"]["message"]
    assert (base / "victim").read_text() == "keep"


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_what_a_program_of_a_users_serves_is_that_users_whatever_it_says(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    with lying(place, user=65534):
        status = (place / "config.json").stat()
        found = distrust(str(place / "config.json"))
    assert (status.st_uid, status.st_mode) == (0, 0o100600)
    assert found is not None
    assert found.why == f"{place} belongs to user id 65534, not to root"


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_what_a_program_of_roots_serves_may_be_trusted(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    with lying(place, user=0):
        assert distrust(str(place / "config.json")) is None


@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="needs /dev/fuse")
def test_install_scripts_run_nothing_that_a_program_of_a_users_serves(tmp_path: Path) -> None:
    place = tmp_path / "home"
    place.mkdir()
    script = f'PROGRAM=x; . {CHECKOUT}/packaging/setup.sh; may_trust 0 "$1" sticky'
    with lying(place, user=65534):
        done = subprocess.run(
            ["sh", "-c", script, "sh", f"{place}/config.json"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert (done.returncode, done.stdout) == (
        1,
        f"{place} is served by a program (FUSE), which may say that it is root's\n",
    )
