"""Every fault of one file or of the whole configuration, each with its place and key."""

from __future__ import annotations

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.config.fault import Fault
from snap_self.config.keys import BY_DOTTED, BY_NAME, KEYS
from snap_self.config.load import FOLDER
from snap_self.errors import ExitStatus
from snap_self.model.trust import Distrust, PathHop, PathKind
from snap_self.usecases.config_check import ConfigChecked, check_config

DRAFT = "conf.d/50-draft.toml"
FAULTY = '[snapshot]\nkeep = "soon"\nkepe = 3\n\n[snapshto]\n'
HOP = PathHop(path="/etc/snap-self/x", kind=PathKind.FILE, mode=0o666, owner=0)
OPEN = Distrust(hop=HOP, why="others can change it", hint="chmod go-w it")


def alone(text: str | bytes | OSError, name: str = DRAFT) -> ConfigChecked:
    """Check one file."""
    return check_config(FakeConfigFiles({name: text}).sources(), FOLDER / name)


def places(faults: tuple[Fault, ...]) -> list[tuple[str, int | None, str]]:
    """Return file, line and key of each."""
    return [
        (each.place.file.rpartition("/")[2] or each.place.word, each.place.line, each.key)
        for each in faults
    ]


def test_every_fault_of_a_file_is_told_with_line_and_key() -> None:
    found = alone(FAULTY)
    name = "50-draft.toml"
    assert places(found.faults) == [
        (name, 2, "snapshot.keep"),
        (name, 3, "snapshot.kepe"),
        (name, 5, "snapshto"),
    ]
    keep = BY_DOTTED["snapshot.keep"]
    assert [each.accepted for each in found.faults] == [keep.accepted, "", ""]
    assert found.fault is not None
    assert found.fault.exit_status is ExitStatus.CONFIG
    assert found.fault.faults == tuple(each.told for each in found.faults)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.dotted)
def test_wrong_value_of_each_key_is_told_as_of_that_key(key: object) -> None:
    known = next(each for each in KEYS if each is key)
    (fault,) = alone(f"[{known.section}]\n{known.name} = 2026-01-01\n").faults
    told = (fault.key, fault.accepted, fault.place.line)
    assert told == (known.dotted, known.accepted, 2)


@pytest.mark.parametrize(
    ("text", "line"),
    [("[snapshot]\nkeep =\n", 2), (b"[snapshot]\n# \xff\n", 2), ('a = "', 1), ("snapshot = 1", 1)],
)
def test_file_that_cannot_be_understood_is_told_with_its_line(text: str | bytes, line: int) -> None:
    (fault,) = alone(text).faults
    assert (fault.place.line, fault.key) == (line, "")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "none"), PermissionError(13, "denied")])
def test_named_file_that_cannot_be_read_is_a_fault(error: OSError) -> None:
    found = alone(error)
    assert places(found.faults) == [("50-draft.toml", None, "")]
    assert found.files == ()


def test_sound_file_has_no_fault() -> None:
    found = alone('[snapshot]\nkeep = "7d"\n')
    assert (found.faults, found.fault, found.unread) == ((), None, False)
    assert found.files == (str(FOLDER / DRAFT),)


def test_one_file_is_looked_at_without_the_others_and_the_environment() -> None:
    files = FakeConfigFiles({"config.toml": "faulty", DRAFT: ""})
    found = check_config(files.sources({"SNAP_SELF_SNAPSHOT_KEEP": "soon"}), FOLDER / DRAFT)
    assert (found.faults, files.read_names) == ((), [DRAFT])


def test_whole_configuration_is_looked_at_with_the_environment() -> None:
    files = FakeConfigFiles({"config.toml": "[snapshto]\n", DRAFT: '[snapshot]\nkeep = "x"\n'})
    found = check_config(files.sources({"SNAP_SELF_SNAPSHOT_TIMEOUT": "x"}), None)
    assert places(found.faults) == [
        ("config.toml", 1, "snapshto"),
        ("50-draft.toml", 2, "snapshot.keep"),
        ("environment", None, "snapshot.timeout"),
    ]
    assert found.files == (str(FOLDER / "config.toml"), str(FOLDER / DRAFT))


def test_who_may_change_a_file_counts_where_it_is_read_from() -> None:
    files = FakeConfigFiles({DRAFT: ""}, distrusted={DRAFT: [OPEN]})
    (fault,) = check_config(files.sources(), FOLDER / DRAFT).faults
    assert "chmod go-w it" in fault.told


@pytest.mark.parametrize(
    ("name", "unread"),
    [
        ("config.toml", False),
        ("conf.d/50-a.toml", False),
        ("conf.d/50-a.conf", True),
        ("conf.d/.50-a.toml", True),
        ("other.toml", True),
        ("elsewhere/50-a", False),
    ],
)
def test_name_that_nobody_reads_there_is_told(name: str, *, unread: bool) -> None:
    assert alone("", name).unread is unread


def test_draft_elsewhere_may_be_anybodys() -> None:
    name = "elsewhere/50-a"
    files = FakeConfigFiles({name: ""}, distrusted={name: [OPEN]})
    assert check_config(files.sources(), FOLDER / name).faults == ()


def test_nothing_there_is_no_fault() -> None:
    found = check_config(FakeConfigFiles().sources(), None)
    assert (found.files, found.faults, found.alone) == ((), (), False)


def test_key_of_two_variables_is_named_once() -> None:
    key = next(each for each in BY_NAME.values() if each.env)
    env = dict.fromkeys(key.env_names, "x")
    faults = check_config(FakeConfigFiles().sources(env), None).faults
    assert {(each.key, each.place.file) for each in faults} == {(key.dotted, "")}


def test_path_is_told_as_it_was_named() -> None:
    (fault,) = alone("[snapshto]\n").faults
    assert fault.place.file == f"/etc/snap-self/{DRAFT}"
