"""The list of what changes by itself: data that is read, and never hides what people change."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.looking import file, manifest
from snap_self.model.differences import Part
from snap_self.model.manifest import Listening
from snap_self.recovery.differences import compare, marked
from snap_self.system.usual_changes import usual_changes


def usual(path: str) -> bool:
    found = marked(compare(manifest(), manifest(files={path: file()})), usual_changes())
    return found.files[0].usual


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/mtab", "/etc/ld.so.cache", "/etc/resolv.conf", "/etc/adjtime", "/etc/.pwd.lock"),
        *("/etc/passwd-", "/etc/shadow-", "/etc/udev/hwdb.bin", "/etc/lvm/backup/vg0"),
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    ],
)
def test_what_changes_by_itself_is_usual(path: str) -> None:
    assert usual(path)


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "/etc/shadow", "/etc/fstab", "/etc/ssh/sshd_config", "/etc/ld.so.conf"),
        *("/etc/hosts", "/etc/resolvconf/resolv.conf.d/head", "/etc/lvm/lvm.conf", "/etc/crontab"),
        *("/etc/selinux/config", "/etc/systemd/resolved.conf", "/etc/cups/cupsd.conf"),
    ],
)
def test_what_people_change_is_never_usual(path: str) -> None:
    assert not usual(path)


@pytest.mark.parametrize(
    ("proto", "address", "port", "hidden"),
    [
        ("tcp", "127.0.0.1", 32768, True),
        ("tcp", "127.0.0.1", 45885, True),
        ("tcp6", "::1", 59999, True),
        ("tcp", "127.0.0.1", 3306, False),
        ("tcp", "127.0.0.1", 30080, False),
        ("tcp", "0.0.0.0", 45885, False),
        ("tcp6", "::", 45885, False),
    ],
)
def test_port_that_the_kernel_chose_for_this_machine_alone_is_usual(
    proto: str, address: str, port: int, *, hidden: bool
) -> None:
    socket = Listening(proto=proto, address=address, port=port, program="x")
    found = marked(compare(manifest(), manifest(listening=(socket,))), usual_changes())
    assert found.listening[0].usual is hidden


def test_list_that_is_not_there_hides_nothing(tmp_path: Path) -> None:
    assert usual_changes(tmp_path / "none") == {}


def test_remarks_and_empty_lines_are_no_patterns(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# files /etc/a\n\nfiles /etc/b\n  files  /etc/c  \n")
    assert usual_changes(tmp_path / "list") == {Part.FILES: ("/etc/b", "/etc/c")}
