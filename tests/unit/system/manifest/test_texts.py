"""Mounts, accounts, diversions, kernel and sockets, from the texts that tell of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snap_self.system.manifest.accounts import parse_groups, parse_users
from snap_self.system.manifest.diversions import parse_diversions
from snap_self.system.manifest.kernel import default_entry, read_boot, read_kernel
from snap_self.system.manifest.mounts import below, fences, lasting, parse_mounts
from snap_self.system.manifest.plain_files import Faults, Tree, read_file
from snap_self.system.manifest.sockets import address_of, parse_sockets, read_listening

MOUNTS = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
23 22 0:5 / /proc rw,nosuid - proc proc rw
24 22 0:40 / /srv/a\040b rw - nfs4 server:/x\134y rw,vers=4.2
25 22 0:41 / /run/user/0 rw - tmpfs tmpfs rw
26 22 0:42 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
27 22 254:17 / /srv rw - ext4 /dev/vdb1 rw
28 27 254:18 / /srv ro - xfs /dev/vdb2 rw
29 22 0:50 / /etc/auto rw - autofs systemd-1 rw
30 22 0:51 / /empty rw - tmpfs  rw
not a line
"""


def test_mounts_are_told_by_their_point_the_last_one_there() -> None:
    mounts = parse_mounts(MOUNTS)
    assert mounts["/"] == ("/dev/vda1", "ext4", "rw,relatime,errors=remount-ro")
    assert mounts["/srv/a b"] == ("server:/x\\y", "nfs4", "rw,vers=4.2")
    assert mounts["/srv"] == ("/dev/vdb2", "xfs", "ro,rw")


def test_what_the_kernel_sessions_and_containers_mount_is_left_out() -> None:
    assert sorted(lasting(parse_mounts(MOUNTS))) == ["/", "/srv", "/srv/a b"]


def test_root_of_a_container_is_told() -> None:
    assert sorted(lasting({"/": ("overlay", "overlay", "rw")})) == ["/"]


def test_fences_are_the_mounts_that_somebody_else_answers_for() -> None:
    assert sorted(fences(parse_mounts(MOUNTS))) == ["/etc/auto", "/proc", "/srv/a b"]


def test_mounts_below_a_folder_are_told_by_paths_from_there() -> None:
    row = ("a", "b", "c")
    assert below({"/x": row, "/x/y": row, "/xy": row, "/": row}, "/x") == {"/": row, "/y": row}


def test_users_are_told_with_the_groups_that_list_them() -> None:
    passwd = (
        "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\nbad\nx:x:y:0::/:\n"
    )
    group = "root:x:0:\nsudo:x:27:ann,bob\nadm:x:4:ann\n+nis\n"
    assert parse_users(passwd, group) == {
        "root": (0, 0, "/bin/bash", ()),
        "ann": (1000, 1000, "/bin/sh", ("adm", "sudo")),
    }
    assert parse_groups(group) == {"root": 0, "sudo": 27, "adm": 4}


def test_first_line_of_a_name_counts_as_for_the_system() -> None:
    assert parse_users("a:x:1:1::/:/bin/sh\na:x:0:0::/:/bin/sh\n", "")["a"][0] == 1
    assert parse_groups("a:x:1:\na:x:0:\n") == {"a": 1}


def test_diversions_and_overrides_are_told_apart() -> None:
    diversions = "/bin/sh\n/bin/sh.distrib\ndash\n/usr/bin/x\n/usr/bin/x.real\n:\n"
    assert parse_diversions(diversions, "root crontab 2755 /usr/bin/cron tab\n\n") == {
        "/bin/sh": "/bin/sh.distrib",
        "/usr/bin/x": "/usr/bin/x.real",
        "statoverride /usr/bin/cron tab": "root crontab 2755",
    }


