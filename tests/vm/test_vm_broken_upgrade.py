"""An upgrade after which the machine does not boot, and the way back that ``show`` prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import guest_image
import pytest
from guest_agent import NoAnswer
from guest_driver import BOOT_LIMIT_S, Disk, Guest, Operator, wait_until
from guest_packages import Package
from guest_prepared import Begin, Saved

pytestmark = [pytest.mark.vm, pytest.mark.slow]

LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
GRUB_CFG = "/boot/grub/grub.cfg"
DATA = "/srv/data/file"
IN_PLACE = "Roll back in place"
COMMAND = "aliyun ecs "
WAIT_LIMIT_S = 180.0


# It lacks the C library itself; dpkg removes what the old version had and the new one has not.
C_LIBRARY = Package(
    name="libc6",
    version="2.36-9+deb12u99",
    fields={"Architecture": "amd64", "Multi-Arch": "same"},
    files={DATA: b"ruined\n"},
)
# Its configuration asks for a root filesystem that there is not.
BOOT_LOADER = Package(
    name="grub-common",
    version="2.12-99",
    fields={"Architecture": "amd64"},
    files={DATA: b"ruined\n", GRUB_CFG: guest_image.GRUB_CFG.replace("ec50", "dead").encode()},
)


@pytest.mark.parametrize(
    ("upgrade", "dead"),
    [
        pytest.param(C_LIBRARY, "Kernel panic", id="c-library"),
        pytest.param(BOOT_LOADER, "no such device", id="boot-loader", marks=pytest.mark.long),
    ],
)
def test_upgrade_that_ruined_the_machine_is_undone_by_the_way_that_show_prints(
    agent_guest: Saved, begin: Begin, story_folder: Path, upgrade: Package, dead: str
) -> None:
    guest = begin(agent_guest, Disk(bus="nvme"))
    guest.do(
        "mkfs.ext4 -q -L data /dev/nvme0n1 && mkdir /srv/data && mount /dev/nvme0n1 /srv/data"
        " && echo '/dev/disk/by-label/data /srv/data ext4 defaults 0 2' >>/etc/fstab"
        f" && echo precious >{DATA}"
    )
    built = upgrade.build(story_folder)
    guest.copy_in(built, "/root")
    whole = what_counts(guest)

    guest.run(f"apt-get install -y --allow-downgrades /root/{built.name}", timeout_s=400)

    if upgrade is C_LIBRARY:
        with pytest.raises(NoAnswer, match="No such file or directory"):
            guest.program("/bin/true")
    assert guest.read(DATA) == "ruined\n"
    listed = guest.program("/usr/bin/snap-self", "list", "--json").checked().json
    made = [shot for shot in listed["snapshots"] if upgrade.name in shot["before"]]
    assert {shot["disk_id"] for shot in made} == set(guest.disk_ids)
    shown = guest.program("/usr/bin/snap-self", "show", made[0]["snapshot_id"]).checked()
    guest.crash()
    guest.begin_start()
    wait_until(lambda: dead in guest.console_text(), dead, limit_s=BOOT_LIMIT_S)

    follow(guest.operator, shown.out)

    guest.wait_until_up()
    assert what_counts(guest) == whole
    assert guest.do("systemctl --failed --no-legend") == ""
    again = guest.run("snap-self list --json").checked().json
    ids = {shot["snapshot_id"] for shot in made}
    assert ids <= {shot["snapshot_id"] for shot in again["snapshots"]}


def what_counts(guest: Guest) -> str:
    """Return the state of what the upgrade ruins, and of the machine's packages."""
    return guest.do(f"sha256sum {LIBC} {GRUB_CFG} && cat {DATA} && dpkg-query -W && dpkg --audit")


def follow(operator: Operator, shown: str) -> None:
    """Do what the first way back says, each command as it is printed, with its ``until``."""
    for line in commands(shown):
        command, _, until = line.partition("   # until ")
        words = shlex.split(command)[2:]
        named = zip(words[1::2], words[2::2], strict=True)
        call = partial(operator.call, words[0], **{n.removeprefix("--"): text for n, text in named})
        if until:
            wait_until(partial(is_over, call, words[0], until), line, limit_s=WAIT_LIMIT_S)
        else:
            call()


def is_over(call: Callable[[], Any], action: str, until: str) -> bool:
    """Ask once and tell whether what is waited for is there."""
    kind = action.removeprefix("Describe")
    found = {entry["Status"] for entry in call()[kind][kind[:-1]]}
    if until.startswith("no Status is "):
        return until.removeprefix("no Status is ") not in found
    return found == {until.removeprefix("Status is ")}


def commands(shown: str) -> Iterator[str]:
    """Return the commands of the way that is titled so, as printed."""
    way = shown[shown.index(IN_PLACE) :].partition("\n\n")[0]
    return (line.strip() for line in way.splitlines() if line.strip().startswith(COMMAND))
