"""What `diff` shows after real upgrades, from each package manager's own database.

The text is kept in ``golden``; write it anew with ``SNAP_SELF_TEST_GOLDEN=1`` and look at it.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.builders import INSTANCE, NOW, RUN
from fakes.looking import file, link, manifest
from snap_self.errors import ExitStatus
from snap_self.model.looking import DiffReport, Looked
from snap_self.model.manifest import BootFile, Listening, Manifest, Package, User
from snap_self.output.cells import cell_width
from snap_self.output.differences import summary, write_differences
from snap_self.output.streams import make_streams
from snap_self.recovery.differences import compare, marked, notable
from snap_self.system.manifest.packages import parse_dpkg, parse_pacman, parse_rpm
from snap_self.system.usual_changes import usual_changes

GOLDEN = Path(__file__).parent / "golden"


def dpkg(versions: Mapping[str, str], **states: str) -> Mapping[str, Package]:
    """Return what dpkg's status file says; a state is ``want ok status``."""
    return read(
        parse_dpkg(
            "\n".join(
                f"Package: {name.partition(':')[0]}\n"
                f"Status: {states.get(name.partition(':')[0], 'install ok installed')}\n"
                f"Architecture: {name.partition(':')[2] or 'amd64'}\n"
                f"Version: {version}\n"
                f"Description: what {name} is for\n and more of it\n"
                for name, version in versions.items()
            )
        )
    )


def rpm(lines: str) -> Mapping[str, Package]:
    """Return what rpm prints, with blanks for its tabs."""
    return read(parse_rpm(lines.replace(" ", "\t")))


def pacman(versions: Mapping[str, str]) -> Mapping[str, Package]:
    """Return what pacman's database says."""
    found = {}
    for name, version in versions.items():
        found.update(parse_pacman(f"%NAME%\n{name}\n\n%VERSION%\n{version}\n\n%BASE%\n{name}\n"))
    return read(found)


def read(rows: Mapping[str, tuple[str, str, bool, bool]]) -> Mapping[str, Package]:
    return {
        name: Package(version=version, state=state, held=held, automatic=automatic)
        for name, (version, state, held, automatic) in rows.items()
    }


def debian() -> tuple[Manifest, Manifest]:
    """Return Debian 12 before and after an upgrade with a new kernel, before the reboot."""
    many = {f"lib{name}": "1.0-1" for name in ("alpha", "beta", "gamma", "delta")}
    before = manifest(
        manager="dpkg",
        packages=dpkg(
            {
                **many,
                "openssl": "3.0.14-1~deb12u1",
                "libssl3": "3.0.14-1~deb12u1",
                "libssl3:i386": "3.0.14-1~deb12u1",
                "nginx": "1.22.1-9",
                "mariadb-server": "1:10.11.6-0+deb12u1",
                "tzdata:all": "2024a-0+deb12u1",
                "telnet": "0.17+2.4-2",
                "postgresql-15": "15.7-0+deb12u1",
            }
        ),
        files={
            "/etc/ssh/sshd_config": file("a1", size=3223),
            "/etc/nginx/nginx.conf": file("b1"),
            "/etc/shadow": file("c1", mode=0o640, gid=42),
            "/etc/localtime": link("/usr/share/zoneinfo/Etc/UTC"),
            "/etc/ld.so.cache": file("d1"),
            "/etc/telnetd.conf": file("e1"),
        },
        units={"nginx.service": "enabled", "apt-daily.timer": "enabled"},
        kernel={"running": "6.1.0-26-amd64", "default": "6.1.0-26-amd64"},
        boot={"vmlinuz-6.1.0-26-amd64": BootFile(size=1, mtime_ns=1)},
        users={"www-data": User(uid=33, gid=33, shell="/usr/sbin/nologin")},
        groups={"www-data": 33},
        listening=(Listening(proto="tcp", address="0.0.0.0", port=80, program="nginx"),),
        alternatives={"editor": "/bin/nano"},
    )
    after = manifest(
        manager="dpkg",
        packages=dpkg(
            {
                **dict.fromkeys(many, "1.0-2"),
                "openssl": "3.0.15-1~deb12u1",
                "libssl3": "3.0.15-1~deb12u1",
                "libssl3:i386": "3.0.15-1~deb12u1",
                "nginx": "1.22.1-9",
                "mariadb-server": "1:10.11.6-0+deb12u1",
                "tzdata:all": "2024b-0+deb12u1",
                "telnet": "0.17+2.4-2",
                "postgresql-15": "15.10-0+deb12u1",
                "linux-image-6.1.0-28-amd64": "6.1.119-1",
            },
            telnet="deinstall ok config-files",
            nginx="hold ok installed",
            **{"postgresql-15": "install ok half-configured"},
        ),
        files={
            "/etc/ssh/sshd_config": file("a2", size=3300),
            "/etc/ssh/sshd_config.dpkg-dist": file("a3"),
            "/etc/nginx/nginx.conf": file("b1", mode=0o600),
            "/etc/shadow": file("c2", mode=0o640, gid=42),
            "/etc/localtime": link("/usr/share/zoneinfo/Asia/Shanghai"),
            "/etc/ld.so.cache": file("d2"),
        },
        units={"nginx.service": "enabled masked", "foo.service": "enabled"},
        kernel={"running": "6.1.0-26-amd64", "default": "6.1.0-28-amd64"},
        boot={
            "vmlinuz-6.1.0-26-amd64": BootFile(size=1, mtime_ns=1),
            "vmlinuz-6.1.0-28-amd64": BootFile(size=1, mtime_ns=1),
        },
        users={
            "www-data": User(uid=33, gid=33, shell="/bin/bash", groups=("docker",)),
            "foo": User(uid=996, gid=996, shell="/usr/sbin/nologin"),
        },
        groups={"www-data": 33, "foo": 996},
        listening=(Listening(proto="tcp6", address="::", port=8080, program="foo"),),
        alternatives={"editor": "/usr/bin/vim.basic"},
    )
    return before, after