def place(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_default_entry_is_the_one_that_grub_saved(tmp_path: Path) -> None:
    place(tmp_path, "boot/grub2/grubenv", "# GRUB\nsaved_entry=abc-5.14.0-503.el9\nx=1\n####")
    (tmp_path / "vmlinuz").symlink_to("boot/vmlinuz-6.1.0-28-amd64")
    assert default_entry(str(tmp_path), Faults()) == "abc-5.14.0-503.el9"


def test_default_entry_of_systemd_boot_is_told(tmp_path: Path) -> None:
    place(tmp_path, "boot/loader/loader.conf", "timeout 3\ndefault  arch.conf\n")
    assert default_entry(str(tmp_path), Faults()) == "arch.conf"


def test_default_entry_is_else_the_kernel_that_the_link_leads_to(tmp_path: Path) -> None:
    place(tmp_path, "boot/grub/grubenv", "# nothing saved\n")
    (tmp_path / "vmlinuz").symlink_to("boot/vmlinuz-6.1.0-28-amd64")
    assert default_entry(str(tmp_path), Faults()) == "vmlinuz-6.1.0-28-amd64"


def test_boot_that_must_not_be_looked_at_is_not(tmp_path: Path) -> None:
    place(tmp_path, "boot/grub/grubenv", "saved_entry=x\n")
    assert default_entry(str(tmp_path), Faults(), boot=False) == ""


def test_running_kernel_is_told_with_its_command_line() -> None:
    found = read_kernel("/nonexistent", Faults(), boot=True)
    assert found["running"] == os.uname().release
    assert "default" not in found


def test_boot_files_are_told_by_size_and_time(tmp_path: Path) -> None:
    place(tmp_path, "boot/grub/grub.cfg", "abc")
    os.utime(tmp_path / "boot/grub/grub.cfg", ns=(1, 7))
    (tmp_path / "boot/vmlinuz").symlink_to("x")
    assert read_boot(Tree(str(tmp_path), fences={}), Faults()) == {"grub/grub.cfg": (3, 7)}


def test_machine_without_boot_has_no_boot_files(tmp_path: Path) -> None:
    faults = Faults()
    assert (read_boot(Tree(str(tmp_path), fences={}), faults), faults.words) == ({}, "")


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0"
TCP = (
    f"{HEAD}   0: 00000000:0016 00000000:0000 0A {REST} 71 1 0\n"
    f"   1: 0100007F:0019 00000000:0000 0A {REST} 72 1 0\n"
    f"   2: 0100007F:C350 0100007F:0019 01 {REST} 73 1 0\n"
)
UDP6 = f"{HEAD}   0: 000080FE00000000FF005450B6AD1DFE:0222 {'0' * 32}:0000 07 {REST} 74 2 0\n"


@pytest.fixture
def processes(tmp_path: Path) -> Path:
    """Return a procfs with a server and its worker, which share a socket."""
    place(tmp_path, "net/tcp", TCP)
    place(tmp_path, "net/udp6", UDP6)
    for pid, name, sockets in ((9, "sshd", (71, 5)), (10, "sshd-worker", (71, 72))):
        place(tmp_path, f"{pid}/comm", f"{name}\n")
        for number, inode in enumerate(sockets):
            (tmp_path / f"{pid}/fd").mkdir(exist_ok=True)
            (tmp_path / f"{pid}/fd/{number}").symlink_to(f"socket:[{inode}]")
    (tmp_path / "9/fd/7").symlink_to("/dev/null")
    return tmp_path


def test_listening_sockets_are_told_with_the_oldest_program(processes: Path) -> None:
    assert read_listening(Faults(), processes=str(processes)) == [
        ("tcp", "0.0.0.0", 22, "sshd"),
        ("tcp", "127.0.0.1", 25, "sshd-worker"),
        ("udp6", "fe80::5054:ff:fe1d:adb6", 546, ""),
    ]


def test_connected_socket_and_one_without_a_port_do_not_listen() -> None:
    table = f"{HEAD}   0: 00000000:0000 00000000:0000 07 {REST} 71 1 0\nshort\n"
    assert list(parse_sockets(table, "07")) == []
    assert [port for _, port, _ in parse_sockets(TCP, "0A")] == [22, 25]


def test_address_is_in_its_usual_notation() -> None:
    assert address_of("0100007F") == "127.0.0.1"
    assert address_of("0" * 32) == "::"
    assert address_of("0000000000000000FFFF00000100007F") == "::ffff:127.0.0.1"


def test_fifo_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "status")
    with pytest.raises(OSError, match="not a regular file"):
        read_file(str(tmp_path / "status"))


def test_faults_of_one_kind_are_told_by_the_first() -> None:
    faults = Faults()
    for name in ("/a", "/b", "/c"):
        faults.met(name, PermissionError(13, "Permission denied"))
    faults.met("/d", FileNotFoundError(2, "gone"))
    faults.add("/e", "too long")
    assert faults.words == "/a and 2 more: Permission denied; /e: too long"
