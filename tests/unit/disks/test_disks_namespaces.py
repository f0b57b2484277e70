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
    with pytest.raises(TopologyError, match="Permission denied"):
        mount_tables(MachineText(files={}, links={}, failures=failures))
