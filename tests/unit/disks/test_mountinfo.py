"""Mountinfo is parsed as documented, whatever bytes it holds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.disks.mountinfo import MountLine, options, parse_mountinfo, unescape
from snap_self.errors import TopologyError

DOCUMENTED = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"


def parse_one(line: str) -> MountLine:
    (mount,) = parse_mountinfo(line, origin="/proc/self/mountinfo")
    return mount


def escape(text: str) -> str:
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)


def test_line_of_the_manual_page_is_understood() -> None:
    mount = parse_one(DOCUMENTED)
    assert (mount.mount_id, mount.parent_id, mount.devno) == (36, 35, "98:0")
    assert (mount.root, mount.path) == ("/mnt1", "/mnt2")
    assert (mount.fstype, mount.source, mount.read_only) == ("ext3", "/dev/root", False)


@pytest.mark.parametrize("optional", ["", "shared:1 ", "shared:1 master:2 propagate_from:3 "])
def test_optional_fields_are_skipped(optional: str) -> None:
    assert parse_one(f"36 35 98:0 / /a rw {optional}- xfs /dev/vdb rw").fstype == "xfs"


@pytest.mark.parametrize(
    ("mount_options", "super_options", "read_only"),
    [("ro", "rw", True), ("rw", "ro,noatime", True), ("rw", "ro", True), ("rw", "", False),
     ("rw,errors=remount-ro", "rw,errors=remount-ro", False)],
)  # fmt: skip
def test_read_only_is_taken_from_mount_or_superblock(
    mount_options: str, super_options: str, *, read_only: bool
) -> None:
    line = f"36 35 98:0 / /a {mount_options} - xfs /dev/vdb {super_options}"
    assert parse_one(line).read_only is read_only


@pytest.mark.parametrize(
    ("mount_options", "super_options", "nothing"),
    [("ro", "rw", False), ("rw", "ro,noatime", True), ("ro", "ro", True), ("ro", "", False)],
)
def test_only_a_read_only_superblock_has_nothing_to_write(
    mount_options: str, super_options: str, *, nothing: bool
) -> None:
    line = f"36 35 98:0 / /a {mount_options} - xfs /dev/vdb {super_options}"
    assert parse_one(line).nothing_to_write is nothing


def test_every_name_in_a_line_is_unescaped_and_the_options_are_not() -> None:
    mount = parse_one(r"36 35 0:9 /r\040r /p\040p rw - fuse.t\040t s\040s rw,o=\040")
    assert (mount.root, mount.path) == ("/r r", "/p p")
    assert (mount.fstype, mount.source) == ("fuse.t t", "s s")
    assert mount.super_options == r"rw,o=\040"


@pytest.mark.parametrize("blank", ["\r", "\v", "\f", "\x85", "\u2028", "\xa0"], ids=ascii)
def test_only_a_space_ends_a_field_and_a_source_may_be_empty(blank: str) -> None:
    mount = parse_one(f"36 35 0:9 /r /p{blank}x rw - xfs  rw,ro{blank}")
    assert (mount.path, mount.source, mount.super_options) == (f"/p{blank}x", "", f"rw,ro{blank}")


@pytest.mark.parametrize("root", ["-", "net:[4026531840]", "/"])
def test_root_of_any_text_does_not_end_the_optional_fields(root: str) -> None:
    mount = parse_one(f"36 35 0:4 {root} /a rw shared:1 - nsfs nsfs rw")
    assert (mount.root, mount.fstype, mount.source) == (root, "nsfs", "nsfs")


def test_source_that_is_a_hyphen_does_not_begin_the_filesystem() -> None:
    mount = parse_one("36 35 0:4 / /a rw - tmpfs - rw,size=4k")
    assert (mount.fstype, mount.source, mount.super_options) == ("tmpfs", "-", "rw,size=4k")


def test_hyphen_in_a_path_does_not_end_the_optional_fields() -> None:
    assert parse_one("36 35 98:0 / /a\\040-\\040b rw - xfs /dev/vdb rw").path == "/a - b"


def test_empty_option_string_is_accepted() -> None:
    assert parse_one("36 35 0:5 / /a rw - tmpfs none").super_options == ""


@pytest.mark.parametrize(
    "line", ["x", "36 35", "a b 98:0 / /a rw - xfs /dev/vdb rw", "36 35 98:0 / /a rw xfs dev rw"]
)
def test_malformed_line_is_refused_by_number(line: str) -> None:
    with pytest.raises(TopologyError, match="/proc/self/mountinfo line 2 is not"):
        parse_mountinfo(DOCUMENTED + line, origin="/proc/self/mountinfo")


def test_malformed_line_is_shown_with_its_beginning_and_what_to_do() -> None:
    with pytest.raises(TopologyError, match="line 1 is not") as caught:
        parse_mountinfo("x" * 119 + "yz", origin="/proc/self/mountinfo")
    assert "xy'" in caught.value.message
    assert "report this line" in caught.value.hint


def test_option_value_keeps_its_equals_signs_and_an_option_needs_none() -> None:
    mount = parse_one("36 35 0:9 / /a rw - xfs /dev/vdb rw,logdev=/dev/by=name,noquota")
    assert list(options(mount)) == [("rw", ""), ("logdev", "/dev/by=name"), ("noquota", "")]


def test_option_value_with_escaped_comma_stays_whole() -> None:
    mount = parse_one("36 35 0:9 / /a rw - overlay overlay rw,lowerdir=/a\\054b,upperdir=/u")
    assert dict(options(mount))["lowerdir"] == "/a,b"


def test_escaped_bytes_of_one_character_are_joined() -> None:
    assert unescape("/d\\303\\251 é") == "/dé é"


def test_escaped_bytes_beside_one_that_was_never_escaped_are_joined() -> None:
    assert unescape("/\udce9\\303\\251\\303\\251\\040") == "/\udce9éé "


def test_only_three_octal_digits_of_a_byte_are_an_escape() -> None:
    assert unescape(r"/\040\48\400\x41\04") == r"/ \48\400\x41\04"


def test_escaped_byte_that_is_no_utf8_survives() -> None:
    assert unescape("/\\377").encode("utf-8", "surrogateescape") == b"/\xff"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_path_comes_back_as_it_was(path: str) -> None:
    assert unescape(escape(path)) == path


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with contextlib.suppress(TopologyError):
        assert isinstance(parse_mountinfo(text, origin="x"), list)
