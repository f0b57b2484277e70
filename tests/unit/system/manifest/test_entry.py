"""The reading process: all parts of a machine, sent one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snap_self.system.manifest import reading
from snap_self.system.manifest.entry import DATA, DONE, MISSING, PARTS, read_machine

Frame = tuple[str, str, Any]
Order = tuple[bytes, str, str]
KEY = b"k" * 32


class NoCommands:
    """Starts nothing."""

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        raise FileNotFoundError(2, f"no {argv[0]} within {timeout_s}")


NO_COMMANDS = NoCommands()


class Rpm:
    """Is an rpm with one package."""

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        del argv, timeout_s
        return 0, "bash\t5.1\tx86_64\n", ""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "etc/hosts": "127.0.0.1 a\n",
        "etc/systemd/system/own.service": "[Service]\n",
        "etc/systemd/journald.conf": "x",
        "var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nArchitecture: all\n"
        "Version: 1\n",
        "var/lib/dpkg/diversions": "/bin/sh\n/bin/sh.distrib\ndash\n",
        "boot/vmlinuz-1": "x",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "etc/alternatives").mkdir()
    (tmp_path / "etc/alternatives/editor").symlink_to("/bin/nano")
    return tmp_path


def frames(order: Order, commands: object = NO_COMMANDS) -> list[Frame]:
    sent: list[Frame] = []
    read_machine(order, commands, lambda *frame: sent.append(frame))  # type: ignore[arg-type]
    return sent


def test_every_part_is_sent_and_ended(root: Path) -> None:
    sent = frames((KEY, str(root), "dpkg"))
    assert [part for kind, part, _ in sent if kind == DONE] == list(PARTS)
    assert [frame for frame in sent if frame[0] == MISSING] == []
    values: dict[str, Any] = {}
    for kind, part, value in sent:
        if kind == DATA and part != "listening":  # of this machine, whatever the root
            name, entries = json.loads(value)
            assert name == part
            values.setdefault(part, {}).update(entries)
    assert values["packages"] == {"a:all": ["1", "installed", False, False]}
    assert values["users"] == {"root": [0, 0, "/bin/sh", []]}
    assert values["units"] == {"own.service": "local"}
    assert values["alternatives"] == {"editor": "/bin/nano"}
    assert values["diversions"] == {"/bin/sh": "/bin/sh.distrib"}
    assert list(values["boot"]) == ["vmlinuz-1"]
    assert {"/etc/hosts", "/etc/systemd/journald.conf", "/etc/alternatives/editor"} <= {
        *values["files"]
    }
    assert "/etc/systemd" in values["files"]


def test_parts_are_those_of_the_manifest() -> None:
    assert sorted(PARTS) == sorted(reading.PARTS)


def test_part_that_cannot_be_read_is_told_and_the_others_are_read(root: Path) -> None:
    (root / "var/lib/dpkg/status").unlink()
    (root / "var/lib/dpkg/status").mkdir()
    sent = frames((KEY, str(root), "dpkg"))
    (missing,) = [frame for frame in sent if frame[0] == MISSING]
    assert missing[1] == "packages"
    assert "not a regular file" in missing[2]
    assert [part for kind, part, _ in sent if kind == DONE] == list(PARTS)


def test_rpm_is_asked_last_as_it_takes_longest(root: Path) -> None:
    sent = frames((KEY, str(root), "rpm"), Rpm())
    assert sent[-1] == (DONE, "packages", "")
    assert json.loads(sent[-2][2]) == [
        "packages",
        {"bash.x86_64": ["5.1", "installed", False, False]},
    ]


def test_machine_without_a_known_manager_has_no_packages(root: Path) -> None:
    sent = frames((KEY, str(root), ""))
    assert [frame for frame in sent if frame[1] == "packages"] == [(DONE, "packages", "")]


def test_empty_machine_lacks_nothing(tmp_path: Path) -> None:
    sent = frames((KEY, str(tmp_path), ""))
    assert [frame for frame in sent if frame[0] == MISSING] == []
