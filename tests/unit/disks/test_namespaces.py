"""Other mount namespaces are looked into only where they mount what is not known yet."""

from __future__ import annotations

import pytest

from fakes.machine_builder import MachineBuilder
from snap_self.disks.namespaces import mount_tables
from snap_self.errors import TopologyError
from snap_self.model.machine import MachineText

OTHER = "4026532215"


def machine_with(path: str, fstype: str, number: str) -> MachineBuilder:
    machine = MachineBuilder()
    machine.mount("/", "ext4", "/dev/vda", number="253:0")
    machine.mount("/proc", "proc", "proc", number="0:5")
    machine.mount("/", "ext4", "/dev/vda", number="253:0", namespace=OTHER)
    machine.mount(path, fstype, "x", number=number, namespace=OTHER)
    return machine


@pytest.mark.parametrize(
    ("fstype", "number", "parsed"),
    [("xfs", "253:16", True), ("nfs4", "0:77", True), ("ext4", "253:0", False),
     ("tmpfs", "0:78", False)],
    ids=["unknown-disk", "network", "known-disk", "pseudo"],
)  # fmt: skip
def test_namespace_is_parsed_only_if_it_adds_something(
    fstype: str, number: str, *, parsed: bool
) -> None:
    tables = mount_tables(machine_with("/x", fstype, number).text())
    assert [table.namespace for table in tables[1:]] == ([int(OTHER)] if parsed else [])


def test_namespace_is_parsed_if_it_leads_to_what_is_hidden_here() -> None:
    machine = machine_with("/data", "xfs", "253:16")
    machine.mount("/data", "xfs", "/dev/vdb", number="253:16")
    assert len(mount_tables(machine.text())) == 1
    machine.mount("/data", "tmpfs", "tmpfs")
    assert len(mount_tables(machine.text())) == 2


def test_missing_own_mounts_are_refused_with_the_reason() -> None:
    failures = {"proc/self/mountinfo": "Permission denied"}
    with pytest.raises(TopologyError, match="Permission denied") as caught:
        mount_tables(MachineText(files={}, links={}, failures=failures))
    assert "/proc" in caught.value.hint
    with pytest.raises(TopologyError, match="it is missing"):
        mount_tables(MachineText(files={}, links={}, failures={}))


@pytest.mark.parametrize(
    ("text", "pid"), [("7\n", 7), ("1234567890\n", 1234567890), ("12345678901\n", None),
                      ("", None), ("x\n", None), ("٧\n", None), (None, None)],
    ids=ascii,
)  # fmt: skip
def test_process_of_a_namespace_is_the_one_that_is_noted(text: str | None, pid: int | None) -> None:
    machine = machine_with("/x", "xfs", "253:16")
    if text is not None:
        machine.files[f"proc/ns/{OTHER}/pid"] = text
    own, other = mount_tables(machine.text())
    assert (own.namespace, own.pid) == (None, None)
    assert (other.namespace, other.pid) == (int(OTHER), pid)
    assert [line.path for line in other.lines] == ["/", "/x"]


@pytest.mark.parametrize("place", ["self", f"ns/{OTHER}"])
def test_line_that_is_none_is_refused_by_the_file_it_stands_in(place: str) -> None:
    text = machine_with("/x", "xfs", "253:16").text()
    files = {**text.files, f"proc/{place}/mountinfo": "36 35 253:16 / /data\n"}
    with pytest.raises(TopologyError, match=f"^/proc/{place}/mountinfo line 1 is"):
        mount_tables(MachineText(files=files, links={}, failures={}))


@pytest.mark.parametrize(
    ("fstype", "source", "parsed"),
    [("tmpfs", "-", False), ("tmpfs", "xfs", False), ("xfs", "tmpfs", True), ("xfs", "-", True)],
)
def test_type_of_a_filesystem_tells_and_not_its_source(
    fstype: str, source: str, *, parsed: bool
) -> None:
    machine = machine_with("/x", "ext4", "253:0")
    machine.mount("/y", fstype, source, number="0:99", namespace=OTHER)
    assert len(mount_tables(machine.text())) == 1 + parsed


def test_what_follows_known_and_pseudo_filesystems_is_seen() -> None:
    machine = machine_with("/x", "tmpfs", "0:78")
    machine.mount("/y", "xfs", "/dev/vdb", number="253:16", namespace=OTHER)
    assert len(mount_tables(machine.text())) == 2


@pytest.mark.parametrize("line", ["", "1", "1 2", "1 2 253:16"])
def test_table_of_a_broken_line_alone_adds_only_what_has_a_number(line: str) -> None:
    text = machine_with("/x", "ext4", "253:0").text()
    files = {**text.files, f"proc/ns/{OTHER}/mountinfo": f"{line}\n"}
    machine = MachineText(files=files, links={}, failures={})
    if line.count(" ") < 2:
        assert len(mount_tables(machine)) == 1
    else:
        with pytest.raises(TopologyError):
            mount_tables(machine)
