"""Bringing files back in a real guest, with its own udev, systemd, LVM, md, apt and terminal.

The role has the policies that ``snap-self policy`` prints there, and no other rights.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from guest_copies import LIMIT_S, left
from guest_looking_back import Shell, allow, in_order, refused
from guest_packages import repack, serve
from guest_prepared import Begin, Saved

from agent_runner import CHECKOUT

pytestmark = [pytest.mark.vm, pytest.mark.slow]

SSHD = "/etc/ssh/sshd_config"
# An emulated processor is some twenty times slower than a real one.
SETTINGS = '[package_managers]\nlimit = "5m"\n'
# The last cipher is long gone; a server that reads this does not start.
HARDENED = """\
Include /etc/ssh/sshd_config.d/*.conf
Ciphers aes256-gcm@openssh.com,aes256-ctr,arcfour256
PermitRootLogin prohibit-password
UsePAM yes
Subsystem sftp /usr/lib/openssh/sftp-server
"""
BROUGHT = "/usr/share/openssh/hardened"
# Debian's own keeps that file from dpkg, too, and writes it in its script.
OVERWRITTEN = f"""\
#!/bin/sh
set -e
cp {BROUGHT} {SSHD}
deb-systemd-invoke restart ssh.service >/dev/null || true
"""


def test_configuration_that_an_upgrade_overwrote_comes_back_and_its_service_runs(
    agent_guest: Saved, begin: Begin, story_folder: Path
) -> None:
    guest = begin(agent_guest)
    guest.write("/etc/snap-self/conf.d/50-own.toml", SETTINGS)
    repack(
        guest,
        "openssh-server",
        version="1:9.2p1-2+deb12u99",
        path=BROUGHT,
        content=HARDENED,
        postinst=OVERWRITTEN,
    )
    serve(guest, story_folder, [])
    allow(guest, "--restore")
    whole = guest.do(f"sha256sum {SSHD} && stat -c '%u %g %a %Y' {SSHD}")

    with guest.console() as console:
        shell = Shell(console)
        installed = shell.give("apt-get install -y openssh-server")
        broken = shell.give("systemctl restart ssh")
        differs = shell.give("snap-self diff last")
        restored = shell.give(
            f"snap-self restore last {SSHD}",
            (r"Make the disk and look\? \[y/N\]", "y"),
            (r"Bring these back\? \[y/N\]", "y"),
        )
        mended = shell.give("systemctl restart ssh && systemctl is-active ssh")
        transcript = shell.transcript

    print("\n".join(transcript))
    assert "snap-self: snapshot made: s-" in installed
    assert "Job for ssh.service failed" in broken
    assert "  changed  ssh/sshd_config" in differs.splitlines()
    assert "Restored 1 file or directory." in restored
    assert "active" in mended.splitlines()
    assert guest.do(f"sha256sum {SSHD} && stat -c '%u %g %a %Y' {SSHD}") == whole
    assert (left(guest), refused(guest)) == ([], [])
    assert in_order(map(nameless, told_in_readme()), map(nameless, transcript)) == []


def told_in_readme() -> list[str]:
    """Return the lines of the transcript in README: some of those of one run of this story."""
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    section = text.partition("\n## Going back\n")[2]
    told = section.partition("\n```\n")[2].partition("\n```\n")[0].splitlines()
    assert "root@guest:~# snap-self diff last" in told
    return told


def nameless(line: str) -> str:
    """Return a line without what differs from run to run: ids, times, sizes."""
    ids = r"\bs-[0-9a-z]{20}\b|\b\d{8}t\d{6}z-?[0-9a-f]{6}\b"
    return re.sub(r"\d+", "0", re.sub(ids, "ID", line))


# What an upgrade may take: the system's Python, and all that other programs would restore with.
BROKEN = (
    *("/usr/bin/python3", "/usr/bin/python3.11", "/usr/lib/python3.11"),
    *("/usr/sbin/e2fsck", "/usr/sbin/mke2fs", "/usr/sbin/tune2fs", "/usr/sbin/dumpe2fs"),
    *("/usr/bin/mount", "/usr/bin/umount", "/usr/sbin/blkid", "/usr/sbin/losetup"),
)
DIGEST = f"tar -c --sort=name -P {' '.join(BROKEN)} | sha256sum"


def test_restore_works_without_the_programs_that_a_broken_upgrade_took(
    agent_guest: Saved, begin: Begin
) -> None:
    guest = begin(agent_guest)
    allow(guest, "--restore")
    made = guest.run("snap-self --before 'os upgrade' --json", timeout_s=LIMIT_S).checked().json
    whole = guest.do(DIGEST)
    guest.do(f"rm -r {' '.join(BROKEN)}")
    for program in ("python3", "rsync", "e2fsck", "mount"):
        assert guest.run(f"command -v {program}").status != 0

    done = guest.run(
        f"snap-self restore {made['run']['id']} {' '.join(BROKEN)} --yes", timeout_s=LIMIT_S
    )

    assert done.status == 0, done.out + done.err
    assert guest.do(DIGEST) == whole
    assert guest.do("python3 -c 'import json; print(json.dumps(1))' && e2fsck -V") == "1\n"
    assert (left(guest), refused(guest)) == ([], [])


def test_restore_is_refused_until_the_role_has_the_policy_that_is_printed_for_it(
    agent_guest: Saved, begin: Begin
) -> None:
    guest = begin(agent_guest)
    allow(guest)
    guest.do("echo then >/root/file && snap-self --before 'a change'", timeout_s=LIMIT_S)
    guest.do("echo now >/root/file")

    refusal = guest.run("snap-self restore last /root/file --yes", timeout_s=LIMIT_S)

    assert refusal.status == 5, refusal.out + refusal.err
    assert "snap-self policy --restore" in refusal.err
    assert (left(guest), refused(guest)) == ([], ["CreateDisk: Forbidden.RAM"])
    allow(guest, "--restore")
    guest.do("snap-self restore last /root/file --yes", timeout_s=LIMIT_S)
    assert guest.do("cat /root/file") == "then\n"
    assert (left(guest), refused(guest)) == ([], ["CreateDisk: Forbidden.RAM"])
