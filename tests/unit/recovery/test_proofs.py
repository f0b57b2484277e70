"""What /etc of an opened copy proves, beside what its run noted before the cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fakes.builders import NOW
from fakes.looking import cut, file, link, manifest
from snap_self.model.manifest import FileFact, Manifest, Mounted
from snap_self.model.verification import Verdict
from snap_self.model.verified import CopiedEtc, FileProof
from snap_self.recovery.proofs import file_proof

OLD_NS = int((NOW.timestamp() - 3600) * 1e9)
LATER_NS = int((NOW.timestamp() + 5) * 1e9)
FILES = {"/etc/a": file("aa"), "/etc/b": file("bb"), "/etc/l": link("a")}


def proof(
    copied: Mapping[str, FileFact],
    *,
    noted: Manifest | None = None,
    changed: Mapping[str, int] | None = None,
    key_id: str = "k1",
    faults: str = "",
) -> FileProof:
    """Compare; what is not named was changed long ago."""
    times = {"/etc": OLD_NS, **dict.fromkeys(copied, OLD_NS), **(changed or {})}
    etc = CopiedEtc(files=copied, changed_ns=times, key_id=key_id, faults=faults)
    return file_proof(noted or manifest(files=FILES), etc, manifest_held=None)


def test_copy_that_is_as_noted_is_proved() -> None:
    found = proof(FILES)
    assert found == FileProof(compared=3, equal=3)
    assert found.verdict is Verdict.PROVED


@pytest.mark.parametrize(
    "fact", [file("cc"), file("aa", mode=0o600), file("aa", uid=7), file("aa", size=9), link("b")]
)
def test_file_that_differs_though_nobody_changed_it_is_damage(fact: FileFact) -> None:
    found = proof({**FILES, "/etc/a": fact})
    assert (found.different, found.equal) == (("/etc/a",), 2)
    assert found.verdict is Verdict.DAMAGED


def test_file_that_was_changed_before_the_cut_is_no_damage_and_no_proof() -> None:
    found = proof({**FILES, "/etc/a": file("cc")}, changed={"/etc/a": LATER_NS})
    assert (found.different, found.changed, found.equal) == ((), ("/etc/a",), 2)
    assert found.verdict is Verdict.IN_PART


def test_file_that_is_gone_counts_by_the_time_of_its_folder() -> None:
    left = {name: fact for name, fact in FILES.items() if name != "/etc/b"}
    assert proof(left).different == ("/etc/b",)
    assert proof(left, changed={"/etc": LATER_NS}).changed == ("/etc/b",)


def test_file_that_is_new_counts_by_its_own_time() -> None:
    more = {**FILES, "/etc/n": file("nn")}
    assert proof(more).different == ("/etc/n",)
    assert proof(more, changed={"/etc/n": LATER_NS}).changed == ("/etc/n",)


def test_content_that_cannot_be_read_is_damage() -> None:
    found = proof({**FILES, "/etc/a": file("")})
    assert (found.unreadable, found.equal, found.not_known) == (("/etc/a",), 2, ())
    assert found.verdict is Verdict.DAMAGED


def test_content_that_was_not_noted_is_not_known() -> None:
    noted = manifest(files={**FILES, "/etc/a": file("")})
    found = proof(FILES, noted=noted)
    assert (found.not_known, found.equal) == (("/etc/a",), 2)
    assert found.verdict is Verdict.IN_PART


def test_digests_of_another_key_prove_no_content() -> None:
    found = proof(FILES, key_id="k2")
    assert (found.not_known, found.equal) == (("/etc/a", "/etc/b"), 1)
    assert found.verdict is Verdict.IN_PART


def test_large_files_are_said_to_be_equal_by_time() -> None:
    files = {**FILES, "/etc/big": file("mtime:5")}
    found = proof(files, noted=manifest(files=files))
    assert (found.equal, found.by_time) == (4, 1)


def test_note_that_was_cut_is_told_and_nothing_is_called_new() -> None:
    noted = manifest(files=FILES, left_out=(cut("files"),))
    found = proof({**FILES, "/etc/n": file("nn")}, noted=noted)
    assert found.different == ()
    assert "the time ran out" in found.why
    assert found.verdict is Verdict.IN_PART


def test_part_beside_the_files_that_was_cut_is_no_lack() -> None:
    noted = manifest(files=FILES, left_out=(cut("packages"),))
    assert proof(FILES, noted=noted).verdict is Verdict.PROVED


def test_what_lies_on_another_filesystem_below_etc_is_not_compared() -> None:
    mounted = {"/etc/pve": Mounted(source="x", fstype="fuse", options="rw")}
    noted = manifest(files={**FILES, "/etc/pve/c": file("cc")}, mounts=mounted)
    found = proof({**FILES, "/etc/pve": file("dd")}, noted=noted)
    assert (found.compared, found.different) == (3, ())
    assert "/etc/pve" in found.why


def test_what_could_not_be_looked_at_in_the_copy_is_told() -> None:
    found = proof(FILES, faults="/etc/x: Input/output error")
    assert "Input/output error" in found.why
    assert found.verdict is Verdict.IN_PART


@pytest.mark.parametrize(
    ("held", "verdict"),
    [(None, Verdict.PROVED), (True, Verdict.PROVED), (False, Verdict.DAMAGED)],
)
def test_note_itself_must_be_in_the_copy_where_it_lay(held: bool | None, verdict: Verdict) -> None:
    assert replace(proof(FILES), manifest_held=held).verdict is verdict
