"""What hooks keep between calls, and what is not believed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snap_self.model.manager_facts import Kept
from snap_self.model.manager_settings import ManagerSettings, parse_settings, settings_text
from snap_self.model.packages import UPGRADE, Package, Transaction
from snap_self.system.managers.state import MAX_KEPT, ManagerState

CHANGE = Transaction("apt", [Package("libc6", UPGRADE, arch="amd64", old="1", new="2")])
WORDS = st.text(alphabet=st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1)
GLOBS = st.lists(WORDS.map(lambda word: word.replace("\u0085", "")), max_size=4).map(tuple)


@pytest.fixture
def state(tmp_path: Path) -> ManagerState:
    return ManagerState(
        f"{tmp_path}/run", config=f"{tmp_path}/etc", limit_file=f"{tmp_path}/hook-limit"
    )


def configure(tmp_path: Path, name: str = "config.toml", text: str = "") -> Path:
    path = tmp_path / "etc" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def same(one: ManagerSettings | None, other: ManagerSettings) -> bool:
    return one is not None and settings_text(one) == settings_text(other)


def test_machine_without_a_configuration_has_no_signature(state: ManagerState) -> None:
    assert state.signature() == ""


def test_signature_changes_with_every_file(tmp_path: Path, state: ManagerState) -> None:
    seen = {state.signature()}
    configure(tmp_path)
    seen.add(state.signature())
    extra = configure(tmp_path, "conf.d/a.toml", "a")
    seen.add(state.signature())
    extra.write_text("bb", encoding="utf-8")
    seen.add(state.signature())
    extra.chmod(0o600)
    seen.add(state.signature())
    extra.unlink()
    configure(tmp_path, "conf.d/ignored", "a")
    assert len(seen) == 5
    assert state.signature() in seen


def test_settings_are_read_back_for_their_signature_only(state: ManagerState) -> None:
    kept = ManagerSettings(risky=("a*", "b=c"), on_failure={"apt": "abort"}, reuse_s=None)
    state.keep_settings("one", kept)
    assert same(state.read_settings("one"), kept)
    assert state.read_settings("two") is None


@given(risky=GLOBS, always=GLOBS, threshold=st.integers(0), reuse_s=st.none() | st.integers(1))
def test_any_settings_survive_as_text(
    risky: tuple[str, ...], always: tuple[str, ...], threshold: int, reuse_s: int | None
) -> None:
    one = ManagerSettings(
        risky=tuple(filter(None, risky)),
        always=tuple(filter(None, always)),
        threshold=threshold,
        reuse_s=reuse_s,
        enabled=(),
        metadata_named=True,
    )
    assert same(parse_settings(settings_text(one)), one)


@given(st.integers(min_value=0, max_value=400))
def test_settings_cut_off_are_not_believed(end: int) -> None:
    text = settings_text(ManagerSettings(risky=("a",)))
    if end < len(text) - 1:
        assert parse_settings(text[:end]) is None


def test_limit_is_told_to_the_guard_with_some_to_spare(tmp_path: Path, state: ManagerState) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root tells the guard")
    state.keep_settings("one", ManagerSettings(limit_s=300))
    limit = tmp_path / "hook-limit"
    assert (limit.read_text(), limit.stat().st_mode & 0o777) == ("305\n305\n", 0o644)


def test_calls_are_kept_in_order_and_not_without_end(state: ManagerState) -> None:
    for number in range(MAX_KEPT + 5):
        state.keep(Kept(f"{number}:1", 1.5, run_id="r", took_s=2.25, text="a\tb\nc\0"))
    kept = state.kept()
    assert len(kept) == MAX_KEPT
    assert (kept[-1].key, kept[-1].at, kept[-1].took_s) == (f"{MAX_KEPT + 4}:1", 1.5, 2.2)
    assert kept[-1].text == "a b c "


def test_folder_of_the_state_is_private(tmp_path: Path, state: ManagerState) -> None:
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    assert (tmp_path / "run/hooks").stat().st_mode & 0o777 == 0o700
    assert [path.name for path in (tmp_path / "run/hooks").iterdir()] == ["calls"]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o770])
def test_folder_that_others_may_enter_is_not_believed(
    tmp_path: Path, state: ManagerState, mode: int
) -> None:
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    (tmp_path / "run/hooks").chmod(mode)
    assert state.kept() == []
    state.keep(Kept("2:1", 1.0, run_id="r", took_s=1.0, text=""))
    (tmp_path / "run/hooks").chmod(0o700)
    assert [one.key for one in state.kept()] == ["1:1"]


def test_link_in_the_folders_place_is_not_followed(tmp_path: Path, state: ManagerState) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/hooks").symlink_to(tmp_path / "elsewhere")
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@given(junk=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_content_of_the_state_is_read_without_a_fault(
    tmp_path: Path, state: ManagerState, junk: bytes
) -> None:
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    (tmp_path / "run/hooks/calls").write_bytes(junk)
    (tmp_path / "run/hooks/settings").write_bytes(b"one\n" + junk)
    assert all(one.key for one in state.kept() if one.key)
    assert state.read_settings("two") is None
    state.read_settings("one")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("4102444800", 4102444800.0),
        ("2100-01-01T00:00:00Z\n", 4102444800.0),
        ("2100-01-01T08:00:00+08:00", 4102444800.0),
        ("tomorrow", 0.0),
        ("", 0.0),
        ("nan", 0.0),
    ],
)
def test_moment_until_which_none_is_wanted(
    tmp_path: Path, state: ManagerState, text: str, moment: float
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/skip-until").write_text(text, encoding="utf-8")
    assert state.skip_until() == moment


def test_moment_that_anybody_may_have_written_is_not_believed(
    tmp_path: Path, state: ManagerState
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/skip-until").write_text("4102444800", encoding="utf-8")
    (tmp_path / "run/skip-until").chmod(0o666)
    assert state.skip_until() == 0.0
    assert ManagerState("/nonexistent").skip_until() == 0.0


def test_moment_is_not_believed_where_others_may_put_a_file_in_its_place(
    tmp_path: Path, state: ManagerState
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/skip-until").write_text("4102444800", encoding="utf-8")
    (tmp_path / "run").chmod(0o777)
    assert state.skip_until() == (0.0 if os.geteuid() == 0 else 4102444800.0)


def test_what_is_kept_is_not_believed_where_others_may_exchange_the_folder(
    tmp_path: Path, state: ManagerState
) -> None:
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    (tmp_path / "run").chmod(0o777)
    assert state.kept() == []
    state.keep(Kept("2:1", 1.0, run_id="r", took_s=1.0, text=""))
    (tmp_path / "run").chmod(0o700)
    assert [one.key for one in state.kept()] == ["1:1"]


def test_limit_is_not_written_where_others_may_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    state = ManagerState(f"{tmp_path}/run", limit_file=f"{tmp_path}/open/hook-limit")
    state.keep_settings("one", ManagerSettings(limit_s=300))
    assert list((tmp_path / "open").iterdir()) == []


@pytest.mark.parametrize("name", ["state", "state/changes"])
def test_log_is_not_written_where_others_may_write_or_a_link_leads(
    tmp_path: Path, state: ManagerState, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    if name == "state":
        (tmp_path / "state").chmod(0o777)
    else:
        (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    state.log(f"{tmp_path}/state", "20261122t220000z-abc123", CHANGE)
    assert not list(tmp_path.glob("**/*.jsonl"))


def test_packages_of_each_change_are_added_to_the_runs_log(
    tmp_path: Path, state: ManagerState
) -> None:
    for _ in range(2):
        state.log(f"{tmp_path}/state", "20261122t220000z-abc123", CHANGE)
    (path,) = (tmp_path / "state/changes").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    first, second = map(json.loads, path.read_text().splitlines())
    # A second may begin between them.
    assert first | {"at": ""} == second | {"at": ""}
    assert first["packages"] == [
        {"name": "libc6", "action": "upgrade", "arch": "amd64", "from": "1", "to": "2"}
    ]


def test_run_that_could_leave_the_folder_is_not_logged(tmp_path: Path, state: ManagerState) -> None:
    for run_id in ("", "../x", "a/b", "."):
        state.log(f"{tmp_path}/state", run_id, CHANGE)
    assert not (tmp_path / "state").exists()


def test_state_that_cannot_be_written_fails_nothing() -> None:
    state = ManagerState("/proc/nowhere", config="/proc/nowhere", limit_file="/proc/nowhere/x")
    state.keep(Kept("1:1", 1.0, run_id="r", took_s=1.0, text=""))
    state.keep_settings("one", ManagerSettings())
    state.log("/proc/nowhere", "r", CHANGE)
    assert state.kept() == []
