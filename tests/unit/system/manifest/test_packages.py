"""What dpkg, rpm and pacman know, from their own texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from snap_self.system.manifest.packages import (
    RPM_COMMAND,
    manager_of,
    parse_dpkg,
    parse_pacman,
    parse_rpm,
    read_dpkg,
    read_pacman,
    read_rpm,
)
from snap_self.system.manifest.plain_files import Faults

STATUS = """\
Package: openssl
Status: install ok installed
Priority: optional
Architecture: amd64
Version: 3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 Version: 9.9 is no field, as it begins with a blank.
 .
 More.

Package: libc6
Status: hold ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9

Package: libc6
Status: install ok half-configured
Architecture: amd64
Multi-Arch: same
Version: 2.36-10

Package: gone
Status: purge ok not-installed
Architecture: all

Package: removed
Status: deinstall ok config-files
Architecture: all
Version: 1.0
"""
EXTENDED = """\
Package: libc6
Architecture: amd64
Auto-Installed: 1

Package: removed
Architecture: amd64
Auto-Installed: 1

Package: openssl
Architecture: amd64
Auto-Installed: 0
"""


def write(root: Path, path: str, text: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text, "utf-8")


class FakeRpm:
    """Answers as rpm does."""

    def __init__(self, *, status: int = 0, output: str = "", error: OSError | None = None) -> None:
        self.answer = (status, output, "")
        self.error = error
        self.asked: list[Sequence[str]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        assert timeout_s > 0
        self.asked.append(argv)
        if self.error:
            raise self.error
        return self.answer


def test_dpkg_packages_are_told_by_name_and_architecture_with_their_states() -> None:
    assert parse_dpkg(STATUS, EXTENDED) == {
        "openssl:amd64": ("3.0.15-1~deb12u1", "installed", False, False),
        "libc6:i386": ("2.36-9", "installed", True, False),
        "libc6:amd64": ("2.36-10", "half-configured", False, True),
        "removed:all": ("1.0", "config-files", False, True),
    }


def test_dpkg_package_without_a_status_of_three_words_is_left_out() -> None:
    assert parse_dpkg("Package: a\nArchitecture: all\nVersion: 1\n") == {}


def test_last_package_of_a_status_without_a_final_line_end_is_read() -> None:
    text = "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1"
    assert parse_dpkg(text) == {"a:all": ("1", "installed", False, False)}


def test_what_an_interrupted_dpkg_has_not_merged_counts_last(tmp_path: Path) -> None:
    write(tmp_path, "var/lib/dpkg/status", STATUS)
    for number, version in (("0001", "3.0.16"), ("0000", "3.0.15-2"), ("tmp.i", "9")):
        stanza = "Package: openssl\nStatus: install ok unpacked\nArchitecture: amd64\n"
        write(tmp_path, f"var/lib/dpkg/updates/{number}", f"{stanza}Version: {version}\n")
    found = read_dpkg(str(tmp_path), Faults())
    assert found["openssl:amd64"] == ("3.0.16", "unpacked", False, False)


def test_rpm_packages_are_told_with_epoch_and_architecture() -> None:
    rpm = FakeRpm(output="openssl\t1:3.0.7-27.el9\tx86_64\ngpg-pubkey\t8d8b756f\t(none)\n")
    faults = Faults()
    assert read_rpm(rpm, faults) == {
        "openssl.x86_64": ("1:3.0.7-27.el9", "installed", False, False),
        "gpg-pubkey": ("8d8b756f", "installed", False, False),
    }
    assert (rpm.asked, faults.words) == ([RPM_COMMAND], "")


def test_versions_of_one_rpm_beside_each_other_are_joined() -> None:
    lines = [f"kernel-core\t5.14.0-{number}.el9\tx86_64\n" for number in (503, 427)]
    assert parse_rpm("".join(lines))["kernel-core.x86_64"][0] == "5.14.0-427.el9, 5.14.0-503.el9"


def test_line_that_rpm_did_not_end_is_left_out() -> None:
    assert parse_rpm("a\t1\tnoarch\nb\t2") == {"a.noarch": ("1", "installed", False, False)}


@pytest.mark.parametrize(
    ("rpm", "told"),
    [
        (FakeRpm(error=TimeoutError(110, "no answer in time")), "no answer in time"),
        (FakeRpm(error=FileNotFoundError(2, "No such file")), "No such file"),
        (FakeRpm(status=1, output="a\t1\tnoarch\n"), "ended with status 1"),
    ],
    ids=["hangs", "absent", "fails"],
)
def test_rpm_that_gives_no_whole_answer_is_told(rpm: FakeRpm, told: str) -> None:
    faults = Faults()
    found = read_rpm(rpm, faults)
    assert told in faults.words
    assert sorted(found) == (["a.noarch"] if rpm.answer[1] else [])


DESC = (
    "%NAME%\npacman\n\n%VERSION%\n6.1.0-3\n\n%BASE%\npacman\n\n%REASON%\n1\n\n"
    "%DEPENDS%\nbash\nglibc\n"
)


def test_pacman_package_is_told_with_its_reason() -> None:
    assert parse_pacman(DESC) == {"pacman": ("6.1.0-3", "installed", False, True)}


def test_pacman_database_is_read_folder_by_folder(tmp_path: Path) -> None:
    folder = "var/lib/pacman/local"
    write(tmp_path, f"{folder}/pacman-6.1.0-3/desc", DESC)
    write(tmp_path, f"{folder}/pacman-6.1.0-3/files", "%FILES%\n")
    write(tmp_path, f"{folder}/bash-5.2-1/desc", "%NAME%\nbash\n\n%VERSION%\n5.2-1\n")
    write(tmp_path, f"{folder}/half-1-1/desc", "")
    write(tmp_path, f"{folder}/ALPM_DB_VERSION", "9\n")
    assert read_pacman(str(tmp_path), Faults()) == {
        "bash": ("5.2-1", "installed", False, False),
        "pacman": ("6.1.0-3", "installed", False, True),
    }


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        ("var/lib/dpkg/status", "dpkg"),
        ("var/lib/rpm/rpmdb.sqlite", "rpm"),
        ("usr/lib/sysimage/rpm/Packages.db", "rpm"),
        ("var/lib/pacman/local/glibc-2.40-1/desc", "pacman"),
        ("var/lib/pacman/local/ALPM_DB_VERSION", ""),
        ("etc/hosts", ""),
    ],
)
def test_manager_is_the_one_that_has_a_database(tmp_path: Path, path: str, manager: str) -> None:
    write(tmp_path, path, "x\n")
    assert manager_of(str(tmp_path)) == manager


def test_machine_with_rpms_and_an_empty_dpkg_is_one_with_rpms(tmp_path: Path) -> None:
    write(tmp_path, "var/lib/dpkg/status", "")
    write(tmp_path, "var/lib/rpm/Packages", "x")
    assert manager_of(str(tmp_path)) == "rpm"


def test_machine_with_packages_of_pacman_is_one_of_pacman_though_rpm_has_a_database(
    tmp_path: Path,
) -> None:
    write(tmp_path, "var/lib/rpm/rpmdb.sqlite", "none of it is a package")
    write(tmp_path, "var/lib/pacman/local/ALPM_DB_VERSION", "9\n")
    assert manager_of(str(tmp_path)) == "rpm"
    write(tmp_path, "var/lib/pacman/local/glibc-2.40-1/desc", "%NAME%\nglibc\n")
    assert manager_of(str(tmp_path)) == "pacman"
