"""What is looked for in an opened copy: nothing outside of it is ever taken for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.manifests import manifest
from snap_self.model.packed import PackedManifest
from snap_self.system.copied_etc import CopiedFacts
from snap_self.system.manifest.etc_files import digest_of
from snap_self.system.manifest.packing import pack
from snap_self.system.state.manifests import Manifests

RUN = manifest().run_id


@pytest.fixture
def store(tmp_path: Path) -> Manifests:
    return Manifests(tmp_path / "state")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "copy" / "etc" / "ssh").mkdir(parents=True)
    return tmp_path / "copy"


@pytest.fixture
def root(copy: Path) -> Iterator[int]:
    descriptor = os.open(copy, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_files_are_told_by_their_paths_on_the_running_system(
    store: Manifests, copy: Path, root: int
) -> None:
    (copy / "etc" / "ssh" / "config").write_text("a")
    (copy / "etc" / "link").symlink_to("ssh/config")
    found = CopiedFacts(store).etc(root, "etc")
    assert set(found.files) == {"/etc/ssh", "/etc/ssh/config", "/etc/link"}
    assert found.files["/etc/ssh/config"].digest == digest_of(b"a", store.key().key)
    assert found.files["/etc/link"].target == "ssh/config"
    assert found.key_id == store.key().key_id
    assert set(found.changed_ns) == {"/etc", *found.files}
    assert found.changed_ns["/etc/link"] == (copy / "etc" / "link").lstat().st_ctime_ns


def test_filesystem_that_is_etc_itself_is_read_from_its_top(
    store: Manifests, copy: Path, root: int
) -> None:
    (copy / "hosts").write_text("a")
    assert "/etc/hosts" in CopiedFacts(store).etc(root, "").files


def test_histories_are_left_out_as_in_a_manifest(store: Manifests, copy: Path, root: int) -> None:
    (copy / "etc" / ".git").mkdir()
    (copy / "etc" / ".git" / "HEAD").write_text("a")
    assert set(CopiedFacts(store).etc(root, "etc").files) == {"/etc/ssh", "/etc/.git"}


@pytest.mark.parametrize("inside", ["linked", "linked/ssh", "etc/out"])
def test_link_in_the_way_is_never_followed_out_of_the_copy(
    store: Manifests, copy: Path, root: int, inside: str
) -> None:
    (copy / "linked").symlink_to("/etc")
    (copy / "etc" / "out").symlink_to("/")
    with pytest.raises(OSError, match=r"."):
        CopiedFacts(store).etc(root, inside)


def test_etc_that_is_not_there_is_an_error(store: Manifests, root: int) -> None:
    with pytest.raises(FileNotFoundError):
        CopiedFacts(store).etc(root, "nosuch/etc")


@pytest.mark.parametrize(
    ("here", "there", "held"),
    [
        (False, None, None),
        (True, None, False),
        (True, b"other", False),
        (True, b"longer than the same", False),
        (True, "same", True),
    ],
)
def test_manifest_is_held_only_if_every_byte_is_the_same(
    store: Manifests,
    copy: Path,
    root: int,
    here: bool,
    there: bytes | str | None,
    held: bool | None,
) -> None:
    content = pack(manifest())
    if here:
        store.write(PackedManifest(run_id=RUN, content=content))
    folder = copy / "var" / "state" / "manifests"
    folder.mkdir(parents=True)
    if there is not None:
        place = folder / f"{RUN}.json.zz"
        place.write_bytes(there if isinstance(there, bytes) else content)
    assert CopiedFacts(store).holds_manifest(root, "var/state", RUN) is held


def test_manifest_that_is_a_link_is_not_the_one(
    store: Manifests, tmp_path: Path, copy: Path, root: int
) -> None:
    store.write(manifest())
    (copy / "manifests").mkdir()
    name = f"{RUN}.json.zz"
    (copy / "manifests" / name).symlink_to(tmp_path / "state" / "manifests" / name)
    assert CopiedFacts(store).holds_manifest(root, "", RUN) is False
