"""The way to a file, resolved as the kernel resolves it; the twin in memory says the same."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from fakes.hooks import FakeHookFiles
from snap_self.model.trust import PathHop, PathKind
from snap_self.ports import HookFiles
from snap_self.system.hooks.files import SystemHookFiles


@pytest.fixture
def real() -> SystemHookFiles:
    """Return the adapter."""
    return SystemHookFiles()


@pytest.fixture(params=["real", "fake"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> HookFiles:
    """Return the adapter or its twin, both with one folder and one script of mode 0640 in it."""
    (tmp_path / "script").write_text("text")
    (tmp_path / "script").chmod(0o640)
    if request.param == "real":
        return SystemHookFiles()
    path = str(tmp_path / "script")
    return FakeHookFiles(modes={path: 0o640}, texts={path: "text"}, folders={str(tmp_path)})


def test_way_leads_from_the_root_over_every_folder_to_the_file(
    files: HookFiles, tmp_path: Path
) -> None:
    hops = files.walk(f"{tmp_path}/script")
    parents = [str(each) for each in reversed((tmp_path / "script").parents)]
    assert [hop.path for hop in hops] == [*parents, f"{tmp_path}/script"]
    assert {hop.kind for hop in hops[:-1]} == {PathKind.FOLDER}
    assert (hops[-1].kind, hops[-1].mode) == (PathKind.FILE, 0o640)


def test_names_and_text_are_given_and_what_is_missing_is_an_error(
    files: HookFiles, tmp_path: Path
) -> None:
    assert list(files.names(str(tmp_path))) == ["script"]
    assert files.read(f"{tmp_path}/script") == "text"
    for look in (files.walk, files.read, files.names):
        with pytest.raises(FileNotFoundError):
            look(f"{tmp_path}/missing")


def paths(hops: object) -> list[str]:
    """Return the paths of a way."""
    assert isinstance(hops, list)
    return [hop.path for hop in hops if isinstance(hop, PathHop)]


def test_links_and_every_folder_they_lead_over_are_on_the_way(
    real: SystemHookFiles, tmp_path: Path
) -> None:
    (tmp_path / "far/away").mkdir(parents=True)
    (tmp_path / "far/away/script").write_text("")
    (tmp_path / "near").mkdir()
    (tmp_path / "near/back").symlink_to("../far")
    (tmp_path / "script").symlink_to(f"{tmp_path}/near/back/away/script")
    found = paths(real.walk(f"{tmp_path}/script"))
    wanted = ["script", "near", "near/back", "far", "far/away", "far/away/script"]
    assert found[-1] == f"{tmp_path}/far/away/script"
    assert {f"{tmp_path}/{name}" for name in wanted} <= set(found)


def test_dots_are_followed_from_where_a_link_leads(real: SystemHookFiles, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/script").write_text("")
    (tmp_path / "link").symlink_to("a/b")
    assert paths(real.walk(f"{tmp_path}/link/./../script"))[-1] == f"{tmp_path}/a/script"


def test_way_that_ends_on_a_folder_above_ends_with_that_folder(
    real: SystemHookFiles, tmp_path: Path
) -> None:
    (tmp_path / "up").symlink_to("..")
    end = real.walk(f"{tmp_path}/up")[-1]
    assert (end.path, end.kind) == (str(tmp_path.parent), PathKind.FOLDER)


def test_links_in_a_circle_are_an_error(real: SystemHookFiles, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError) as caught:
        real.walk(f"{tmp_path}/a")
    assert caught.value.errno == errno.ELOOP


def test_pipe_is_neither_file_nor_folder(real: SystemHookFiles, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert real.walk(f"{tmp_path}/pipe")[-1].kind is PathKind.OTHER
