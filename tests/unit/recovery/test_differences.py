"""What differs between two manifests, and what nobody can know."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fakes.looking import cut, file, link, manifest, packages
from snap_self.model.differences import Aspect, Change, Doubt, Kind, Part, Side
from snap_self.model.manifest import (
    BootFile,
    FileFact,
    Listening,
    Mounted,
    Package,
    User,
)
from snap_self.recovery.differences import below, compare, marked, notable

FOLDER = FileFact(mode=0o040755, uid=0, gid=0, size=4096)


def told(changes: tuple[Change[object], ...]) -> list[tuple[str, str]]:
    return [(change.name, change.kind.value) for change in changes]


def test_same_manifest_twice_has_no_difference() -> None:
    one = manifest(packages=packages(a="1"), files={"/etc/a": file()}, kernel={"running": "6.1"})
    found = compare(one, one)
    assert not found.different
    assert found.not_compared == ()


def test_packages_are_changed_new_and_gone_with_both_versions() -> None:
    found = compare(
        manifest(packages=packages(a="1", b="1", c="1")),
        manifest(packages=packages(a="2", b="1", d="1")),
    )
    assert told(found.packages) == [("a", "changed"), ("c", "gone"), ("d", "new")]
    assert found.packages[0].before == Package(version="1")
    assert found.packages[0].after == Package(version="2")


@pytest.mark.parametrize(
    ("after", "aspects"),
    [
        (Package(version="2"), (Aspect.VERSION,)),
        (Package(version="1", state="unpacked"), (Aspect.STATE,)),
        (Package(version="1", held=True), (Aspect.HELD,)),
        (Package(version="2", held=True), (Aspect.VERSION, Aspect.HELD)),
    ],
)
def test_package_that_changed_says_what_of_it(after: Package, aspects: tuple[Aspect]) -> None:
    before = {"a": Package(version="1")}
    (change,) = compare(manifest(packages=before), manifest(packages={"a": after})).packages
    assert change.aspects == aspects


def test_package_that_only_became_automatic_is_no_difference() -> None:
    one, other = Package(version="1"), Package(version="1", automatic=True)
    assert not compare(manifest(packages={"a": one}), manifest(packages={"a": other})).different


@pytest.mark.parametrize(
    ("before", "after", "aspects"),
    [
        (file("aa"), file("bb"), (Aspect.CONTENT,)),
        (file("aa"), file("aa", size=11), (Aspect.CONTENT,)),
        (file("aa"), file("aa", mode=0o600), (Aspect.MODE,)),
        (file("aa"), file("aa", mode=0o4755), (Aspect.MODE,)),
        (file("aa"), file("aa", uid=33), (Aspect.OWNER,)),
        (file("aa"), file("aa", gid=33), (Aspect.OWNER,)),
        (file("aa"), file("bb", mode=0o600, uid=1), (Aspect.CONTENT, Aspect.MODE, Aspect.OWNER)),
        (link("a"), link("b"), (Aspect.TARGET,)),
        (file("aa"), link("b"), (Aspect.KIND,)),
        (file("mtime:1"), file("mtime:2"), (Aspect.TIME,)),
        (FOLDER, replace(FOLDER, mode=0o040700), (Aspect.MODE,)),
    ],
)
def test_file_that_changed_says_what_of_it(
    before: FileFact, after: FileFact, aspects: tuple[Aspect]
) -> None:
    found = compare(manifest(files={"/etc/a": before}), manifest(files={"/etc/a": after}))
    assert [change.aspects for change in found.files] == [aspects]
    assert found.not_compared == ()


def test_folder_of_another_size_is_no_difference() -> None:
    before, after = {"/etc/a": FOLDER}, {"/etc/a": replace(FOLDER, size=12288)}
    assert not compare(manifest(files=before), manifest(files=after)).different


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (file(""), file("aa")),
        (file("aa"), file("")),
        (file(""), file("")),
        (file("mtime:1"), file("aa")),
    ],
)
def test_content_that_was_not_read_is_neither_equal_nor_different(
    before: FileFact, after: FileFact
) -> None:
    found = compare(manifest(files={"/etc/a": before}), manifest(files={"/etc/a": after}))
    assert found.files == ()
    (doubt,) = found.not_compared
    assert (doubt.part, doubt.doubt, doubt.names) == (Part.FILES, Doubt.UNREAD, ("/etc/a",))


def test_mode_of_a_file_that_was_not_read_is_compared_all_the_same() -> None:
    before, after = {"/etc/a": file("")}, {"/etc/a": file("", mode=0o600)}
    found = compare(manifest(files=before), manifest(files=after))
    assert [change.aspects for change in found.files] == [(Aspect.MODE,)]
    assert [each.doubt for each in found.not_compared] == [Doubt.UNREAD]


def test_digests_of_different_keys_are_not_compared() -> None:
    one = {"/etc/a": file("aa"), "/etc/b": file("bb"), "/etc/c": file("cc", size=1)}
    other = {"/etc/a": file("xx"), "/etc/b": file("bb"), "/etc/c": file("yy", size=2)}
    found = compare(manifest(files=one), manifest(files=other, key_id="k2"))
    assert told(found.files) == [("/etc/c", "changed")]
    (doubt,) = found.not_compared
    assert (doubt.doubt, doubt.names) == (Doubt.OTHER_KEY, ("/etc/a", "/etc/b"))


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.KERNEL])
def test_part_that_the_first_was_cut_in_has_nothing_new(part: Part) -> None:
    whole = manifest(**{part.value: SAMPLES[part]})
    found = compare(manifest(left_out=(cut(part.value),), complete=False), whole)
    assert not found.different
    (doubt,) = found.not_compared
    assert (doubt.part, doubt.doubt, doubt.side) == (part, Doubt.MISSING, Side.BEFORE)
    assert compare(manifest(), whole).different


@pytest.mark.parametrize("part", [part for part in Part if part is not Part.KERNEL])
def test_part_that_the_second_was_cut_in_has_nothing_gone(part: Part) -> None:
    whole = manifest(**{part.value: SAMPLES[part]})
    found = compare(whole, manifest(left_out=(cut(part.value),), complete=False))
    assert not found.different
    assert [each.side for each in found.not_compared] == [Side.AFTER]
    assert compare(whole, manifest()).different


def test_part_that_was_cut_is_compared_in_what_both_have() -> None:
    found = compare(
        manifest(packages=packages(a="1"), left_out=(cut("packages"),)),
        manifest(packages=packages(a="2", b="1")),
    )
    assert told(found.packages) == [("a", "changed")]


SAMPLES: dict[Part, object] = {
    Part.PACKAGES: packages(a="1"),
    Part.FILES: {"/etc/a": file()},
    Part.UNITS: {"a.service": "enabled"},
    Part.BOOT: {"vmlinuz": BootFile(size=1, mtime_ns=1)},
    Part.MOUNTS: {"/srv": Mounted(source="/dev/vdb", fstype="ext4", options="rw")},
    Part.USERS: {"a": User(uid=1000, gid=1000, shell="/bin/sh")},
    Part.GROUPS: {"a": 1000},
    Part.LISTENING: (Listening(proto="tcp", address="0.0.0.0", port=22, program="sshd"),),
    Part.ALTERNATIVES: {"editor": "/bin/nano"},
    Part.DIVERSIONS: {"/bin/sh": "/bin/sh.distrib"},
}


def test_package_databases_of_two_managers_are_not_compared() -> None:
    found = compare(
        manifest(packages=packages(a="1"), manager="dpkg"),
        manifest(packages=packages(b="1"), manager="rpm"),
    )
    assert found.packages == ()
    assert [each.doubt for each in found.not_compared] == [Doubt.OTHER_MANAGER]


def test_machine_without_a_known_package_database_is_not_called_unchanged() -> None:
    found = compare(manifest(manager=""), manifest(manager=""))
    assert [each.doubt for each in found.not_compared] == [Doubt.NO_DATABASE]


def test_kernel_fact_that_only_one_has_is_not_known() -> None:
    found = compare(
        manifest(kernel={"running": "6.1.0-26", "default": "6.1.0-28"}),
        manifest(kernel={"running": "6.1.0-28"}),
    )
    assert told(found.kernel) == [("running", "changed")]
    (doubt,) = found.not_compared
    assert (doubt.part, doubt.names) == (Part.KERNEL, ("default",))


def listening(port: int = 80, program: str = "nginx", address: str = "0.0.0.0") -> Listening:
    return Listening(proto="tcp", address=address, port=port, program=program)


def test_socket_that_is_new_is_named_with_its_address() -> None:
    found = compare(manifest(), manifest(listening=(listening(), listening(address="::"))))
    assert told(found.listening) == [("tcp 0.0.0.0:80", "new"), ("tcp [::]:80", "new")]


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [("nginx", "apache2", True), ("nginx", "nginx", False), ("nginx", "", False), ("", "x", False)],
)
def test_program_of_a_socket_differs_only_where_both_were_seen(
    before: str, after: str, *, differs: bool
) -> None:
    found = compare(
        manifest(listening=(listening(program=before),)),
        manifest(listening=(listening(program=after),)),
    )
    assert found.different is differs


def test_what_changes_by_itself_is_marked_and_left_out_of_what_is_notable() -> None:
    found = compare(manifest(), manifest(files={"/etc/ld.so.cache": file(), "/etc/a": file()}))
    usual = marked(found, {Part.FILES: ("/etc/ld.so.cache*",)})
    assert [(each.name, each.usual) for each in usual.files] == [
        ("/etc/a", False),
        ("/etc/ld.so.cache", True),
    ]
    assert told(notable(usual).files) == [("/etc/a", "new")]


def test_pattern_without_a_star_is_the_whole_name() -> None:
    found = compare(manifest(), manifest(files={"/etc/mtab2": file()}))
    assert not marked(found, {Part.FILES: ("/etc/mtab", "/etc/m")}).files[0].usual


def test_paths_narrow_files_and_leave_out_the_rest() -> None:
    names = ("/etc/ssh/a", "/etc/ssh", "/etc/ssh2", "/etc/other")
    after = manifest(files={name: file() for name in names}, packages=packages(a="1"))
    found = below(compare(manifest(), after), ["/etc/ssh/"])
    assert told(found.files) == [("/etc/ssh", "new"), ("/etc/ssh/a", "new")]
    assert found.packages == ()


def test_paths_narrow_what_was_not_read() -> None:
    one = manifest(files={"/etc/a/x": file(""), "/etc/b/x": file("")})
    (doubt,) = below(compare(one, one), ["/etc/b"]).not_compared
    assert doubt.names == ("/etc/b/x",)
    assert below(compare(one, one), ["/etc/c"]).not_compared == ()


FACTS = some.builds(
    FileFact,
    mode=some.sampled_from([0o100644, 0o100600, 0o120777, 0o040755]),
    uid=some.integers(0, 1),
    gid=some.just(0),
    size=some.integers(0, 1),
    digest=some.sampled_from(["", "aa", "bb", "mtime:1", "mtime:2"]),
    target=some.sampled_from(["", "x"]),
)
TREES = some.dictionaries(some.sampled_from(["/etc/a", "/etc/b", "/etc/c"]), FACTS)


@given(TREES, TREES)
def test_comparing_the_other_way_round_swaps_new_and_gone(
    one: dict[str, FileFact], other: dict[str, FileFact]
) -> None:
    there = compare(manifest(files=one), manifest(files=other))
    back = compare(manifest(files=other), manifest(files=one))
    swapped = {Kind.NEW: Kind.GONE, Kind.GONE: Kind.NEW, Kind.CHANGED: Kind.CHANGED}
    assert [(c.name, swapped[c.kind], c.aspects) for c in there.files] == [
        (c.name, c.kind, c.aspects) for c in back.files
    ]
    assert [each.names for each in there.not_compared] == [each.names for each in back.not_compared]


@given(TREES)
def test_file_is_called_the_same_only_if_its_content_was_read(one: dict[str, FileFact]) -> None:
    found = compare(manifest(files=one), manifest(files=one))
    unread = {n for n, f in one.items() if f.mode >> 12 == 0o10 and not f.digest}
    assert found.files == ()
    assert {name for each in found.not_compared for name in each.names} == unread