def alibaba_linux() -> tuple[Manifest, Manifest]:
    """Return Alibaba Cloud Linux 3 before and after an update, with a kernel beside the old one."""
    before = manifest(
        manager="rpm",
        packages=rpm(
            "kernel 5.10.134-16.1.al8 x86_64\n"
            "bash 4.4.20-4.al8 x86_64\n"
            "tzdata 2024a-1.al8 noarch\n"
            "gpg-pubkey 873529b8-54e386ff (none)\n"
            "glibc 2.32-1.16.al8 x86_64\n"
            "glibc 2.32-1.16.al8 i686\n"
        ),
        kernel={"running": "5.10.134-16.1.al8.x86_64"},
    )
    after = manifest(
        manager="rpm",
        packages=rpm(
            "kernel 5.10.134-16.1.al8 x86_64\n"
            "kernel 5.10.134-17.2.al8 x86_64\n"
            "bash 4.4.20-5.al8 x86_64\n"
            "tzdata 2024b-1.al8 noarch\n"
            "gpg-pubkey 873529b8-54e386ff (none)\n"
            "glibc 2.32-1.18.al8 x86_64\n"
            "glibc 2.32-1.18.al8 i686\n"
            "jq 1:1.6-17.al8 x86_64\n"
        ),
        kernel={"running": "5.10.134-17.2.al8.x86_64"},
    )
    return before, after


def arch() -> tuple[Manifest, Manifest]:
    """Return Arch Linux before and after a full upgrade."""
    before = manifest(
        manager="pacman",
        packages=pacman({"linux": "6.11.6.arch1-1", "python": "3.12.7-1", "lib32-x": "1:2-1"}),
        files={"/etc/pacman.conf": file("a")},
    )
    after = manifest(
        manager="pacman",
        packages=pacman({"linux": "6.11.9.arch1-1", "python": "3.13.0-1", "zstd": "1.5.6-1"}),
        files={"/etc/pacman.conf": file("a"), "/etc/pacman.conf.pacnew": file("b")},
    )
    return before, after


MACHINES = {"dpkg": debian, "rpm": alibaba_linux, "pacman": arch}


def written(one: Manifest, other: Manifest, *, everything: bool) -> str:
    found = marked(compare(one, other), usual_changes())
    report = DiffReport(
        before=Looked(run_id=RUN, before="os upgrade", instance_id=INSTANCE, taken=NOW),
        after=Looked(run_id=None, before="", instance_id=INSTANCE, taken=NOW),
        differences=found if everything else notable(found),
        everything=everything,
    )
    out, err = io.StringIO(), io.StringIO()
    streams = make_streams(out, err, env={}, verbosity=0, json=False)
    now = NOW + timedelta(days=6)
    write_differences(streams, report, status=ExitStatus.DONE, now=now)
    return f"{summary(notable(found))}\n\n{out.getvalue()}\n{err.getvalue()}"


@pytest.mark.parametrize("everything", [False, True], ids=["screen", "all"])
@pytest.mark.parametrize("manager", MACHINES)
def test_differences_after_an_upgrade_are_as_kept(manager: str, *, everything: bool) -> None:
    path = GOLDEN / f"diff-{manager}{'-all' * everything}.txt"
    text = written(*MACHINES[manager](), everything=everything)
    if os.environ.get("SNAP_SELF_TEST_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
    assert everything or max(map(cell_width, text.split("\n")[1:])) <= 100
