"""/etc by keyed hashes: what is read, what never is, and what its names tell."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.system.manifest.etc_files import (
    HISTORIES,
    LONGEST_READ,
    Row,
    alternatives_of,
    digest_of,
    read_etc,
    units_of,
)
from snap_self.system.manifest.plain_files import Faults, Tree

KEY = b"k" * 32


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder


def read(
    etc: Path, *, key: bytes = KEY, fences: dict[str, str] | None = None, most: int = 1000
) -> tuple[dict[str, Row], str]:
    """Return what is below it, and what is told of what was not read."""
    tree = Tree(str(etc.parent), fences=fences or {}, left_out=HISTORIES, most=most)
    faults, found = Faults(), {}
    for some in read_etc(tree, key, faults):
        found.update(some)
    return found, faults.words


def test_file_is_told_by_mode_owner_size_and_keyed_hash(etc: Path) -> None:
    (etc / "hosts").write_text("127.0.0.1 a\n")
    (etc / "hosts").chmod(0o640)
    found, faults = read(etc)
    mine = (os.geteuid(), (etc / "hosts").stat().st_gid)
    digest = digest_of(b"127.0.0.1 a\n", KEY)
    assert found == {"/etc/hosts": (stat.S_IFREG | 0o640, *mine, 12, digest, "")}
    assert faults == ""


def test_digest_hangs_on_the_key_and_the_content() -> None:
    digests = {digest_of(content, key) for content in (b"a", b"b") for key in (KEY, b"other")}
    assert len(digests) == 4


def test_nothing_is_hashed_without_a_key(etc: Path) -> None:
    (etc / "hosts").write_text("x")
    assert read(etc, key=b"")[0]["/etc/hosts"][3:] == (1, "", "")


def test_link_is_told_by_its_target_and_not_followed(etc: Path) -> None:
    (etc.parent / "elsewhere").mkdir()
    (etc.parent / "elsewhere/secret").write_text("x")
    (etc / "folder").symlink_to(etc.parent / "elsewhere")
    (etc / "file").symlink_to("../elsewhere/secret")
    found, _ = read(etc)
    assert sorted(found) == ["/etc/file", "/etc/folder"]
    assert found["/etc/file"][4:] == ("", "../elsewhere/secret")


class Opened:
    """Notes what is opened while it is asked to; such a hook cannot be taken away again."""

    def __init__(self) -> None:
        self.names: list[object] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and self.names is not None:
            self.names.append(arguments[0])


OPENED = Opened()


def test_special_file_is_told_and_never_opened(etc: Path) -> None:
    os.mkfifo(etc / "fifo")
    (etc / "file").touch()
    OPENED.names = opened = []
    try:
        found, faults = read(etc)
    finally:
        OPENED.names = None
    assert stat.S_ISFIFO(found["/etc/fifo"][0])
    assert (found["/etc/fifo"][4], faults) == ("", "")
    assert "fifo" not in opened
    assert "file" in opened


class Outdated(Tree):
    """Tells of every name that it is a regular file: it was, before something took its place."""

    def walk(self, top: str, faults: Faults) -> Iterator[tuple[int, str, str, os.stat_result]]:
        regular = Path(__file__).stat()
        for folder, name, path, _ in super().walk(top, faults):
            yield folder, name, path, regular


def test_fifo_that_took_the_place_of_a_file_is_not_waited_for(etc: Path) -> None:
    os.mkfifo(etc / "name")
    (found,) = read_etc(Outdated(str(etc.parent), fences={}), KEY, Faults())
    assert stat.S_ISFIFO(found["/etc/name"][0])
    assert found["/etc/name"][4] == ""


def test_link_that_took_the_place_of_a_file_is_not_followed(etc: Path) -> None:
    (etc.parent / "secret").write_text("x")
    (etc / "name").symlink_to(etc.parent / "secret")
    (found,) = read_etc(Outdated(str(etc.parent), fences={}), KEY, Faults())
    assert found["/etc/name"][4:] == ("", "")


def test_large_file_is_told_by_its_time_and_not_read(etc: Path) -> None:
    large = etc / "large"
    large.write_bytes(b"x" * (LONGEST_READ + 1))
    os.utime(large, ns=(1, 1_700_000_000_000_000_007))
    (etc / "limit").write_bytes(b"x" * LONGEST_READ)
    found, faults = read(etc)
    assert found["/etc/large"][3:5] == (LONGEST_READ + 1, "mtime:1700000000000000007")
    assert found["/etc/limit"][4] == digest_of(b"x" * LONGEST_READ, KEY)
    assert faults == ""


def test_name_that_is_not_utf8_is_told(etc: Path) -> None:
    (etc / os.fsdecode(b"caf\xe9")).write_text("x")
    assert list(read(etc)[0]) == ["/etc/caf\udce9"]


def test_history_of_etckeeper_is_not_looked_into(etc: Path) -> None:
    (etc / ".git/objects").mkdir(parents=True)
    (etc / "deep/.git").mkdir(parents=True)
    assert sorted(read(etc)[0]) == ["/etc/.git", "/etc/deep", "/etc/deep/.git"]


def test_mount_point_behind_a_fence_is_left_out(etc: Path) -> None:
    (etc / "share/deep").mkdir(parents=True)
    (etc / "after").write_text("x")
    found, faults = read(etc, fences={"/etc/share": "it is a mount of nfs4"})
    assert sorted(found) == ["/etc/after"]
    assert faults == "/etc/share: it is a mount of nfs4"


def test_etc_itself_behind_a_fence_is_not_opened(etc: Path) -> None:
    (etc / "hosts").write_text("x")
    found, faults = read(etc, fences={"/etc": "it is a mount of fuse"})
    assert (found, faults) == ({}, "/etc: it is a mount of fuse")


def test_more_names_than_the_limit_are_told_to_lack(etc: Path) -> None:
    for number in range(5):
        (etc / f"n{number}").touch()
    found, faults = read(etc, most=3)
    assert sorted(found) == ["/etc/n0", "/etc/n1", "/etc/n2"]
    assert faults == "/etc/n3: more than 3 names"


def test_folder_that_leads_deeper_and_deeper_ends(etc: Path) -> None:
    deep = etc
    for _ in range(60):
        deep = deep / "d"
        deep.mkdir()
    found, faults = read(etc)
    assert len(found) == 40
    assert "folders deep" in faults


def test_walk_that_is_left_closes_what_it_opened(etc: Path) -> None:
    (etc / "a/b").mkdir(parents=True)
    (etc / "a/b/c").touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    walk: Iterator[object] = Tree(str(etc.parent), fences={}).walk("/etc", Faults())
    while "/etc/a/b/c" not in next(walk):  # type: ignore[operator]
        pass
    walk.close()  # type: ignore[attr-defined]
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def link(target: str) -> Row:
    return (stat.S_IFLNK | 0o777, 0, 0, len(target), "", target)


def plain(digest: str = "00") -> Row:
    return (stat.S_IFREG | 0o644, 0, 0, 1, digest, "")


def test_units_are_told_from_links_files_and_drop_ins() -> None:
    at = "/etc/systemd/system"
    files = {
        f"{at}/multi-user.target.wants/cron.service": link("/lib/systemd/system/cron.service"),
        f"{at}/tmp.mount": link("/dev/null"),
        f"{at}/sshd.service": link("/lib/systemd/system/ssh.service"),
        f"{at}/own.service": plain(),
        f"{at}/default.target.requires/own.service": link("/etc/systemd/system/own.service"),
        f"{at}/cron.service.d": (stat.S_IFDIR | 0o755, 0, 0, 4096, "", ""),
        f"{at}/cron.service.d/limit.conf": plain("11"),
        f"{at}/cron.service.d/limit.conf.bak": plain("22"),
        "/etc/systemd/system.conf": plain(),
    }
    found = units_of(files, KEY)
    drop_ins = f"drop-ins:{digest_of(b'limit.conf 11', KEY)}"
    assert found == {
        "cron.service": f"{drop_ins} enabled",
        "own.service": "enabled local",
        "sshd.service": "alias:ssh.service",
        "tmp.mount": "masked",
    }


def test_drop_in_that_changes_changes_the_word() -> None:
    path = "/etc/systemd/system/cron.service.d/limit.conf"
    words = [units_of({path: plain(digest)}, KEY)["cron.service"] for digest in ("11", "12", "11")]
    assert words[0] != words[1]
    assert words[0] == words[2]


def test_alternatives_are_told_by_group_and_target() -> None:
    files = {"/etc/alternatives/editor": link("/bin/nano"), "/etc/alternatives/README": plain()}
    assert alternatives_of(files) == {"editor": "/bin/nano"}
