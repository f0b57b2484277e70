"""Where it is written down how a bug came about."""

from __future__ import annotations

from pathlib import Path

import pytest

from snap_self.cli.boundary import write_details
from snap_self.system.state.bug_files import KEPT, write_bug


def test_bug_is_written_to_a_private_file_of_the_state_directory(tmp_path: Path) -> None:
    path = write_bug(tmp_path / "state", "text")
    assert path.parent == tmp_path / "state/bugs"
    assert path.read_text() == "text"
    modes = [each.stat().st_mode & 0o777 for each in (path, path.parent)]
    assert modes == [0o600, 0o700]


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "state/bugs"
    folder.mkdir(parents=True, mode=0o700)
    for number in range(KEPT + 5):
        (folder / f"20200101t0000{number:02}z-1.txt").touch()
    path = write_bug(tmp_path / "state", "text")
    names = sorted(each.name for each in folder.iterdir())
    assert len(names) == KEPT
    assert names[0] == "20200101t000006z-1.txt"
    assert names[-1] == path.name


@pytest.mark.parametrize("wrong", ["mode", "link", "file"])
def test_bug_goes_to_a_temporary_file_where_the_state_cannot_be_used(
    tmp_path: Path, wrong: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if wrong == "mode":
        state.chmod(0o777)
    elif wrong == "link":
        (state / "bugs").symlink_to(tmp_path)
    else:
        (state / "bugs").touch()
    path = write_bug(state, "text", elsewhere=str(tmp_path))
    assert path.parent == tmp_path
    assert path.name.startswith("snap-self-bug-")
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_dropped_where_a_link_of_a_users_leads(tmp_path: Path) -> None:
    others, state = tmp_path / "others", tmp_path / "state"
    for folder in (others, state):
        folder.mkdir()
    for number in range(KEPT + 5):
        (others / f"file{number}").touch()
    (state / "bugs").symlink_to(others)
    write_bug(state, "text", elsewhere=str(tmp_path))
    assert len(list(others.iterdir())) == KEPT + 5


def test_details_hold_lines_of_code_but_not_what_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAP_SELF_STATE_DIR", str(tmp_path / "state"))
    secret = "-".join(("hush", "hush"))
    try:
        raise ValueError(secret)
    except ValueError as error:
        said = write_details(error)
    assert Path(said).parent == tmp_path / "state/bugs"
    text = Path(said).read_text()
    assert "raise ValueError(secret)" in text
    assert "builtins.ValueError" in text
    assert secret not in text
